"""What a folder's files are, told from their places."""

import os
import unicodedata
from pathlib import Path

import pytest

from tasks.importing.folder_masks import with_masks
from tasks.importing.image_folder import ImageFolder, NotAnImageFolder, is_category_folder, read_folder
from tests.photo_folders import write_files


def folder_of(root: Path, *names: str) -> Path:
    """Files that are not empty, and nothing else: their places alone count."""
    return write_files(root, dict.fromkeys(names, b"x"))


def read(root: Path, *names: str, **words: str) -> ImageFolder:
    return read_folder(folder_of(root, *names), words)


def whys(found: ImageFolder) -> dict[str, str]:
    return {one.path: one.why for one in found.left_out}


@pytest.mark.parametrize("name", ["good", "ok", "OK", "Good", "normal", "PASS", "defect-free", "No_Defect"])
def test_good_has_many_names(tmp_path: Path, name: str) -> None:
    found = read(tmp_path, f"train/{name}/0.png", f"test/{name}/0.png", f"test/{name}/cam1/0.png")
    assert [(one.word, one.purpose, one.kind) for one in found.images] == [
        ("normal", "training", None),
        ("normal", "evaluation", None),
        ("normal", "evaluation", None),
    ]
    assert found.images[1].name == f"{name}/0.png"
    assert not found.left_out


@pytest.mark.parametrize(
    "name", ["hole", "ko", "NG", "bad", "defect", "not ok", "missing_cap", "combined", "gray_stroke"]
)
def test_any_other_name_is_a_kind_of_defect(tmp_path: Path, name: str) -> None:
    found = read(tmp_path, f"test/{name}/0.png")
    assert [(one.word, one.kind) for one in found.images] == [("anomalous", name)]


@pytest.mark.parametrize(
    "name",
    ["i.O.", "N.I.O.", "IO-Teile", "良品", "gute Teile",
     "ok_front", "not good enough", "good2", "0", "01", "unknown", "extra", "validation", "negative", "masks",
     "no defects", "non_defective", "__"],
)  # fmt: skip
def test_a_name_that_may_mean_either_is_told_and_not_guessed(tmp_path: Path, name: str) -> None:
    found = read(tmp_path, "test/hole/0.png", f"test/{name}/0.png", f"train/{name}/1.png")
    assert [one.place for one in found.images] == ["test/hole/0.png"]
    assert whys(found).keys() == {f"test/{name}/0.png", f"train/{name}/1.png"}
    assert f"--word '{name}=normal'" in whys(found)[f"test/{name}/0.png"]


def test_what_a_name_means_can_be_said(tmp_path: Path) -> None:
    found = read(
        tmp_path, "train/ok_front/0.png", "test/ok_front/1.png", "test/good/2.png", OK_Front="normal", good="unsure"
    )
    assert [(one.place, one.word) for one in found.images] == [
        ("train/ok_front/0.png", "normal"),
        ("test/good/2.png", "unsure"),
        ("test/ok_front/1.png", "normal"),
    ]


def test_who_could_not_tell_said_so(tmp_path: Path) -> None:
    found = read(tmp_path, "test/unsure/0.png")
    assert [(one.word, one.kind) for one in found.images] == [("unsure", None)]


def test_folders_in_kinds_are_part_of_the_name(tmp_path: Path) -> None:
    found = read(tmp_path, "Train/good/cam1/0.png", "TEST/hole/cam1/left/0.png")
    assert [(one.name, one.kind) for one in found.images] == [
        ("good/cam1/0.png", None),
        ("hole/cam1/left/0.png", "hole"),
    ]


def test_cameras_above_kinds_are_not_taken_for_kinds(tmp_path: Path) -> None:
    found = read(tmp_path, "test/cam1/good/0.png", "test/cam1/hole/0.png", "test/hole/0.png", "train/cam1/good/0.png")
    assert [one.place for one in found.images] == ["test/hole/0.png"]
    assert {path.rpartition("/")[0] for path in whys(found)} == {
        "test/cam1/good",
        "test/cam1/hole",
        "train/cam1/good",
    }


def test_what_stands_elsewhere_is_listed_with_its_reason(tmp_path: Path) -> None:
    found = read(
        tmp_path, "test/good/0.png", "test/good/bad/1.png", "test/hole/gt/2.png", "train/3.png",
        "train/scratch/4.png", "validation/good/5.png", "readme.txt", "test/good/.DS_Store",
        "@eaDir/6.png", "test/good/Thumbs.db",
        "test/good/back\\slash.png", "test/good/bell\a.png", "test/odd\a/1.png",
    )  # fmt: skip
    (tmp_path / "test" / "good" / "empty.png").touch()
    (tmp_path / "test" / "good" / "nowhere.png").symlink_to(tmp_path / "gone.png")
    (tmp_path / "test" / "good" / "round").symlink_to(tmp_path / "test")
    os.mkfifo(tmp_path / "test" / "good" / "pipe.png")
    found = read_folder(tmp_path)
    assert [one.place for one in found.images] == ["test/good/0.png"]
    told = whys(found)
    for path, word in {
        "test/good/bad/1.png": "both good and bad",
        "test/hole/gt/2.png": "masks or other data",
        "train/3.png": "directly in train/",
        "train/scratch/4.png": "not named like good parts",
        "validation/good/5.png": "neither in train/",
        "readme.txt": "neither in train/",
        "test/good/back\\slash.png": "no key",
        "test/good/bell\\x07.png": "no key",
        "test/odd\\x07": "no key",
        "test/good/empty.png": "empty",
        "test/good/nowhere.png": "nowhere",
        "test/good/round/": "links",
        "test/good/pipe.png": "pipes",
    }.items():
        assert word in told.pop(path), path
    assert not told
    assert sorted(found.litter) == ["@eaDir", "test/good/.DS_Store", "test/good/Thumbs.db"]


def test_a_name_without_utf_8_is_left_out_and_shown(tmp_path: Path) -> None:
    folder_of(tmp_path, "test/hole/0.png")
    (tmp_path / "test" / "hole" / os.fsdecode(b"\xe4.png")).write_bytes(b"x")
    assert whys(read_folder(tmp_path)).keys() == {"test/hole/\\xe4.png"}


def test_links_to_files_and_folders_are_followed(tmp_path: Path) -> None:
    kept = folder_of(tmp_path / "kept", "a.png")
    folder_of(tmp_path / "cloth", "test/hole/0.png")
    (tmp_path / "cloth" / "test" / "good").symlink_to(kept)
    assert [one.place for one in read_folder(tmp_path / "cloth").images] == ["test/good/a.png", "test/hole/0.png"]


def test_names_are_composed(tmp_path: Path) -> None:
    found = read(tmp_path, unicodedata.normalize("NFD", "test/größe/ä.png"))
    assert [(one.name, one.kind) for one in found.images] == [("größe/ä.png", "größe")]


def test_folders_of_no_category_are_refused_in_plain_words(tmp_path: Path) -> None:
    folder_of(tmp_path / "all", "cloth/train/good/0.png", "tile/test/good/0.png")
    assert is_category_folder(tmp_path / "all" / "cloth")
    for path, words in (
        ("nowhere", "no such folder"),
        ("all", "cloth, tile"),
        ("all/cloth/train/good/0.png", "a file"),
    ):
        with pytest.raises(NotAnImageFolder, match=words):
            read_folder(tmp_path / path)


@pytest.mark.parametrize(
    "place",
    ["hole/000_mask.png", "hole/000_mask.PNG", "HOLE/000_MASK.bmp", "hole/000.tif", "hole/000.jpg.png",
     "hole/000_gt.png", "hole/mask_000.png", "hole/000-mask-2.png", "hole/000/0.png", "hole/000_mask/7.png",
     "hole/000_ground_truth.png"],
)  # fmt: skip
def test_masks_have_many_names(tmp_path: Path, place: str) -> None:
    found = read(tmp_path, "test/hole/000.jpg", "test/hole/001.jpg", "test/good/000.jpg", f"ground_truth/{place}")
    images, left_out = with_masks(found)
    assert {one.name: [path.name for path in one.masks] for one in images if one.masks} == {
        "hole/000.jpg": [Path(place).name]
    }
    assert not left_out


def test_an_image_may_have_several_masks_and_lie_deeper(tmp_path: Path) -> None:
    found = read(
        tmp_path, "test/hole/cam1/000.png", "test/hole/cam2/000.png", "ground_truth/hole/cam1/000/a.png",
        "ground_truth/hole/cam1/000/b.png", "ground_truth/hole/cam2/000_mask.png",
    )  # fmt: skip
    images, left_out = with_masks(found)
    assert [[path.name for path in one.masks] for one in images] == [["a.png", "b.png"], ["000_mask.png"]]
    assert not left_out


def test_masks_beside_their_images_are_no_images(tmp_path: Path) -> None:
    found = read(tmp_path, "test/hole/0.png", "test/hole/0_GT.png", "test/hole/1_gt.png", "train/good/2.png",
                 "train/good/2_mask.bmp")  # fmt: skip
    assert [one.place for one in found.images] == ["train/good/2.png", "test/hole/0.png", "test/hole/1_gt.png"]
    assert whys(found).keys() == {"test/hole/0_GT.png", "train/good/2_mask.bmp"}


def test_masks_that_are_of_no_image_or_of_several_are_told(tmp_path: Path) -> None:
    found = read(
        tmp_path, "test/hole/000.png", "test/hole/000.bmp", "test/good/001.png", "train/good/002.png",
        "ground_truth/hole/000_mask.png", "ground_truth/good/001_mask.png", "ground_truth/good/002_mask.png",
        "ground_truth/003_mask.png",
    )  # fmt: skip
    images, left_out = with_masks(found)
    assert not any(one.masks for one in images)
    assert {one.path.removeprefix("ground_truth/"): one.why.partition(" ")[2] for one in left_out} == {
        "hole/000_mask.png": "that fit several images, whose names differ only in their suffixes",
        "good/001_mask.png": "of images that are no defects",
        "good/002_mask.png": "without an image",
        "003_mask.png": "without an image",
    }
