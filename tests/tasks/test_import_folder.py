"""Importing an MVTec-layout folder."""

from datetime import timedelta
from pathlib import Path

import pytest

from storage import labels
from storage.filesystem import Store
from tasks.import_folder import NotAnImageFolder, find_images, import_images
from tests.factories import DAY, NOW, png

BEFORE = DAY - timedelta(days=1)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "cloth photos"
    files = {
        "train/good/000.png": png(0),
        "train/good/001.png": png(1),
        "test/good/000.png": png(2),
        "test/big hole/000.png": png(3),
        "test/big hole/001.png": png(4),
        "test/big hole/.DS_Store": b"",
        "ground_truth/big hole/000_mask.png": png(5),
    }
    for name, data in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return root


def bring_in(store: Store, folder: Path) -> dict[str, dict]:
    import_images(store, "cloth", find_images(folder, "cloth", DAY, BEFORE), labelled_at=NOW)
    return {row["image_key"]: row for row in labels.read_labels(store, "cloth").to_pylist()}


def test_images_labels_and_masks_find_their_places(store: Store, folder: Path) -> None:
    rows = bring_in(store, folder)
    assert {key: (row["label"], row["kind"]) for key, row in rows.items()} == {
        f"images/cloth/{BEFORE}/good/000.png": ("normal", None),
        f"images/cloth/{BEFORE}/good/001.png": ("normal", None),
        f"images/cloth/{DAY}/good/000.png": ("normal", None),
        f"images/cloth/{DAY}/big hole/000.png": ("anomalous", "big hole"),
        f"images/cloth/{DAY}/big hole/001.png": ("anomalous", "big hole"),
    }
    mask = rows[f"images/cloth/{DAY}/big hole/000.png"]["mask_key"]
    assert store.read(mask) == png(5)
    assert rows[f"images/cloth/{DAY}/big hole/001.png"]["mask_key"] is None
    assert store.read(f"images/cloth/{DAY}/big hole/000.png") == png(3)


def test_importing_again_changes_no_image(store: Store, folder: Path) -> None:
    bring_in(store, folder)
    before = [(info.key, info.etag) for info in store.list("images/")]
    bring_in(store, folder)
    assert [(info.key, info.etag) for info in store.list("images/")] == before
    (folder / "test" / "good" / "000.png").write_bytes(png(9))
    bring_in(store, folder)
    changed = [info.key for info in store.list("images/") if (info.key, info.etag) not in before]
    assert changed == [f"images/cloth/{DAY}/good/000.png"]


def test_only_train_good_is_trained_on(store: Store, folder: Path) -> None:
    bring_in(store, folder)
    assert labels.normal_image_keys(store, "cloth") == [
        f"images/cloth/{BEFORE}/good/000.png",
        f"images/cloth/{BEFORE}/good/001.png",
    ]


def test_another_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NotAnImageFolder, match="train/good"):
        find_images(tmp_path, "cloth", DAY, BEFORE)
