"""Labelled normals that are not trained on are told by name and reason."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import pytest

from flows.commands.tables.retraining import retraining_table
from flows.commands.tables.training import training_table
from flows.training import TrainingRun
from flows.watching.retraining_outcome import CategoryRetraining, RetrainingRun
from rd_core.errors import ConfigError
from rd_core.pictures.image_view import ImageView
from storage.filesystem import Store
from tasks.retraining.gather_normals import GatheredNormals
from tasks.training.fitted_model import FittedModel
from tasks.training.normal_images import NormalImages, PixelSource, read_normal_images
from tasks.training.parts import parts_of_keys
from tasks.worker.preprocessing import ImageFormat
from tests.drift_plants import CORNER
from tests.factories import DAY, SIZE, png, put_images

FORMAT = ImageFormat(ImageView(SIZE, SIZE), None, 1_000_000)


def test_what_is_left_out_is_counted_and_told_by_name(store: Store) -> None:
    keys = put_images(store, "cloth", [f"{i}.png" for i in range(5)])
    assert read_normal_images(store, keys, FORMAT).left_out is None
    odd = {name: f"images/cloth/2026-03-02/{name}" for name in ("copy.png", "gone.png", "heic.png", "x.png", "y.png")}
    store.write(odd["copy.png"], png(0))
    store.write(odd["heic.png"], b"\0\0\0\x18ftypheic" + bytes(99))
    for name in ("x.png", "y.png"):
        store.write(odd[name], b"")
    found = read_normal_images(store, [*keys, *odd.values()], FORMAT)
    assert found.keys == tuple(keys)
    said = found.left_out or ""
    assert said.startswith("5 of 10 labelled normals are not used: 4 unreadable (")
    assert "gone.png: the file is not there" in said
    assert "heic.png: HEIC is not supported" in said
    assert "x.png: the file is empty (0 bytes); the camera or the copy was cut off; and 1 more), 1 dup" in said
    assert f"1 duplicates of another one's bytes ({odd['copy.png']})." in said


def test_pixels_have_a_digest_of_all_that_they_depend_on(store: Store) -> None:
    keys = put_images(store, "cloth", [f"{i}.png" for i in range(4)])
    normals = read_normal_images(store, keys, FORMAT)

    def digest(chosen: Sequence[str] = keys[:2], seen: ImageFormat = FORMAT, of: NormalImages = normals) -> str:
        return PixelSource(store, chosen, seen, of).digest

    formats = [
        *(replace(FORMAT, **{level: 10.0}) for level in ("white_level", "black_level")),
        *(replace(FORMAT, view=replace(FORMAT.view, **view)) for view in ({"height": 32}, {"ignore": CORNER})),
    ]
    store.write(keys[1], png(77))
    others = [
        digest(keys[1:3]),
        digest(keys[1::-1]),
        *(digest(seen=seen) for seen in formats),
        digest(of=read_normal_images(store, keys, FORMAT)),
    ]
    assert len({digest(), *others}) == 8 and digest() == digest()


def test_train_prints_what_was_left_out() -> None:
    model = FittedModel(
        "cloth",
        "v1",
        "padim",
        20,
        2,
        5,
        1,
        0,
        "7 steps",
        1.0,
        2.0,
        False,
        True,
        left_out="1 of 28 [b]normals[/b] ...",
    )
    assert training_table(TrainingRun("run", (model,)), "/plant").notes == ["cloth: 1 of 28 [b]normals[/b] ..."]


def test_retrain_prints_what_was_left_out_and_why() -> None:
    counts = {"new": 20, "replayed": 9, "unreadable": 2, "too old": 1}
    one = CategoryRetraining(
        "cloth", "left as it is", "why", "v1", GatheredNormals("cloth", "v1", "key", counts, 0, None)
    )
    run = RetrainingRun("run", DAY, (one, CategoryRetraining("tile", "no champion", "why", None)), ())
    told = retraining_table(run, "/plant").notes
    assert "cloth, left out: 1 too old, 2 unreadable" in told
    assert not any(line.startswith("tile, left out") for line in told)


def test_views_of_one_piece_stay_together_where_two_days_count_the_same_serials(store: Store) -> None:
    pattern = r"exp(?P<view>\d+)_num_(?P<serial>\d+)"
    days = [DAY, DAY + timedelta(days=1)]
    names = [f"exp{view}_num_{serial}.png" for serial, view in enumerate((1, 2, 3, 1, 2, 3))]
    keys = [f"images/cloth/{day}/{name}" for day in days for name in names]
    for number, key in enumerate(keys):
        store.write(key, png(number))
    parts = read_normal_images(store, keys, FORMAT).parts(pattern)
    by_key = dict(zip(sorted(keys), parts, strict=True))
    pieces = [tuple(by_key[key] for key in keys[start : start + 3]) for start in range(0, 12, 3)]
    assert [len(set(piece)) for piece in pieces] == [1, 1, 1, 1] and len(set(pieces)) == 4
    assert parts == parts_of_keys(sorted(keys), pattern)
    with pytest.raises(ConfigError, match="matches none of 12 names"):
        read_normal_images(store, keys, FORMAT).parts(r"tile(?P<part>\d+)")
