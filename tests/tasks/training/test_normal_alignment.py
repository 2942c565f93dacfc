"""A category whose images are aligned: its training, its scores, and where its defects lie."""

import io
from dataclasses import dataclass

import numpy as np
import pytest
from PIL import Image
from prefect.logging import disable_run_logger

from demo import printed_part, woven_cloth
from rd_core.detectors.padim.settings import PaDiMSettings
from rd_core.errors import AlignmentUnavailable, NoCommonPart, TooFewNormals
from rd_core.pictures import alignment
from rd_core.pictures.alignment import OFFSET_COLUMNS, Offset
from rd_core.pictures.image_view import ImageView
from storage.filesystem import Store, open_store
from storage.labels import labels
from storage.labels.labels import Label
from storage.layout import image_key
from storage.models import models
from tasks.night.pin_champion import pin_champion
from tasks.scoring.picture_scores import columns_of, score_pictures
from tasks.training import fit_model as fit_module
from tasks.training.fit_model import fit_model
from tasks.training.fitted_model import FittedModel
from tasks.worker.picture_reader import load_picture
from tasks.worker.scorer import Scorer, warm_scorer
from tests.factories import DAY, NOW, SIZE, quick_request

SIDE = 96
NORMALS = 12


@dataclass(frozen=True)
class Trained:
    store: Store
    fitted: FittedModel
    scorer: Scorer


def drawn(number: int, source=printed_part) -> np.ndarray:
    return np.round(source.draw(np.random.default_rng([8, number]), SIDE) * 255).astype(np.uint8)


def png(picture: np.ndarray) -> bytes:
    out = io.BytesIO()
    Image.fromarray(picture).save(out, "PNG")
    return out.getvalue()


def put_normals(store: Store, pictures: list[np.ndarray]) -> None:
    keys = [image_key("cloth", DAY, f"part{number:02}_0.png") for number in range(len(pictures))]
    for key, picture in zip(keys, pictures, strict=True):
        store.write(key, png(picture))
    labels.write_labels(store, "cloth", [Label(key, "normal", None, "me", NOW) for key in keys], "normals")


def fit(store: Store) -> FittedModel:
    method = PaDiMSettings(image_height=SIZE, image_width=SIZE, dimensions=20)
    request = quick_request(align="shift", settings=method)
    with disable_run_logger():
        return fit_model.fn(store.uri, store.uri, request, run_id="run-1", now=NOW, promote=True)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """A training on moved parts, and one image of something else among them."""
    store = open_store(tmp_path_factory.mktemp("aligned") / "plant", create=True)
    rng = np.random.default_rng(0)
    moved = [Offset(*rng.integers(-4, 5, 2).tolist()).aligned(drawn(number)) for number in range(NORMALS)]
    put_normals(store, [*moved, drawn(0, woven_cloth)])
    fitted = fit(store)
    return Trained(store, fitted, warm_scorer(store, "cloth", fitted.version))


def columns(trained: Trained, picture: np.ndarray) -> dict:
    loaded = load_picture(trained.scorer.image_format, png(picture))
    (scored,) = score_pictures(trained.scorer, [loaded])
    return columns_of(scored, trained.scorer)


def test_the_card_has_the_median_normal_and_leaves_out_what_is_not_the_part(trained: Trained) -> None:
    card = models.read_card(trained.store, "cloth", trained.fitted.version)
    kept = ImageView.from_dict(card.preprocessing.view).align
    assert kept is not None
    assert kept.kind == "shift"
    assert len(card.images.used) == NORMALS
    offsets = [card.calibration.statistics[name] for name in OFFSET_COLUMNS]  # which drift reports compare
    assert [len(of) for of in offsets] == [len(card.calibration.scores)] * 3
    assert [float(np.ptp(of)) > 2 for of in offsets] == [True, True, False]
    ((foreign, why),) = card.images.unreadable.items()
    assert foreign.endswith(f"part{NORMALS:02}_0.png")
    assert "does not look like the part" in why
    assert "1 of 13 labelled normals are not used" in (trained.fitted.left_out or "")


def test_a_moved_part_has_the_pixels_of_the_part_at_rest_and_an_offset_in_its_row(trained: Trained) -> None:
    rest, moved = drawn(50), Offset(-5, 3).aligned(drawn(50))
    at_rest, there = columns(trained, rest), columns(trained, moved)
    assert (there["offset_x"] - at_rest["offset_x"], there["offset_y"] - at_rest["offset_y"]) == (5, -3)
    assert there["rotation"] == 0
    inner = np.s_[12:-12, 12:-12]
    shown = [load_picture(trained.scorer.image_format, png(one)).pixels[inner] for one in (rest, moved)]
    np.testing.assert_array_equal(*shown)


def test_the_box_of_a_defect_lies_on_the_image_as_it_is(trained: Trained) -> None:
    picture = Offset(-6, -6).aligned(drawn(51))
    loaded = load_picture(trained.scorer.image_format, png(picture))
    view, size = trained.scorer.image_format.view, (SIDE, SIDE)
    mask = np.zeros(size, bool)
    mask[60:66, 30:40] = True
    on_map = view.mask_on_map(mask, view.size, size, loaded.offset)
    rows, columns = np.nonzero(on_map)
    region = type("Region", (), {"top": int(rows.min()), "left": int(columns.min()), "peak": 1.0})()
    region.height, region.width = int(np.ptp(rows)) + 1, int(np.ptp(columns)) + 1
    (box,) = view.boxes([region], size, view.size, loaded.offset)
    at_rest = load_picture(trained.scorer.image_format, png(drawn(51)))
    (without,) = view.boxes([region], size, view.size, at_rest.offset)
    assert (box["top"] - without["top"], box["left"] - without["left"]) == (6, 6)
    bottom, right = box["top"] + box["height"], box["left"] + box["width"]
    assert 57 <= box["top"] <= 60
    assert 27 <= box["left"] <= 30
    assert 66 <= bottom <= 69
    assert 40 <= right <= 43


def test_a_map_lies_over_the_defect_in_the_image_as_it_is(trained: Trained) -> None:
    size, view = (SIDE, 2 * SIDE), trained.scorer.image_format.view
    offset, mask = Offset(9, -6, 20), np.zeros((SIDE, 2 * SIDE), bool)
    mask[40:60, 90:120] = True
    on_map = view.mask_on_map(mask, view.size, size, offset).astype(np.float32)
    over, box = view.over_image(on_map, size, offset)
    assert box == (0, 0, *size)
    shown = np.asarray(Image.fromarray(over).resize(size[::-1])) > 0.5
    assert np.count_nonzero(shown & mask) > 0.8 * np.count_nonzero(mask)
    assert np.count_nonzero(shown & ~mask) < 0.4 * np.count_nonzero(mask)
    np.testing.assert_array_equal(view.over_image(on_map, size)[0], on_map)


def test_what_lies_beyond_the_image_does_not_count(trained: Trained) -> None:
    loaded = load_picture(trained.scorer.image_format, png(Offset(-8, 0).aligned(drawn(52))))
    assert loaded.counted is not None
    assert not loaded.counted[:, -3:].any()
    assert loaded.counted[:, :-8].all()


def test_an_image_of_something_else_is_a_row_with_the_reason(trained: Trained) -> None:
    row = columns(trained, drawn(1, woven_cloth))
    assert row["status"] == "unreadable"
    assert row["score"] is None
    assert "does not look like the part: correlation" in row["error"]


def test_normals_without_a_common_part_are_refused(store: Store) -> None:
    put_normals(store, [np.random.default_rng(n).integers(0, 256, (SIDE, SIDE, 3), np.uint8) for n in range(NORMALS)])
    with pytest.raises(NoCommonPart, match="Nothing was trained"):
        fit(store)


def test_a_set_without_any_image_of_the_part_is_refused(store: Store, monkeypatch) -> None:
    """One picture is all of them, so every other one is no picture of it."""
    put_normals(store, [drawn(number) for number in range(NORMALS)])
    fitted = alignment.fit_alignment

    def strict(kind, normals):
        return alignment.Alignment(kind, fitted(kind, normals).template, 0.9999)

    monkeypatch.setattr("tasks.training.normal_alignment.fit_alignment", strict)
    with pytest.raises(TooFewNormals, match=r"normals do not look like the part, and none is left for"):
        fit(store)


def test_a_machine_without_scikit_image_neither_trains_nor_starts_a_night(trained: Trained, monkeypatch) -> None:
    def gone() -> None:
        raise AlignmentUnavailable("not here")

    monkeypatch.setattr(fit_module, "require_alignment", gone)
    monkeypatch.setattr("tasks.night.pin_champion.require_alignment", gone)
    with pytest.raises(AlignmentUnavailable):
        fit(trained.store)
    with disable_run_logger(), pytest.raises(AlignmentUnavailable):
        pin_champion.fn(trained.store.uri, "cloth")
