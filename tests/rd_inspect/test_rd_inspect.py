"""A store from Python: the same scores as a night's, of files and of arrays."""

import io
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import rd_inspect
from rd_core.pictures.crop import Crop
from storage.filesystem import Store, open_store
from storage.labels.labels import Label, write_labels
from tests.factories import CALIBRATION, DAY, NOW, SIZE, png, put_model, write_settings
from tests.photo_folders import write_files
from tests.storage import small_nights


@pytest.fixture
def store(tmp_path: Path) -> Store:
    plant = open_store(tmp_path / "plant", create=True)
    put_model(plant, "cloth")
    return plant


def test_files_and_arrays_have_the_same_scores(store: Store, tmp_path: Path) -> None:
    grey = np.random.default_rng(0).integers(0, 256, (30, 50), dtype=np.uint8)
    out = io.BytesIO()
    Image.fromarray(grey).save(out, "PNG")
    write_files(tmp_path, {"grey.png": out.getvalue(), "cut.png": png(1)[:90]})
    model = rd_inspect.open_store(store.uri).model("cloth")
    paths = [tmp_path / "grey.png", str(tmp_path / "cut.png"), tmp_path]
    rows = model.score([*paths, grey, np.repeat(grey[..., None], 3, axis=2), np.flip(grey)])
    scores = rows["score"].to_pylist()
    assert scores[0] == scores[3] == scores[4] != scores[5]
    assert rows["path"].to_pylist() == [*map(str, paths), None, None, None]
    assert [bool(error) for error in rows["error"].to_pylist()] == [False, True, True, False, False, False]
    assert rows["image_height"].to_pylist()[3:] == [30] * 3
    for alone in (grey, paths[0], str(paths[0])):
        assert model.score(alone)["score"].to_pylist() == scores[:1]
    assert model.score(np.stack([grey, grey]))["score"].to_pylist() == scores[:1] * 2
    assert model.score([]).schema == rows.schema


def test_one_picture_has_its_map_and_its_decision(store: Store, tmp_path: Path) -> None:
    model = rd_inspect.open_store(store.uri).model("cloth")
    write_files(tmp_path, {"a.png": png(3, (2 * SIZE, 3 * SIZE))})
    found = model.detect(tmp_path / "a.png")
    [row] = model.score(tmp_path / "a.png").to_pylist()
    assert (found.score, found.p_value, found.decision) == (row["score"], row["p_value"], row["decision"])
    assert (found.boxes, found.is_anomalous, found.threshold) == (row["defect_boxes"], True, model.threshold)
    assert (found.anomaly_map.dtype, found.anomaly_map.shape) == (np.float32, (SIZE, SIZE))
    assert found.anomaly_map.max() == np.float32(found.score)
    large = found.map_of_picture()
    assert (large.dtype, large.shape) == (np.float32, (2 * SIZE, 3 * SIZE))
    assert large.mean() == pytest.approx(found.anomaly_map.mean(), rel=1e-3)
    assert model.alpha == 0.05 and model.card.calibration.scores == tuple(CALIBRATION)


def test_the_map_of_a_cropped_picture_lies_where_the_model_looked(store: Store) -> None:
    put_model(store, "cloth", "v2", crop=Crop.of([10, 0, SIZE, 2 * SIZE]))
    model = rd_inspect.open_store(store.uri).model("cloth")
    picture = np.random.default_rng(0).integers(0, 256, (SIZE + 30, 2 * SIZE + 5), dtype=np.uint8)
    found = model.detect(picture)
    whole = found.map_of_picture()
    assert found.covered == (10, 0, SIZE, 2 * SIZE)
    assert whole.shape == picture.shape
    assert whole[10 : 10 + SIZE, : 2 * SIZE].mean() == pytest.approx(found.anomaly_map.mean(), rel=1e-3)
    assert not whole[:10].any() and not whole[10 + SIZE :].any() and not whole[:, 2 * SIZE :].any()
    with pytest.raises(rd_inspect.UnreadableImage, match="reaches beyond"):
        model.detect(picture[:20])
    assert model.score([picture[:20]])["status"].to_pylist() == ["unreadable"]


@pytest.mark.parametrize("array", [np.zeros((4, 4)), np.zeros((4, 4, 4), np.uint8), np.zeros((0, 4), np.uint8)])
def test_an_array_that_is_no_picture_is_refused(store: Store, array: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"no image.*uint8 \(height, width\)"):
        rd_inspect.open_store(store.uri).model("cloth").detect(array)


def test_a_file_that_is_no_picture_has_no_map(store: Store, tmp_path: Path) -> None:
    with pytest.raises(rd_inspect.UnreadableImage, match=r"no\.png: there is no such file"):
        rd_inspect.open_store(store.uri).model("cloth").detect(tmp_path / "no.png")


def test_what_cannot_be_loaded_is_told_in_words(store: Store, tmp_path: Path) -> None:
    put_model(store, "felt", "v7", champion=False)
    put_model(store, "foil", preprocessing="another")
    plant = rd_inspect.open_store(store.uri)
    assert (plant.categories(), plant.versions("felt")) == (["cloth", "felt", "foil"], ["v7"])
    assert plant.model("felt", "v7").version == "v7"
    for names, words in (
        (("clot",), "did you mean 'cloth'"),
        (("cloth", "v3"), "Published: v1"),
        (("felt",), "v7"),
        (("foil",), "Train again"),
    ):
        with pytest.raises(rd_inspect.StorageError, match=words):
            plant.model(*names)
    write_settings(store, alfa=1)
    with pytest.raises(rd_inspect.ModelNotUsable, match="alfa"):
        plant.model("cloth")
    with pytest.raises(rd_inspect.StorageError, match="nowhere"):
        rd_inspect.open_store(tmp_path / "nowhere")


def test_scores_labels_and_maps_are_those_of_the_store(tmp_path: Path) -> None:
    store = open_store(tmp_path / "plant", create=True)
    for category in ("cloth", "felt"):
        small_nights.put_model(store, category)
        small_nights.put_images(store, "a.png", "b.png", "c.png", category=category)
        night = small_nights.put_night(store, category)
    write_labels(store, "cloth", [Label(f"images/cloth/{DAY}/a.png", "normal", None, "eva", NOW)], "first")
    plant = rd_inspect.open_store(store.uri)
    rows = plant.scores("cloth")
    assert rows["image_key"].to_pylist() == [f"images/cloth/{DAY}/{name}.png" for name in "abc"]
    assert plant.scores().num_rows == 6
    assert plant.scores(first_day=DAY, last_day=DAY).num_rows == 6
    a_day = timedelta(days=1)
    assert plant.scores(last_day=DAY - a_day).num_rows == plant.scores(first_day=DAY + a_day).num_rows == 0
    assert plant.scores("it's").num_rows == plant.labels("it's").num_rows == 0
    assert plant.labels("cloth")["label"].to_pylist() == plant.labels()["label"].to_pylist() == ["normal"]
    row = rows.to_pylist()[0]
    anomaly_map = plant.anomaly_map(row["map_store"], row["map_index"])
    assert anomaly_map.dtype == np.float32
    assert anomaly_map.max() == np.float16(row["score"])
    assert list(rows.to_pandas()["status"]) == ["ok", "ok", "unreadable"]
    assert plant.query("SELECT count(*) AS n FROM seals")["n"].to_pylist() == [2]
    store.write(night.parts[0].key, b"cut")
    with pytest.raises(rd_inspect.StorageError):
        plant.scores()
