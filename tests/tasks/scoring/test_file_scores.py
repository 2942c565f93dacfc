"""Files scored by hand: the rows of a night, to the last bit."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from demo.broken_files import odd_files
from proofs.stub_scorer import StubScorer
from storage.filesystem import Store
from storage.layout import image_key
from storage.partitions import scores
from storage.stores.left_out import LeftOut
from tasks.night.plan_batches import PartitionJob, plan_batches
from tasks.night.score_batch import score_batch
from tasks.scoring.file_scores import FILE_SCHEMA, FileScore, ReadyModel, file_rows, score_files
from tasks.scoring.local_pictures import pictures_named
from tasks.scoring.overlay_files import OverlayFolder
from tasks.worker.scorer import Scorer, warm_scorer
from tests.factories import DAY, NOW, SIZE, pinned, png, put_images, put_model
from tests.photo_folders import write_files


def scored(scorer: Scorer, *names: str) -> list[FileScore]:
    return [one for some in score_files(scorer, [pictures_named(names, LeftOut())]) for one in some]


def test_files_have_the_rows_of_their_night(store: Store) -> None:
    put_model(store, "cloth")
    put_images(store, "cloth", [f"{i:02}.png" for i in range(18)])
    for file in odd_files(np.full((SIZE, 2 * SIZE, 3), 90, np.uint8)):
        store.write(image_key("cloth", DAY, file.name), file.data)
    job = PartitionJob(store.uri, store.uri, DAY, pinned("cloth"), "run-1", NOW, batch_images=5)
    receipts = [score_batch.fn(store.uri, store.uri, batch) for batch in plan_batches.fn(job).batches]
    night = scores.read_scores(store, [receipt.part for receipt in receipts])
    scorer = warm_scorer(store, "cloth", "v1")
    found = scored(scorer, f"{store.uri}/images/cloth")
    rows = file_rows(ReadyModel("cloth", "v1", scorer), [one.picture.path for one in found],
                     [one.scored for one in found], [None] * len(found))  # fmt: skip
    assert rows["path"].to_pylist() == [f"{store.uri}/{key}" for key in night["image_key"].to_pylist()]
    assert set(rows["status"].to_pylist()) == {"ok", "unreadable"}
    for name in set(FILE_SCHEMA.names) & set(night.column_names):
        assert rows[name].equals(night[name].combine_chunks()), name
    missing = set(night.column_names) - set(FILE_SCHEMA.names)
    assert missing == {
        "image_key", "etag", "run_date", "captured_at", "map_store", "map_index", "scored_at", "run_id",
    }  # fmt: skip


def test_the_first_picture_is_scored_alone_and_what_cannot_be_opened_is_a_row(tmp_path: Path) -> None:
    write_files(tmp_path, {f"{i:02}.png": b"x" for i in range(20)})
    (tmp_path / "link.png").symlink_to("nowhere.png")
    parts = list(score_files(StubScorer(), [pictures_named([str(tmp_path), "nope.png"], LeftOut())]))
    assert [len(part) for part in parts] == [1, 16, 5]
    *_, link, nope = [one for part in parts for one in part]
    assert (link.scored.loaded.status, nope.scored.loaded.status) == ("unreadable", "unreadable")
    assert link.anomaly_map is None and "leads nowhere" in str(link.scored.loaded.error)
    assert nope.scored.loaded.error == "there is no such file"


def test_pictures_of_one_name_have_overlays_of_their_own(store: Store, tmp_path: Path) -> None:
    put_model(store, "cloth")
    scorer = warm_scorer(store, "cloth", "v1")
    photos = write_files(tmp_path, {f"{name}.png": png(seed, (40, 80)) for seed, name in enumerate(("a/x", "b/x"))})
    (photos / "seen").mkdir()
    (photos / "seen/x.png").write_bytes(b"mine")
    folder = OverlayFolder(photos / "seen", scorer)
    found = scored(scorer, str(photos / "a/x.png"), str(photos / "b/x.png"), str(photos / "no.png"))
    paths = [folder.write(one) for one in found]
    assert paths == [str(photos / "seen" / name) for name in ("x.png.overlay.png", "x.png-2.overlay.png")] + [None]
    pictures = [np.asarray(Image.open(path)) for path in paths if path]
    assert [one.shape for one in pictures] == [(40, 80, 3)] * 2
    assert not np.array_equal(*pictures)
    assert (photos / "seen/x.png").read_bytes() == b"mine"
    assert sorted(path.name for path in (photos / "seen").iterdir()) == [
        "x.png", "x.png-2.overlay.png", "x.png.overlay.png",
    ]  # fmt: skip


@pytest.mark.parametrize("data", [b"cut off", png(9)])
def test_a_picture_that_changed_since_it_was_scored_is_not_drawn(store: Store, tmp_path: Path, data: bytes) -> None:
    put_model(store, "cloth")
    scorer = warm_scorer(store, "cloth", "v1")
    write_files(tmp_path, {"a.png": png(1)})
    [one] = scored(scorer, str(tmp_path / "a.png"))
    (tmp_path / "a.png").write_bytes(data)
    assert OverlayFolder(tmp_path / "seen", scorer).write(one) is None
    assert not (tmp_path / "seen").exists()
