"""Ignored regions: what is refused, what is kept, and who was first."""

import io
from collections.abc import Sequence
from datetime import timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from storage import layout
from storage.errors import Conflict, CorruptObject
from storage.filesystem import LocalStore, Store, open_store
from storage.ignored_regions import (
    IgnoredRegion,
    UnusableRegion,
    drawn,
    from_json,
    masked,
    read_history,
    read_region,
    save_region,
)
from storage.pictures.masks import mask_png
from storage.verification.region_findings import region_findings
from tests.storage.conftest import NOW

CORNER = [[0, 0], [0.5, 0], [0.5, 0.25], [0, 0.25]]


def region(*polygons: Sequence[Sequence[float]], by: str = "ann") -> IgnoredRegion:
    return drawn(polygons, by=by, at=NOW, on="images/cloth/2026-03-02/0.png")


@pytest.fixture(params=["local", "seaweed_s3"])
def store(request: pytest.FixtureRequest) -> Store:
    place = request.getfixturevalue(request.param)
    return place if isinstance(place, LocalStore) else open_store(place.uri)


def mask(height: int = 50, width: int = 100) -> NDArray[np.bool_]:
    marked = np.zeros((height, width), np.bool_)
    marked[: height // 2] = True
    return marked


@pytest.mark.parametrize(
    ("polygons", "why"),
    [
        ([[[0, 0], [0.5, 0.5]]], "polygon 1 has 2 different points"),
        ([CORNER, [[0, 0], [0, 0], [0.5, 0.5], [0, 0]]], "polygon 2 has 2 different points"),
        ([[[0, 0], [0.5, 0.5], [0.25, 0.25]]], "lie on one line"),
        ([[[0, 0], [1.01, 0], [0.5, 0.5]]], r"\[1.01, 0\], which is outside the image"),
        ([[[0, 0], [float("nan"), 0], [0.5, 0.5]]], "outside the image"),
        ([[[0, 0], [0.5, 0, 0.5], [0.5, 0.5]]], "outside the image"),
        ([[[0, 0], [1, 0], [1, 1], [0, 1]]], "100.0% of the image would be ignored"),
        ([[[0, 0], [1, 0], [1, 0.5], [0, 0.5]], [[0, 0.5], [1, 0.5], [1, 1], [0, 1]]], "nothing would be left"),
        ([CORNER] * 201, "201 polygons"),
    ],
)
def test_what_cannot_be_meant_is_refused(polygons: list, why: str) -> None:
    with pytest.raises(UnusableRegion, match=why):
        drawn(polygons, by="ann", at=NOW)


@pytest.mark.parametrize(
    "content", [{}, [], "polygons", {"polygons": 3}, {"polygons": [[["x", 0]]]}, {"polygons": [3]}]
)
def test_other_json_is_refused(content: object) -> None:
    with pytest.raises(UnusableRegion, match="list of polygons"):
        from_json(content)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (mask_png(mask(100, 100)), "100 x 100 pixels and the images 1000 x 500: another aspect"),
        (mask_png(np.zeros((50, 100), np.bool_)), "the mask is black"),
        (mask_png(np.ones((50, 100), np.bool_)), "at most 99% can be"),
        (mask_png(np.random.default_rng(0).random((2200, 4400)) < 0.5), "it has specks"),
        (b"no picture", "the mask cannot be read"),
    ],
)
def test_unusable_masks_are_refused(data: bytes, why: str) -> None:
    with pytest.raises(UnusableRegion, match=why):
        masked(data, by="ann", at=NOW, size=(500, 1000))


def test_every_version_is_kept(store: Store) -> None:
    assert read_region(store, "cloth") is None
    first = save_region(store, "cloth", region(CORNER), expected=None)
    second = save_region(store, "cloth", masked(mask_png(mask()), by="bo", at=NOW), expected=first.digest)
    cleared = save_region(store, "cloth", region(by="cy"), expected=second.digest)
    assert read_region(store, "cloth") is None
    assert read_history(store, "cloth") == (cleared, second, first)
    again = save_region(store, "cloth", first, expected=None)
    assert read_region(store, "cloth") == again == first
    assert [version.drawn_by for version in read_history(store, "cloth")] == ["ann", "cy", "bo", "ann"]


def test_the_second_of_two_people_is_told_who_was_first(store: Store) -> None:
    first = save_region(store, "cloth", region(CORNER), expected=None)
    mine, theirs = region(CORNER, [[0.9, 0.9], [1, 0.9], [1, 1]], by="cy"), region(by="bo")
    save_region(store, "cloth", theirs, expected=first.digest)
    with pytest.raises(Conflict, match="bo saved another region of 'cloth' at 2026-03-03 02:00 UTC"):
        save_region(store, "cloth", mine, expected=first.digest)
    assert len(read_history(store, "cloth")) == 2
    assert save_region(store, "cloth", mine, expected=None) == mine


def test_two_at_the_same_moment(local: LocalStore) -> None:
    class Slow(LocalStore):
        """Another person saves between our reading and our writing."""

        def _create(self, key: str, data: bytes) -> None:
            save_region(local, "cloth", region(CORNER, by="bo"), expected=None)
            super()._create(key, data)

    with pytest.raises(Conflict, match="bo saved another region"):
        save_region(Slow(local.root), "cloth", region(CORNER[:3]), expected=None)
    assert read_history(local, "cloth")[0].drawn_by == "bo"


def test_the_same_region_again_changes_nothing(local: LocalStore) -> None:
    first = save_region(local, "cloth", region(CORNER), expected=None)
    later = drawn([CORNER], by="bo", at=NOW + timedelta(hours=1))
    assert save_region(local, "cloth", later, expected=first.digest) == first
    assert read_history(local, "cloth") == (first,)
    assert save_region(local, "silk", region(), expected=None).is_empty
    assert local.info(layout.region_key("silk")) is None


def test_verify_names_what_it_cannot_use(local: LocalStore) -> None:
    save_region(local, "cloth", region(CORNER), expected=None)
    assert list(region_findings(local, lambda _: True)) == []
    local.write("regions/silk.json", b"{}")
    local.write("regions/cloth.jpg", b"a camera's")
    found = {finding.where: finding.wrong for finding in region_findings(local, lambda _: True)}
    assert found == {"regions/silk.json": True, "regions/cloth.jpg": False}
    local.write("regions/cloth.png", mask_png(mask()))
    assert [finding.where for finding in region_findings(local, "cloth".__eq__)][1:] == ["regions/cloth.json"]


def test_a_mask_put_into_the_store_is_used(local: LocalStore) -> None:
    local.write("regions/cloth.png", mask_png(mask()))
    found = read_region(local, "cloth")
    assert found is not None
    assert found.drawn_by is None
    assert found.digest == masked(mask_png(mask()), by="bo", at=NOW).digest
    with pytest.raises(Conflict, match=r"says what is ignored, so nothing was saved.*--set FILE.png"):
        save_region(local, "cloth", region(CORNER), expected=found.digest)
    local.remove("regions/cloth.png")
    save_region(local, "cloth", region(CORNER), expected=None)
    local.write("regions/cloth.png", mask_png(mask()))
    with pytest.raises(Conflict, match="both say what is ignored, so neither is used"):
        read_region(local, "cloth")


@pytest.mark.parametrize("name", ["cloth.json", "cloth.png"])
def test_damage_is_told(local: LocalStore, name: str) -> None:
    local.write(f"regions/{name}", b"{}")
    with pytest.raises(CorruptObject, match=f"regions/{name}"):
        read_region(local, "cloth")


def test_a_flipped_bit_is_noticed(local: LocalStore) -> None:
    save_region(local, "cloth", region(CORNER), expected=None)
    local.write("regions/cloth.json", local.read("regions/cloth.json").replace(b"0.25", b"0.35"))
    with pytest.raises(CorruptObject, match="edited or damaged"):
        read_region(local, "cloth")


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=3, max_size=8))
def test_what_is_kept_is_what_is_read(points: list[tuple[float, float]]) -> None:
    try:
        made = drawn([points], by="ann", at=NOW)
    except UnusableRegion:
        return
    [kept] = made.polygons
    np.testing.assert_allclose(kept, points, atol=1e-6)
    assert made.digest == drawn(made.polygons, by="bo", at=NOW).digest


def test_a_mask_of_another_size_needs_the_same_aspect() -> None:
    for size in ((500, 1000), (501, 1000), (50, 100), (1000, 1999)):
        assert masked(mask_png(mask()), by="ann", at=NOW, size=size).mask
    with pytest.raises(UnusableRegion, match="another aspect"):
        masked(mask_png(mask()), by="ann", at=NOW, size=(500, 1030))


def test_masks_of_any_format() -> None:
    out = io.BytesIO()
    Image.fromarray(mask().astype(np.uint8) * 200).convert("RGB").save(out, "BMP")
    assert masked(out.getvalue(), by="ann", at=NOW).digest == masked(mask_png(mask()), by="ann", at=NOW).digest
