import copy
import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

from rd_core.detectors.batches import batches
from rd_core.detectors.checkpoint import from_bytes, to_bytes
from rd_core.detectors.feature_detector import Features
from rd_core.detectors.reverse_distillation.cell_discriminator import FINE, CellDiscriminator
from rd_core.detectors.reverse_distillation.descent import Sources, StudentDescent, learning_rate_at
from rd_core.detectors.reverse_distillation.detector import ReverseDistillation
from rd_core.detectors.reverse_distillation.loss import LOSSES
from rd_core.errors import ConfigError, TooFewNormals, TrainingDiverged
from rd_core.features.cache import AT_ONCE, CachedFeatures, StreamedFeatures, feature_bytes, stream_features
from rd_core.pictures.read_ahead import READ_AHEAD
from tests.rd_core.small_trainings import fit, small
from tests.rd_core.striped_images import SIZE, textured, with_blot


class Counted:
    """Images that know how often each was fetched and how many fetched ones are still alive."""

    def __init__(self, images):
        self.images = images
        self.fetched = np.zeros(len(images), int)
        self.alive = self.most_alive = 0
        self.lock = threading.Lock()

    def __len__(self):
        return len(self.images)

    def __getitem__(self, index):
        counts = self

        class Image(np.ndarray):
            def __del__(self):
                if self.base is None and getattr(self, "counted", False):
                    with counts.lock:
                        counts.alive -= 1

        image = np.ndarray.__new__(Image, self.images[index].shape, np.uint8)
        image[...] = self.images[index]
        image.counted = True
        with self.lock:
            self.fetched[index] += 1
            self.alive += 1
            self.most_alive = max(self.most_alive, self.alive)
        return image


def test_a_few_steps_separate_defective_images_from_normal_ones(fitted):
    normal = textured(12, seed=5)
    scores = np.r_[fitted.detector.score(normal).scores, fitted.detector.score(with_blot(normal)).scores]
    assert roc_auc_score(np.repeat([0, 1], 12), scores) > 0.95


def test_the_map_is_highest_where_the_blot_is(fitted):
    maps = fitted.detector.score(with_blot(textured(6, seed=6))).maps
    stride = fitted.detector.settings.map_stride
    peaks = [stride * np.array(np.unravel_index(m.argmax(), m.shape)) for m in maps]
    near = range(20 - FINE // 2, 36 + FINE // 2)  # on stripes as unquiet as these the finest cells decide
    assert np.mean([y in near and x in near for y, x in peaks]) > 0.8


def test_training_lowers_the_held_out_loss_and_keeps_the_best_validation(fitted):
    losses = {validation["step"]: validation["validation_loss"] for validation in fitted.report.figures["history"]}
    assert list(losses) == [15, 30, 45]
    assert losses[45] < 0.9 * losses[15]
    assert losses[fitted.report.figures["best_step"]] == min(losses.values())
    assert not fitted.detector.training


def test_cached_images_are_decoded_once_and_never_held_together(small_config):
    images = Counted(textured(60))
    fit(small(steps=2, batch_size=4, pseudo_anomalies=0, mirrored_below=0), images, textured(2, seed=1))
    assert (images.fetched == 1).all()
    assert images.most_alive <= READ_AHEAD + 2 * AT_ONCE  # one pass waiting, one in the teacher


def test_without_room_for_a_cache_features_are_computed_from_the_source_again(small_config, monkeypatch):
    def refuse(*args):
        raise AssertionError("cached in spite of the budget")

    plain = {"pseudo_anomalies": 0, "magnitude_loss": 0.0, "mirrored_below": 0}
    cached = fit(small(steps=4, batch_size=4, **plain), textured(12), textured(3, seed=1))
    monkeypatch.setattr("rd_core.detectors.feature_sources.CachedFeatures", refuse)
    images = Counted(textured(12))
    settings = small(steps=4, batch_size=4, **plain, feature_cache_bytes=1000)
    streamed = fit(settings, images, textured(3, seed=1))
    assert cached.report.figures["cached"]
    assert not streamed.report.figures["cached"]
    assert images.fetched.sum() == 12 + 4 * 4  # once for the standardisation, then at every step
    assert streamed.report.figures["history"][-1]["validation_loss"] == pytest.approx(
        cached.report.figures["history"][-1]["validation_loss"], rel=0.02
    )


def test_the_cache_gives_back_the_features_and_the_bytes_it_says_and_no_kill_leaves_them_on_the_disk(
    small_config, tmp_path, monkeypatch
):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    model = ReverseDistillation.build(small_config, pretrained=False)
    images = textured(AT_ONCE + 2)
    with CachedFeatures(model, images) as cache:
        for indices, features in stream_features(model, images):
            cache.put(indices.start, features)
        result = cache.batch([9, 0, 4])
        assert cache._rows.nbytes == feature_bytes(model, len(images))
        assert not list(tmp_path.iterdir())
    wanted = StreamedFeatures(model, images).batch([9, 0, 4])
    for a, b in zip(result, wanted, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-4)
        assert a.is_contiguous(memory_format=torch.channels_last)


def test_the_standardisation_is_of_the_training_images_alone(small_config):
    bright = np.full((4, SIZE, SIZE, 3), 255, np.uint8)
    settings = small(steps=1, batch_size=4)
    one, other = (fit(settings, textured(8), held).detector for held in (textured(4, seed=1), bright))
    assert torch.equal(one.standardisation.mean_0, other.standardisation.mean_0)


def test_the_papers_recipe_leaves_features_as_they_are():
    fitted = fit(small("paper", steps=2, batch_size=4), textured(8), textured(2, seed=1))
    assert (fitted.detector.standardisation.mean_0 == 0).all()
    assert (fitted.detector.standardisation.std_2 == 1).all()
    assert fitted.report.figures["best_step"] == 2


def test_images_of_any_size_are_resized_to_the_models(small_config):
    mixed = [*textured(4), *textured(4, 100, 80)]
    fitted = fit(small(steps=1, batch_size=4), mixed, textured(2, 30, 200))
    assert fitted.report.figures["steps"] == 1


def test_a_budget_of_seconds_ends_the_training(small_config):
    settings = small(steps=100_000, batch_size=4, seconds=0.5, pseudo_anomalies=1, pseudo_anomalies_in_all=0)
    fitted = fit(settings, textured(8), textured(2, seed=1))
    assert fitted.report.figures["stopped_by"] == "seconds"
    assert 0 < fitted.report.figures["steps"] < 1000
    assert fitted.report.figures["history"][-1]["step"] == fitted.report.figures["steps"]


def test_progress_tells_both_phases_to_their_end(small_config):
    reports = []
    settings = small(steps=3, batch_size=4, validate_every=2)
    fitted = fit(settings, textured(10), textured(3, seed=1), on_step=reports.append)
    features = [p for p in reports if p.phase == "features"]
    steps = [p for p in reports if p.phase == "steps"]
    everything = (20 + 3) * (1 + settings.training.synthetic_copies(10))
    assert fitted.report.figures["mirrored"]  # so there are 20 to train on
    assert (features[-1].done, features[-1].total) == (everything, everything)
    assert [p.done for p in steps] == [1, 2, 3]
    assert steps[0].validation_loss is None
    assert steps[1].validation_loss is not None
    assert all(p.loss > 0 for p in steps)


def test_a_fault_of_the_source_comes_through(small_config):
    class Broken(Counted):
        def __getitem__(self, index):
            if index == 5:
                raise OSError("gone")
            return super().__getitem__(index)

    with pytest.raises(OSError, match="gone"):
        fit(small(steps=3), Broken(textured(8)), textured(2))


def test_a_diverging_loss_is_an_error_and_no_model(small_config, monkeypatch):
    monkeypatch.setitem(LOSSES, "per_position", lambda t, s, _: s[0].sum() * float("nan"))
    with pytest.raises(TrainingDiverged, match="learning rate below"):
        fit(small(steps=3, batch_size=4), textured(8), textured(2))


def test_too_few_images_are_refused(small_config):
    with pytest.raises(TooFewNormals):
        fit(small(), textured(1), textured(1))


def test_an_epoch_shows_every_image_once_in_an_order_of_the_seed():
    order = batches(10, 4, seed=0)
    epochs = [np.concatenate([next(order) for _ in range(3)]) for _ in range(2)]
    assert all(sorted(epoch) == list(range(10)) for epoch in epochs)
    assert not np.array_equal(*epochs)


def test_a_batch_of_one_is_left_out():
    order = batches(9, 4, seed=0)
    assert [len(next(order)) for _ in range(4)] == [4, 4, 4, 4]


def test_one_cycle_rises_to_the_peak_and_falls_to_zero():
    settings = small(learning_rate=1.0, warm_up=0.25).training
    rates = [learning_rate_at(p, settings) for p in (0, 0.1, 0.25, 0.6, 1.0)]
    assert rates[0] < rates[1] < rates[2] == pytest.approx(1)
    assert rates[2] > rates[3] > rates[4] == pytest.approx(0)
    assert learning_rate_at(0.7, small("paper").training) == 0.005


def test_the_student_is_shown_synthetic_copies_of_the_same_images_and_some_as_they_are():
    """Features are the images' own numbers here, so that it shows where each came from."""

    class Numbered:
        def __init__(self, count):
            self.count = count

        def __len__(self):
            return self.count

        def batch(self, indices):
            return (torch.tensor(indices, dtype=torch.float32)[:, None, None, None],)

        def counted(self, indices):
            return None

    class Same:
        device = torch.device("cpu")
        bottleneck = student = None
        discriminators = ()

        def features(self, raw, counted):
            return Features(raw, raw, counted)

    settings = small(steps=1, batch_size=8, pseudo_anomalies=3, clean_share=0.25)
    run = StudentDescent(
        Same(), settings, Sources(Numbered(20), Numbered(2), Numbered(60), Numbered(6)), lambda _: None
    )
    indices = np.array([1, 4, 5, 9, 11, 12, 17, 19])
    normal = run._features(run.sources.train, indices)
    shown = torch.stack([run._shown(normal.raw, indices)[0].flatten() for _ in range(40)]).long()
    own = torch.tensor(indices)
    clean = shown == own
    assert (clean.sum(dim=1) == 2).all()
    assert clean.any(dim=0).all()  # not always the same images
    defective = torch.where(clean, 3 * own, shown)
    assert (defective // 3 == own).all()
    assert set((defective % 3)[~clean].tolist()) == {0, 1, 2}
    assert (normal.raw[0].flatten() == own).all()  # which are what the loss compares with


def test_without_pseudo_anomalies_the_student_is_shown_the_normals(small_config):
    run_settings = small(steps=1, batch_size=4, pseudo_anomalies=0)
    run = StudentDescent(
        ReverseDistillation.build(small_config, pretrained=False),
        run_settings,
        Sources([], [], [], []),
        lambda _: None,
    )
    normal = (torch.ones(4, 1, 1, 1),)
    assert run._shown(normal, np.arange(4)) is normal


def test_magnitude_counts_in_the_loss_as_much_as_it_is_told(small_config):
    target, result = (torch.randn(2, 3, 4, 4) for _ in range(2))
    losses = []
    for weight in (0.0, 1.0, 3.0):
        settings = small(steps=1, magnitude_loss=weight)
        run = StudentDescent(
            ReverseDistillation.build(small_config, pretrained=False),
            settings,
            Sources([], [], [], []),
            lambda _: None,
        )
        losses.append(float(run._loss(Features((), 3 * (target,)), 3 * (result,))))
    expected = 3 * float(torch.nn.functional.smooth_l1_loss(result, target))
    assert losses[1] - losses[0] == pytest.approx(expected, rel=1e-5)
    assert losses[2] - losses[0] == pytest.approx(3 * expected, rel=1e-5)


def test_a_fitted_blend_puts_normal_peaks_at_about_one(fitted):
    scores = fitted.detector.score(textured(12, seed=5)).scores
    assert fitted.detector.blend.magnitude.min() > 0
    assert 0.5 < scores.mean() < 1.3


def test_the_discriminator_is_shown_what_the_student_is_shown(small_config):
    """Cells of the defective copies stand for what is not normal; without copies there is noise alone."""
    for copies, least in ((4, 1), (0, 0)):
        seen = []
        with pytest.MonkeyPatch.context() as patch:
            loss = CellDiscriminator.loss

            def watched(self, normal, shown, generator, counted, loss=loss, seen=seen):
                seen.append(max(float((a - b).abs().max()) for a, b in zip(normal, shown, strict=True)))
                return loss(self, normal, shown, generator, counted)

            patch.setattr(CellDiscriminator, "loss", watched)
            settings = small(steps=3, batch_size=4, pseudo_anomalies=copies, pseudo_anomalies_in_all=0)
            fit(settings, textured(8), textured(2, seed=1))
        assert len(seen) == 3 * len(small_config.discriminator_cells)
        assert sum(change > 0 for change in seen) >= least
        assert copies or max(seen) == 0


def test_normals_that_are_all_one_cell_give_a_model_that_can_be_kept():
    one = np.repeat(textured(1, 32, 32), 12, axis=0)
    # As computed: float16 would make them differ.
    settings = small(image_height=32, image_width=32, steps=2, batch_size=4, feature_cache_bytes=0)
    model = fit(settings, one, one[:2]).detector
    scored = from_bytes(to_bytes(model)).score(one[:1])
    assert np.isfinite(scored.maps).all()
    assert all(one.weight <= 1 for one in model.discriminators)  # rounding is not what the normals vary by


def test_the_papers_recipe_maps_directions_alone():
    model = fit(small("paper", steps=1, batch_size=4), textured(8), textured(2, seed=1)).detector
    assert (model.blend.direction == 1).all()
    assert (model.blend.magnitude == 0).all()
    assert len(model.discriminators) == 0


def test_a_warm_start_goes_on_from_the_weights_and_standardises_by_the_images_it_trains_on(small_config, fitted):
    """It needs no teacher's weights but those inside, and a lasting change of light is ordinary afterwards."""
    before = to_bytes(fitted.detector)
    settings = small(steps=1, batch_size=4, learning_rate=1e-9, pseudo_anomalies=0)
    dim, held = textured(12, seed=8) // 2, textured(4, seed=9) // 2
    start = from_bytes(before)
    warm = fit(settings, dim, held, start=start, teacher_weights=Path("nowhere.pth"))
    cold = fit(settings, dim, held)
    assert (
        warm.report.figures["history"][0]["validation_loss"]
        < 0.5 * cold.report.figures["history"][0]["validation_loss"]
    )
    for name, weights in start.student.named_parameters():
        torch.testing.assert_close(warm.detector.student.get_parameter(name), weights, rtol=1e-4, atol=1e-5)
    result, anew = warm.detector.standardisation, cold.detector.standardisation
    assert torch.equal(result.mean_0, anew.mean_0)
    assert torch.equal(result.std_2, anew.std_2)
    assert to_bytes(fitted.detector) == to_bytes(start) == before


def test_a_start_that_was_made_ready_for_scoring_is_refused(fitted):
    with pytest.raises(ConfigError, match="batch norms are folded"):
        fit(small(steps=1), textured(8), textured(2), start=fitted.detector.ready())


def descent(config, **settings):
    """Over streamed features, not begun."""
    model = ReverseDistillation.build(config, pretrained=False)
    sources = Sources(StreamedFeatures(model, textured(8)), StreamedFeatures(model, textured(2, seed=1)), [], [])
    return StudentDescent(model, small(pseudo_anomalies=0, batch_size=4, **settings), sources, lambda _: None)


def test_discriminators_learn_at_a_share_of_the_students_rate(small_config):
    run = descent(small_config, steps=2, schedule="constant", learning_rate=0.01, discriminator_rate=0.25)
    run.run()
    assert [group["lr"] for group in run.optimiser.param_groups] == [0.01, 0.0025, 0.0025, 0.0025]
    counted = sum(len(group["params"]) for group in run.optimiser.param_groups)
    assert counted == sum(p.requires_grad for p in run.model.parameters())


def test_the_discriminators_of_the_best_look_are_kept_with_its_student(small_config, monkeypatch):
    losses = iter([1.0, 2.0, 3.0])
    monkeypatch.setattr(StudentDescent, "validation_loss", lambda _: next(losses))
    validations = []

    run = descent(small_config, steps=3, validate_every=1, patience=None)
    run.run(lambda: validations.append(copy.deepcopy(run.model.discriminators.state_dict())))
    assert run.best_step == 1
    for name, tensor in run.model.discriminators.state_dict().items():
        assert torch.equal(tensor, validations[0][name])
    assert not torch.equal(validations[0]["0.layers.0.weight"], validations[2]["0.layers.0.weight"])
