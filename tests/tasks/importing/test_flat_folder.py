"""Folders that a table labels: which row is of which image, and what is told of the others."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from tasks.importing.flat_folder import FlatFolder, read_flat_folder
from tasks.importing.image_folder import NotAnImageFolder
from tests.photo_folders import write_files


def read(root: Path, names: list[str], rows: Mapping[str, str] | list[tuple[str, str, str | None]]) -> FlatFolder:
    given = [(image, label, None) for image, label in rows.items()] if isinstance(rows, Mapping) else rows
    columns = ("image_key", "label", "mask_key")
    folder = write_files(root / "cloth", dict.fromkeys(names, b"x"))
    return read_flat_folder(folder, folder / "labels.csv", [dict(zip(columns, row, strict=True)) for row in given])


def left_out(flat: FlatFolder) -> dict[str, str]:
    return {one.path: one.why for one in flat.contents.left_out}


@pytest.mark.parametrize(
    ("called", "place"),
    [
        ("a.png", "a.png"),
        ("./OK/a.png", "OK/a.png"),
        ("OK\\a.png", "OK/a.png"),
        ("ok/A.PNG", "OK/a.png"),
        ("cloth/OK/a.png", "OK/a.png"),
        ("{folder}/a.png", "a.png"),
        ("u\u0308.png", "ü.png"),
        ("b.png", "2026-03-01/b.png"),
        (r"D:\export\b.png", "2026-03-01/b.png"),
        ("s3://bucket/2026/B.png", "2026-03-01/b.png"),
        ("OK/b.png", None),
        ("../b.png", None),
        ("gone.png", None),
        ("c.png", None),
    ],
)
def test_what_a_row_may_call_an_image(tmp_path: Path, called: str, place: str | None) -> None:
    names = ["a.png", "OK/a.png", "ü.png", "2026-03-01/b.png", "OK/c.png", "NG/c.png"]
    called = called.replace("{folder}", str(tmp_path / "cloth"))
    flat = read(tmp_path, names, {called: "normal", "a.png": "normal", "OK/a.png": "normal"})
    assert flat.place_of.get(called) == place
    assert sorted(one.place for one in flat.contents.images) == sorted(names)
    several = "that fit several images" if called == "c.png" else "without an image"
    assert left_out(flat) == ({} if place else {called: f"names in the table {several}"})


def test_masks_are_of_the_images_whose_rows_name_them(tmp_path: Path) -> None:
    names = ["a.png", "b.png", "c.png", "d_gt.png", "masks/a.png", "b-drawn.png", "c_mask.png", "masks/x.png"]
    rows = [
        ("a.png", "anomalous", "masks/a.png"),
        ("b.png", "normal", "b-drawn.png"),
        ("c.png", "anomalous", "nowhere.png"),
        ("d_gt.png", "normal", None),
    ]
    flat = read(tmp_path, names, rows)
    folder = tmp_path / "cloth"
    assert {one.name: (one.word, one.masks) for one in flat.contents.images} == {
        "a.png": ("anomalous", (folder / "masks/a.png",)),
        "b.png": ("normal", ()),
        "c.png": ("anomalous", ()),
        "d_gt.png": ("normal", ()),
    }
    assert left_out(flat) == {
        "b-drawn.png": "masks of images that are no defects",
        "nowhere.png": "masks in the table that do not exist, or exist several times",
        "masks/x.png": "in folders of masks or other data among the images",
        "c_mask.png": "masks among the images: move them to ground_truth/<kind>/",
    }


def test_the_table_in_the_folder_is_no_image_and_days_are_told(tmp_path: Path) -> None:
    flat = read(tmp_path, ["labels.csv", "2026-03-01/a.png"], {"a.png": "normal"})
    assert [one.place for one in flat.contents.images] == ["2026-03-01/a.png"]
    assert "named like days" in flat.noted[0].why
    assert not flat.contents.left_out


@pytest.mark.parametrize(
    ("names", "rows", "told"),
    [
        (["a.png"], {"b.png": "normal", "c.png": "normal"}, "none of the 2 rows of .*they name: b.png, c.png"),
        (["a.png"], {"/x/a.png": "normal", "/y/a.png": "normal"}, "'/x/a.png' and '/y/a.png' would both be a.png"),
        (["train/good/a.png"], {"a.png": "normal"}, "has train/ or test/"),
    ],
)
def test_a_table_of_another_folder_is_refused(
    tmp_path: Path, names: list[str], rows: dict[str, str], told: str
) -> None:
    with pytest.raises(NotAnImageFolder, match=told):
        read(tmp_path, names, rows)


def test_folders_called_train_without_words_are_flat(tmp_path: Path) -> None:
    flat = read(tmp_path, ["train/a.png", "test/b.png"], {"train/a.png": "normal", "test/b.png": "anomalous"})
    assert [(one.place, one.word) for one in flat.contents.images] == [
        ("test/b.png", "anomalous"),
        ("train/a.png", "normal"),
    ]
