"""Training as a task: what ends up in the store and in the card."""

import logging
import shutil
from dataclasses import asdict, dataclass, replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from prefect.logging import disable_run_logger

from rd_core.calibration.holdout import Split
from rd_core.calibration.threshold import conformal_p_values
from rd_core.errors import EngineUnavailable
from rd_core.pictures import fitting_size
from rd_core.pictures.crop import Crop
from rd_core.pictures.image_statistics import image_statistics
from rd_core.pictures.image_view import ImageView
from storage.errors import StoreFull
from storage.filesystem import Store, open_store
from storage.labels import labels
from storage.labels.labels import Label
from storage.models import models
from tasks.retraining import refit_model as refit_module
from tasks.retraining.considered_normals import NEW, QUARANTINED, ConsideredNormal, write_considered
from tasks.retraining.gather_normals import GatheredNormals
from tasks.retraining.refit_model import RefitOrder, refit_model
from tasks.training import fit_model as fit_module
from tasks.training.fit_model import NoNormals, fit_model
from tasks.training.fitted_model import FittedModel
from tasks.training.ignored import ignored_by
from tasks.training.normal_images import NormalImages
from tasks.training.training_request import TrainingRequest
from tasks.worker.picture_reader import load_picture
from tasks.worker.scorer import warm_scorer
from tests.drift_plants import CORNER
from tests.factories import DAY, NOW, SIZE, png, put_images, put_model, quick_request
from tests.retraining_plants import put_labels, put_pictures


@dataclass(frozen=True)
class Trained:
    """A plant after a training; nobody writes into it."""

    store: Store
    normals: list[str]
    fitted: FittedModel


def put_normals(store: Store) -> list[str]:
    """24 normals of 12 parts, one more that is a copy, and one that does not decode."""
    keys = put_images(store, "cloth", [f"part{i // 2:02}_view{i % 2}.png" for i in range(24)])
    copy, broken = (f"images/cloth/2026-03-02/part9{i}_x.png" for i in range(2))
    store.write(copy, png(0))
    store.write(broken, b"not an image")
    everything = [*keys, copy, broken]
    labels.write_labels(store, "cloth", [Label(key, "normal", None, "me", NOW) for key in everything], "normals")
    return keys


@pytest.fixture
def normals(store: Store) -> list[str]:
    return put_normals(store)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """One training for all who only look at what it left."""
    store = open_store(tmp_path_factory.mktemp("trained") / "plant", create=True)
    with disable_run_logger():
        normals = put_normals(store)
        fitted = fit(store)
    return Trained(store, normals, fitted)


def fit(store: Store, *, promote: bool = False, later: int = 0, **changes: object):
    return fit_model.fn(
        store.uri,
        store.uri,
        quick_request(**changes),
        run_id="run-1",
        now=NOW + timedelta(seconds=later),
        promote=promote,
    )


def test_the_card_says_what_was_seen_and_set(trained: Trained) -> None:
    normals, fitted = trained.normals, trained.fitted
    card = models.read_card(trained.store, "cloth", fitted.version)
    sets = [card.images.train, card.images.early_stop, card.images.calibration]
    assert sorted(key for keys in sets for key in keys) == sorted(normals)
    parts = [{key.split("part")[1][:2] for key in keys} for keys in sets]
    assert parts[0].isdisjoint(parts[1]) and parts[0].isdisjoint(parts[2]) and parts[1].isdisjoint(parts[2])
    assert card.images.duplicates == ("images/cloth/2026-03-02/part90_x.png",)
    assert list(card.images.unreadable) == ["images/cloth/2026-03-02/part91_x.png"]
    assert len(card.calibration.scores) == fitted.calibration == len(sets[2])
    assert card.threshold.alpha == 0.2
    assert card.method.settings["training"]["steps"] == 2
    assert card.method.settings["teacher"] == "efficientnet_lite0"
    assert len(card.images.digest) == 64
    assert card.software["torch"]


@pytest.mark.parametrize(
    ("precision", "setting", "engine", "why", "may_mirror"),
    [("float32", "openvino", "openvino", "the settings", False), ("bfloat16", "auto", "torch", "bfloat16", True)],
)
def test_the_published_model_scores_its_calibration_images_as_the_card_says(
    store: Store, normals: list[str], precision: str, setting: str, engine: str, why: str, may_mirror: bool
) -> None:
    ignore = None if may_mirror else CORNER
    levels = {"white_level": 4095.0, "black_level": 64.0, "view": ImageView(SIZE, SIZE, ignore=ignore)}
    fitted = fit(store, precision=precision, engine=setting, mirrored_below=150 if may_mirror else 0, **levels)
    card = models.read_card(store, "cloth", fitted.version)
    assert (ignored_by(card), fitted.ignored) == (ignore, pytest.approx(0.25 if ignore else 0, abs=0.002))
    assert card.fit.figures["mirrored"] is may_mirror  # noise looks alike in a mirror
    assert (card.engine.library, card.engine.images_per_second) == (engine, {}) and why in card.engine.why
    assert card.method.settings["precision"] == precision
    scorer = warm_scorer(store, "cloth", fitted.version)
    assert (scorer.image_format.white_level, scorer.image_format.black_level) == (4095, 64)
    pictures = [load_picture(scorer.image_format, store.read(key)) for key in card.images.calibration]
    found = np.sort(scorer.score(pictures).scores)
    np.testing.assert_allclose(found, card.calibration.scores, rtol=1e-5)
    assert (found > scorer.threshold * (1 + 1e-5)).mean() <= 0.2
    assert conformal_p_values(found, scorer.calibration_scores).max() == pytest.approx(1.0)


def test_the_card_keeps_the_calibration_images_statistics_in_the_order_of_their_scores(trained: Trained) -> None:
    card = models.read_card(trained.store, "cloth", trained.fitted.version)
    kept = card.calibration.statistics
    scorer = warm_scorer(trained.store, "cloth", card.version)
    pixels = [scorer.image_format.prepare(trained.store.read(key))[0] for key in card.images.calibration]
    found = scorer.model.score(np.stack(pixels))
    order = np.argsort(found.scores)
    seen = [asdict(image_statistics(pixels[i])) for i in order]
    for name in seen[0]:
        np.testing.assert_allclose(kept[name], [one[name] for one in seen], rtol=1e-6)
    np.testing.assert_allclose(kept["feature_distance"], found.feature_distances[order], rtol=1e-4)
    assert len(set(kept["sharpness"])) == len(pixels) > 1


def test_the_first_version_is_champion_and_the_next_a_candidate(
    trained: Trained, store: Store, normals: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert trained.fitted.champion
    assert models.read_champion(trained.store, "cloth").version == trained.fitted.version
    versions = iter(("v1", "v2", "v3"))

    def published(*_: object, **__: object) -> FittedModel:
        version = put_model(store, "cloth", next(versions), champion=False)
        return replace(trained.fitted, version=version, champion=False)

    monkeypatch.setattr(fit_module, "fit_and_publish", published)
    assert [fit(store).champion, fit(store).champion] == [True, False]
    assert models.read_champion(store, "cloth").version == "v1"
    assert fit(store, promote=True).champion
    champion = models.read_champion(store, "cloth")
    assert champion.version == "v3"
    assert [earlier.version for earlier in champion.history] == ["v1"]


@pytest.fixture(scope="module")
def killed_plant(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of a training that kept its state after the last step and was killed before its model was published."""
    store = open_store(tmp_path_factory.mktemp("killed") / "plant", create=True)
    put_normals(store)
    with pytest.MonkeyPatch.context() as patch, disable_run_logger():
        patch.setattr("tasks.training.unfinished_training.APART", 0.0)
        patch.setattr(fit_module, "judge_held_out", _killed)
        with pytest.raises(KeyboardInterrupt):
            fit(store)
    return Path(store.uri)


@pytest.fixture
def killed(store: Store, killed_plant: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The state that it left, in a store of the test's own; the key."""
    shutil.copytree(killed_plant, store.uri, dirs_exist_ok=True)
    monkeypatch.setattr("tasks.training.unfinished_training.APART", 0.0)
    (state,) = store.list("trainings/cloth/")
    return state.key


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    """What a run would log."""
    for module in ("fit_model", "unfinished_training"):
        monkeypatch.setattr(f"tasks.training.{module}.get_run_logger", lambda: logging.getLogger("run"))
    return caplog


def _killed(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


def steps_told(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    steps: list[int] = []

    def told(category: str, phase: str, done: int = 0, total: int | None = None) -> None:
        if phase == "steps" and done:
            steps.append(done)

    monkeypatch.setattr(fit_module, "tell_phase", told)
    return steps


def test_a_killed_training_goes_on_and_publishes_the_same_weights(
    store: Store, killed: str, trained: Trained, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = steps_told(monkeypatch)
    again = fit(store)
    assert steps == []  # they were made already
    assert list(store.list("trainings/")) == []
    undisturbed = models.read_weights(trained.store, "cloth", trained.fitted.version)
    assert models.read_weights(store, "cloth", again.version) == undisturbed


def test_a_training_of_other_settings_or_images_begins_with_its_first_step(
    store: Store, killed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = steps_told(monkeypatch)
    fit(store, seed=1)
    labels.write_labels(
        store, "cloth", [Label(put_images(store, "cloth", ["new.png"])[0], "normal", None, "me", NOW)], "more"
    )
    fit(store, later=1)
    assert steps == [1, 2, 1, 2]
    assert [info.key for info in store.list("trainings/")] == [killed]


def test_a_training_of_other_pixels_or_folds_never_goes_on_from_a_state(monkeypatch: pytest.MonkeyPatch) -> None:
    names = tuple(f"part1_view{i}.png" for i in range(3))

    def digest(split: Split = Split((0,), (1,), (2,)), **changes: object) -> str:
        return fit_module._digest(quick_request(**changes), NormalImages(names, "d", (), (), {}), split, None)

    found = [digest(), digest(white_level=4095.0), digest(black_level=5.0)]
    found += [
        digest(view=ImageView(SIZE, SIZE, ignore=CORNER)),
        digest(view=ImageView(SIZE, SIZE, Crop.of([1, 0, 8, 8]))),
    ]
    cross = Split((0,), (1,), ())
    found += [digest(cross), digest(cross, part_pattern=r"(?P<part>view\d)")]
    monkeypatch.setattr(fit_module, "PREPROCESSING_VERSION", "another")
    assert len({*found, digest()}) == 8


def test_a_damaged_state_is_told_and_the_training_begins_anew(
    store: Store, killed: str, monkeypatch: pytest.MonkeyPatch, log: pytest.LogCaptureFixture
) -> None:
    store.write(killed, store.read(killed)[:-3])
    steps = steps_told(monkeypatch)
    fit(store)
    assert steps == [1, 2]
    assert "training starts from scratch category=cloth" in log.text
    assert list(store.list("trainings/")) == []


def test_a_state_that_cannot_be_kept_costs_no_training(
    store: Store, normals: list[str], monkeypatch: pytest.MonkeyPatch, log: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("tasks.training.unfinished_training.APART", 0.0)
    write = type(store).write

    def full(self: Store, key: str, data: bytes) -> None:
        if key.startswith("trainings/"):
            raise StoreFull("the disk is full.")
        write(self, key, data)

    monkeypatch.setattr(type(store), "write", full)
    assert fit(store).champion
    assert "training state not stored category=cloth: the disk is full." in log.text


def test_a_model_that_no_night_could_score_is_not_trained(store: Store, normals: list[str]) -> None:
    with pytest.raises(EngineUnavailable, match="nothing was trained"):
        fit(store, engine="openvino", precision="bfloat16")
    assert models.list_versions(store, "cloth") == []


def test_no_normals_is_told_with_the_cure(store: Store) -> None:
    put_images(store, "cloth", ["a.png"])
    store.write("labels/cloth/export.json", b"[]")
    with pytest.raises(NoNormals, match=r"labels/cloth/export\.json is not a label file.*rd-inspect import"):
        fit(store)


@pytest.fixture
def gathered(store: Store, normals: list[str], monkeypatch: pytest.MonkeyPatch) -> dict[str, object]:
    """What is handed on to be trained, in place of a training; the champion is the quick model of 64 pixels."""
    put_model(store, "cloth")
    rows = [
        ConsideredNormal(key, NEW if i < 20 else QUARANTINED, None, True, DAY, None, "ada", NOW)
        for i, key in enumerate(normals)
    ]
    write_considered(store, "considered.parquet", rows)
    handed: dict[str, object] = {}

    def keep(_store: Store, _images: Store, request: TrainingRequest, images: object, split: object, **more: object):
        handed.update(request=request, normals=images, split=split, **more)
        return FittedModel("cloth", "v2", "padim", 1, 1, 1, 0, 0, "1 step", 0.1, 1.0, False, False)

    monkeypatch.setattr(refit_module, "fit_and_publish", keep)
    return handed


def refit(store: Store, *, champion: str = "v1", from_scratch: bool = False, **changes: object) -> FittedModel:
    found = GatheredNormals("cloth", champion, "considered.parquet", {NEW: 20, QUARANTINED: 4}, 0, None)
    order = RefitOrder(quick_request(**changes), found, from_scratch)
    return refit_model.fn(store.uri, store.uri, order, run_id="run-2", now=NOW)


def test_a_refit_takes_the_chosen_normals_alone_and_holds_whole_parts_out(
    store: Store, normals: list[str], gathered: dict
) -> None:
    fitted = refit(store)
    used, split = gathered["normals"], gathered["split"]
    assert used.keys == tuple(normals[:20])
    sets = [{used.names[i][:6] for i in chosen} for chosen in (split.train, split.calibration, split.test)]
    assert split.test and not sets[2] & (sets[0] | sets[1])
    retraining = gathered["retraining"]
    assert set(retraining.provenance) == set(used.keys)
    assert retraining.provenance[normals[0]].labelled_by == "ada"
    assert retraining.considered == {NEW: 20, QUARANTINED: 4}
    assert not fitted.champion and models.read_champion(store, "cloth").version == "v1"


def test_a_refit_goes_on_from_the_champion_unless_its_settings_differ_or_scratch_is_asked_for(
    store: Store, gathered: dict
) -> None:
    stride = 1  # the champion's
    assert refit(store, map_stride=stride).started_from == "v1"
    assert gathered["start"].settings.of_weights() == quick_request(map_stride=stride).settings.of_weights()
    assert refit(store, map_stride=stride, from_scratch=True).started_from is gathered["start"] is None
    assert refit(store, map_stride=stride, image_height=2 * SIZE).started_from is gathered["start"] is None
    assert gathered["retraining"].started_from is None


def test_a_refit_from_the_champion_trains_on_whatever_that_has_learnt_from(
    store: Store, normals: list[str], gathered: dict
) -> None:
    refit(store, map_stride=1)
    drawn = gathered["split"]
    learnt = [normals[min(drawn.test)], normals[min(drawn.calibration)]]
    old, weights = models.read_card(store, "cloth", "v1"), models.read_weights(store, "cloth", "v1")
    for version, some in (("v2", learnt), ("v3", [normals[number] for number in drawn.calibration])):
        card = replace(old, version=version, images=replace(old.images, train=tuple(some)))
        models.publish_model(store, card, weights)
    assert refit(store, champion="v2", map_stride=1).started_from == "v2"
    names, split = gathered["normals"].names, gathered["split"]
    pieces = {key.rsplit("/", 1)[1][:6] for key in learnt}
    assert pieces <= {names[number][:6] for number in split.train}
    assert not pieces & {names[number][:6] for number in (*split.early_stop, *split.calibration, *split.test)}
    assert refit(store, champion="v3", map_stride=1).started_from is gathered["start"] is None


def test_a_size_left_to_the_images_is_the_normals_and_in_a_retraining_the_champions(
    store: Store, gathered: dict, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fitting_size, "LEAST_PIXELS", SIZE**2)
    keys = put_pictures(store, "wide", np.random.default_rng(0).integers(0, 255, (12, 40, 100, 3)).astype(np.uint8))
    put_labels(store, "wide", "normals", keys)
    fitted = fit(store, category="wide", part_pattern=None, size_is_auto=True)
    kept = models.read_card(store, "wide", fitted.version).preprocessing
    assert (kept.view["height"], kept.view["width"]) == (32, 96)
    assert kept.size_choice == fitted.size_choice and "at 32 x 96 pixels" in (fitted.size_choice or "")
    refit(store, size_is_auto=True, image_height=2 * SIZE)
    asked = gathered["request"]
    assert asked.settings.image_height == SIZE and "as the champion v1" in (asked.size_choice or "")


def test_a_cross_fitted_refit_starts_from_scratch_and_still_holds_whole_parts_out(
    store: Store,
    normals: list[str],
    gathered: dict,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(refit_module, "get_run_logger", lambda: logging.getLogger("run"))
    caplog.set_level(logging.INFO)
    assert refit(store, calibration="cross").started_from is gathered["start"] is None
    assert (
        "from scratch: all its normals set the threshold, and the champion v1 has learnt from the parts"
        in caplog.text
    )
    split, names = gathered["split"], gathered["normals"].names
    assert split.calibration == () and len(split.test) + len(split.train) + len(split.early_stop) == 20
    assert not {names[i][:6] for i in split.test} & {names[i][:6] for i in (*split.train, *split.early_stop)}
