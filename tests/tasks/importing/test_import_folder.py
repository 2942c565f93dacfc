"""Bringing folders into a store: what is written, what stays, what is told."""

import unicodedata
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pytest

from storage.filesystem import Store
from storage.images import decode_mask
from storage.labels import labels
from storage.labels.labels import Label
from tasks.importing.image_folder import NotAnImageFolder, read_folder
from tasks.importing.import_folder import ImportPlan, ImportRefused, ImportRequest, import_images, plan_import
from tests.factories import DAY, NOW, everything_below
from tests.photo_folders import SIDE, mask, picture, write_files

BEFORE = DAY - timedelta(days=1)
LATER = NOW + timedelta(hours=2)


def cloth(root: Path) -> Path:
    return write_files(
        root,
        {
            "train/good/000.png": picture(0),
            "train/good/001.png": picture(1),
            "test/good/000.png": picture(2),
            "test/big hole/000.png": picture(3),
            "test/big hole/001.png": picture(4),
            "ground_truth/big hole/000_mask.PNG": mask(1, 2),
        },
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return cloth(tmp_path / "cloth photos")


def bring_in(
    store: Store, folder: Path, *, day: date = DAY, prefix: str = "", now=NOW, normals: date = BEFORE
) -> ImportPlan:
    request = ImportRequest(folder, "cloth", day, normals, prefix)
    plan = plan_import(store, request, read_folder(folder), now)
    import_images(store, plan)
    return plan


def held(store: Store) -> dict[str, tuple[str, str | None, str]]:
    """The word that holds of every image, by its place below the category."""
    rows = labels.read_labels(store, "cloth").to_pylist()
    return {
        row["image_key"].removeprefix("images/cloth/"): (row["label"], row["kind"], row["purpose"]) for row in rows
    }


def mask_of(store: Store, place: str) -> np.ndarray | None:
    rows = labels.read_labels(store, "cloth").to_pylist()
    [key] = [row["mask_key"] for row in rows if row["image_key"] == f"images/cloth/{place}"]
    return None if key is None else decode_mask(store.read(key))


def say(store: Store, place: str, word: str, **more: str) -> None:
    """A person's word, after the first import and before LATER."""
    said = Label(f"images/cloth/{place}", word, more.get("mask_key"), "ann", NOW + timedelta(hours=1))
    labels.append_label(store, "cloth", said, reviewer="ann")


def state(store: Store) -> dict[str, bytes]:
    return everything_below(Path(store.uri), "images", "labels")


def told(plan: ImportPlan) -> dict[str, str]:
    return {one.path.removeprefix("images/cloth/"): one.why for one in (*plan.left_out, *plan.noted)}


def test_images_labels_and_masks_find_their_places(store: Store, folder: Path) -> None:
    bring_in(store, folder)
    assert held(store) == {
        f"{BEFORE}/good/000.png": ("normal", None, "training"),
        f"{BEFORE}/good/001.png": ("normal", None, "training"),
        f"{DAY}/good/000.png": ("normal", None, "evaluation"),
        f"{DAY}/big hole/000.png": ("anomalous", "big hole", "evaluation"),
        f"{DAY}/big hole/001.png": ("anomalous", "big hole", "evaluation"),
    }
    marked = mask_of(store, f"{DAY}/big hole/000.png")
    assert marked is not None and np.array_equal(np.flatnonzero(marked.any(axis=1)), [1, 2])
    assert mask_of(store, f"{DAY}/big hole/001.png") is None
    assert store.read(f"images/cloth/{DAY}/big hole/000.png") == picture(3)


def test_again_changes_nothing_and_what_people_said_since_stands(store: Store, folder: Path) -> None:
    bring_in(store, folder)
    say(store, f"{DAY}/big hole/000.png", "normal")
    say(store, f"{DAY}/good/000.png", "withdrawn")
    before = state(store)
    plan = bring_in(store, folder, now=LATER)
    assert state(store) == before
    assert not plan.words
    assert told(plan)[f"{DAY}/big hole/000.png"] == "stay normal, as ann said"
    assert held(store)[f"{DAY}/big hole/000.png"][0] == "normal"


def test_a_grown_folder_adds_what_is_new_and_no_more(store: Store, folder: Path) -> None:
    bring_in(store, folder)
    say(store, f"{DAY}/big hole/000.png", "normal")
    write_files(folder, {"test/stain/7.png": picture(7)})
    plan = bring_in(store, folder, now=LATER)
    assert [word.image_key for word in plan.words] == [f"images/cloth/{DAY}/stain/7.png"]
    assert held(store)[f"{DAY}/stain/7.png"] == ("anomalous", "stain", "evaluation")
    assert held(store)[f"{DAY}/big hole/000.png"][0] == "normal"
    assert len(held(store)) == 6


def test_a_second_folder_leaves_the_first_ones_words(store: Store, folder: Path, tmp_path: Path) -> None:
    bring_in(store, folder)
    other = write_files(tmp_path / "b", {"train/ok/b.png": picture(20), "test/big hole/b.png": picture(21)})
    bring_in(store, other, now=LATER)
    assert len(held(store)) == 7


def test_another_picture_of_the_same_name_is_refused_before_anything_is_written(
    store: Store, folder: Path, tmp_path: Path
) -> None:
    bring_in(store, folder)
    before = state(store)
    other = write_files(
        tmp_path / "b",
        {"train/good/000.png": picture(30), "train/good/001.png": picture(1), "test/ng/b.png": picture(31)},
    )
    with pytest.raises(ImportRefused, match=r"^1 image in .* would be replaced .* train/good/000\.png .*--prefix"):
        bring_in(store, other, now=LATER)
    assert state(store) == before
    bring_in(store, other, now=LATER, prefix="camera-b")
    assert held(store)[f"{BEFORE}/camera-b/good/000.png"] == ("normal", None, "training")
    assert {name: data for name, data in state(store).items() if name in before} == before


def test_an_interrupted_import_goes_on(store: Store, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(labels, "write_labels", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        bring_in(store, folder)
    monkeypatch.undo()
    plan = bring_in(store, folder)
    assert not any(one.is_new for one in plan.images)
    assert len(held(store)) == 5


def test_a_picture_moved_to_another_kind_keeps_its_place_and_gets_the_new_word(store: Store, folder: Path) -> None:
    bring_in(store, folder)
    (folder / "train/good/001.png").rename(folder / "test/stain.png")
    (folder / "test/stain").mkdir()
    (folder / "test/stain.png").rename(folder / "test/stain/001.png")
    plan = bring_in(store, folder, now=LATER)
    assert held(store)[f"{BEFORE}/good/001.png"] == ("anomalous", "stain", "evaluation")
    assert len(held(store)) == 5
    assert not any(one.is_new for one in plan.images)
    assert told(plan)[f"{BEFORE}/good/001.png"] == "now anomalous (stain), before normal"
    assert not bring_in(store, folder, now=LATER).words


def test_equal_names_of_other_pictures_are_no_move(store: Store, folder: Path, tmp_path: Path) -> None:
    bring_in(store, folder)
    bring_in(store, write_files(tmp_path / "b", {"test/stain/001.png": picture(40)}), now=LATER)
    assert held(store)[f"{DAY}/stain/001.png"] == ("anomalous", "stain", "evaluation")
    assert len(held(store)) == 6


def test_a_mask_that_comes_later_or_changes_is_a_new_word_and_replaces_none(store: Store, folder: Path) -> None:
    bring_in(store, folder)
    old = everything_below(Path(store.uri), "labels/cloth/masks")
    write_files(folder, {"ground_truth/big hole/000_mask.PNG": mask(6), "ground_truth/big hole/001.bmp": mask(7)})
    bring_in(store, folder, now=LATER)
    for place, row in (("000", 6), ("001", 7)):
        marked = mask_of(store, f"{DAY}/big hole/{place}.png")
        assert marked is not None and np.flatnonzero(marked.any(axis=1)).tolist() == [row]
    masks = everything_below(Path(store.uri), "labels/cloth/masks")
    assert len(masks) == 3
    assert old.items() <= masks.items()
    (folder / "ground_truth/big hole/001.bmp").unlink()
    assert not bring_in(store, folder, now=LATER).words


def test_the_masks_of_one_image_count_together(store: Store, tmp_path: Path) -> None:
    loco = write_files(
        tmp_path / "loco",
        {"test/logical_anomalies/0.png": picture(0), "ground_truth/logical_anomalies/0/000.png": mask(1),
         "ground_truth/logical_anomalies/0/001.png": mask(5)},
    )  # fmt: skip
    bring_in(store, loco)
    marked = mask_of(store, f"{DAY}/logical_anomalies/0.png")
    assert marked is not None and np.flatnonzero(marked.any(axis=1)).tolist() == [1, 5]


def test_masks_that_cannot_be_used_are_told_and_their_images_taken(store: Store, tmp_path: Path) -> None:
    holes = write_files(tmp_path / "holes", {f"test/hole/{i}.png": picture(i) for i in range(6)})
    write_files(
        holes / "ground_truth/hole",
        {"0.png": mask(), "1.png": mask(1, size=(SIDE, 3 * SIDE)), "2.png": b"no picture",
         "3.png": mask(1, size=(16, 16)), "4/a.png": mask(1), "4/b.png": mask(1, size=(16, 16))},
    )  # fmt: skip
    plan = bring_in(store, holes)
    assert {path.removeprefix("ground_truth/hole/"): why for path, why in told(plan).items()} == {
        "0.png": "masks that mark nothing",
        "1.png": "masks of another size than their image",
        "2.png": "masks that cannot be read",
        "3.png": "masks with the proportions of their image, but another size",
        "4/a.png": "masks of another size than their image",
        "test/hole/5.png": "defects without a mask in ground_truth/",
    }
    assert [place for place in held(store) if mask_of(store, place) is not None] == [f"{DAY}/hole/3.png"]
    assert len(held(store)) == 6


def test_files_that_are_no_images_are_told(store: Store, folder: Path) -> None:
    write_files(folder / "test/good", {"notes.txt": b"x", "a.zip": b"PK\3\4" + bytes(40), "b.png": b"\x89PNG",
                                       "B.PNG": picture(8), "c": picture(9), "C": picture(10)})  # fmt: skip
    plan = bring_in(store, folder)
    assert told(plan) == {
        "test/big hole/001.png": "defects without a mask in ground_truth/",
        "test/good/notes.txt": "no images, but text",
        "test/good/a.zip": "no images, but zip",
        "test/good/b.png": "no images, or their headers are damaged",
        "test/good/c": "names that differ in upper and lower case only: a copy on Windows or macOS would lose one",
        "test/good/C": "names that differ in upper and lower case only: a copy on Windows or macOS would lose one",
    }
    assert f"{DAY}/good/c" in held(store)


def test_of_two_ways_to_write_a_name_one_is_taken_and_the_other_told(store: Store, folder: Path) -> None:
    names = [unicodedata.normalize(form, "ä.png") for form in ("NFC", "NFD")]
    write_files(folder / "test/good", {name: picture(seed) for seed, name in enumerate(names)})
    plan = bring_in(store, folder)
    assert sum("ä" in place for place in held(store)) == 1
    assert any("the encoding of letters" in one.why for one in plan.left_out)


def test_a_picture_that_a_line_wrote_under_decomposed_letters_is_the_same(store: Store, tmp_path: Path) -> None:
    key = unicodedata.normalize("NFD", f"images/cloth/{DAY}/größe/ä.png")
    store.write(key, picture(1))
    bring_in(store, write_files(tmp_path / "a", {"test/größe/ä.png": picture(1)}))
    assert [info.key for info in store.list("images/")] == [key]
    assert labels.read_labels(store, "cloth")["image_key"].to_pylist() == [key]


def test_one_day_for_training_and_test_is_refused_where_names_meet(store: Store, folder: Path) -> None:
    with pytest.raises(ImportRefused, match="--normals-date"):
        bring_in(store, folder, normals=DAY)
    assert state(store) == {}


def test_a_file_that_cannot_be_read_is_told(store: Store, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = Path.open

    def refused(path: Path, mode: str = "r"):
        if path.name == "001.png":
            raise PermissionError(13, "Permission denied")
        return opened(path, mode)

    monkeypatch.setattr(Path, "open", refused)
    plan = bring_in(store, folder)
    assert told(plan)["train/good/001.png"] == "cannot be read (Permission denied)"
    assert len(held(store)) == 3


def test_nothing_to_import_is_refused_with_what_was_left_out(store: Store, tmp_path: Path) -> None:
    with pytest.raises(NotAnImageFolder, match=r"no image that could be imported.*test/good/a\.txt"):
        bring_in(store, write_files(tmp_path / "empty", {"test/good/a.txt": b"x"}))


def test_only_train_is_trained_on(store: Store, folder: Path) -> None:
    bring_in(store, folder)
    assert labels.normal_image_keys(store, "cloth") == [f"images/cloth/{BEFORE}/good/00{i}.png" for i in range(2)]


def test_pictures_that_count_twice_are_told(store: Store, folder: Path) -> None:
    write_files(folder, {"train/good/copy.png": picture(0), "test/big hole/002.png": picture(1)})
    first = told(bring_in(store, folder))
    assert first["train/good/copy.png"] == "the same picture as another one, so that it counts twice"
    assert first["test/big hole/002.png"].startswith("the same picture as train/good/001.png, with another label")
    assert not first.keys() & {"train/good/000.png", "train/good/001.png"}
    plan = bring_in(store, folder, normals=BEFORE - timedelta(days=1))
    assert told(plan)["train/good/000.png"] == f"already in the store under {BEFORE}, so they count twice"
    assert "test/good/000.png" not in told(plan)
