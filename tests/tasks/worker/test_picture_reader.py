"""Whatever lies under a key: pixels of the model's size, or the one reason why there are none."""

import numpy as np
import pytest

from rd_core.pictures.image_view import ImageView
from rd_core.pictures.read_ahead import BYTES_AT_ONCE
from storage.errors import InvalidKey, KeyNotFound, ObjectDenied, TransientFault
from storage.filesystem import Store
from storage.images import content_digest
from tasks.worker.picture_reader import load_array, micro_batches, read_picture, stacked
from tasks.worker.preprocessing import ImageFormat
from tests.factories import png

FORMAT = ImageFormat(ImageView(16, 24))


def test_an_image_has_the_pixels_that_its_format_says_and_keeps_size_and_digest(store: Store) -> None:
    store.write("images/a.png", png(3, (40, 30)))
    picture = read_picture(store, FORMAT, "images/a.png")
    assert picture.pixels is not None and picture.pixels.shape == (16, 24, 3)
    assert (picture.status, picture.error, picture.size) == ("ok", None, (40, 30))
    assert picture.digest == content_digest(png(3, (40, 30)))
    assert picture.seconds.keys() == {"read", "decode"}
    array = load_array(FORMAT, FORMAT.decode(png(3, (40, 30))))
    np.testing.assert_array_equal(array.pixels, picture.pixels)
    assert (array.statistics, array.size, array.digest) == (picture.statistics, (40, 30), None)


@pytest.mark.parametrize(
    ("fault", "status", "why"),
    [
        (KeyNotFound("x"), "unreadable", "the file is not there"),
        (ObjectDenied("x"), "unreadable", "change the owner or mode"),
        (InvalidKey("no such name"), "rejected", "no such name"),
    ],
)
def test_a_file_that_cannot_be_read_is_told_by_status_and_reason(
    store: Store, monkeypatch: pytest.MonkeyPatch, fault: Exception, status: str, why: str
) -> None:
    monkeypatch.setattr(type(store), "read", _raising(fault))
    picture = read_picture(store, FORMAT, "images/a.png")
    assert (picture.pixels, picture.size, picture.digest, picture.status) == (None, None, None, status)
    assert why in str(picture.error)


def test_bytes_that_are_no_image_have_a_digest_and_a_reason_and_an_unsafe_key_is_not_opened(store: Store) -> None:
    store.write("images/a.png", b"no image")
    picture = read_picture(store, FORMAT, "images/a.png")
    assert (picture.pixels, picture.status, picture.digest) == (None, "unreadable", content_digest(b"no image"))
    assert picture.error
    assert read_picture(store, FORMAT, "images/../a.png").status == "rejected"


def test_a_fault_of_the_store_is_raised(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(type(store), "read", _raising(TransientFault("503")))
    with pytest.raises(TransientFault):
        read_picture(store, FORMAT, "images/a.png")


def test_micro_batches_keep_the_order_and_stack_what_can_be_read(store: Store) -> None:
    for seed in (0, 2, 4):
        store.write(f"images/{seed}.png", png(seed, (16, 24)))
    batches = list(
        micro_batches(
            lambda number: read_picture(store, FORMAT, f"images/{number}.png"), range(5), BYTES_AT_ONCE // 2
        )
    )
    assert [[picture.status for picture in batch] for batch in batches] == [
        ["ok", "unreadable"], ["ok", "unreadable"], ["ok"],
    ]  # fmt: skip
    np.testing.assert_array_equal(stacked(batches[1])[0], FORMAT.decode(png(2, (16, 24))))
    assert stacked(batches[0][1:]).shape[0] == 0


def _raising(fault: Exception):
    def read(_: Store, __: str) -> bytes:
        raise fault

    return read
