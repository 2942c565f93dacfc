import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from rd_core.detectors.reverse_distillation.detector import ReverseDistillation
from rd_core.detectors.reverse_distillation.settings import ReverseDistillationSettings
from rd_core.detectors.settings import MICRO_BATCH
from rd_core.features.backbone_spec import TEACHERS
from tests.rd_core.striped_images import textured
from tests.rd_core.upsampling import in_the_middles


@pytest.fixture
def images():
    return np.random.default_rng(0).integers(0, 256, (MICRO_BATCH + 3, 64, 64, 3), dtype=np.uint8)


@pytest.mark.parametrize(
    ("teacher", "standardise", "signed"),
    [("resnet18", False, False), ("resnet18", True, True), ("efficientnet_lite0", False, True)],
)
def test_the_student_gives_negative_values_where_its_targets_have_them(teacher, standardise, signed):
    config = ReverseDistillationSettings(teacher=teacher, image_height=64, image_width=64, standardise=standardise)
    model = ReverseDistillation.build(config, pretrained=False)
    targets = model.teacher_features(torch.randint(0, 256, (2, 64, 64, 3), dtype=torch.uint8))
    with torch.no_grad():
        outputs = model(tuple(t - t.mean() if standardise else t for t in targets))
    assert all((o < 0).any() for o in outputs) == signed
    if not standardise:
        assert all((t < 0).any() for t in targets) == signed


@pytest.mark.parametrize("weights", [(0.0, 0.0, 0.0), (0.7, 0.0, 0.0), (0.2, 0.4, 0.3)])
def test_score_follows_the_paper_step_by_step(random_model, images, weights):
    """Against the chain written out with torch's, NumPy's and SciPy's own functions; the paper has none."""
    for discriminator, weight in zip(random_model.discriminators, weights, strict=True):
        discriminator.weight.fill_(weight)
        discriminator.level.fill_(-2)  # all cells count, or any grid would give the same
    batch = torch.from_numpy(images[:3])
    with torch.no_grad():
        features = random_model.teacher_features(batch)
        targets = random_model.standardisation(features)
        outputs = random_model(targets)
    total = 0
    for discriminator, cells in zip(random_model.discriminators, (4, 2, 1), strict=True):
        odds = discriminator_by_numpy(discriminator, cells, [f.double().numpy() for f in features])
        assert (odds > 0).all()
        total = total + float(discriminator.weight) * in_the_middles(odds, 64, 64)
    for target, output in zip(targets, outputs, strict=True):
        t, s = target.double(), output.double()
        distance = 1 - (t * s).sum(1) / (t.norm(dim=1) * s.norm(dim=1))
        total += in_the_middles(distance.numpy(), 64, 64)
    smooth = np.stack([gaussian_filter(m, 2.5) for m in total])
    expected = smooth.reshape(3, 16, 4, 16, 4).mean(axis=(2, 4))  # at the default map stride
    scored = random_model.score(images[:3])
    assert scored.maps.dtype == scored.scores.dtype == np.float32
    np.testing.assert_allclose(scored.maps, expected, atol=1e-5)
    np.testing.assert_allclose(scored.scores, expected.max(axis=(1, 2)), atol=1e-5)


def discriminator_by_numpy(discriminator, n, features):
    """Features (B, C_k, h_k, w_k) -> (B, n, n), by how much the log odds lie above the level."""
    means = [f.reshape(*f.shape[:2], n, f.shape[2] // n, n, f.shape[3] // n).mean((3, 5)) for f in features]
    values = np.moveaxis(np.concatenate(means, 1), 1, 3) - discriminator.mean.numpy()
    state = {name: tensor.double().numpy() for name, tensor in discriminator.state_dict().items()}
    values = values @ state["whitening"]
    values = np.concatenate([values, (values**2).mean(axis=3, keepdims=True)], axis=3)
    for layer in (0, 3):
        values = values @ state[f"layers.{layer}.weight"].T + state[f"layers.{layer}.bias"]
        mean, var, scale, shift = (
            state[f"layers.{layer + 1}.{n}"] for n in ("running_mean", "running_var", "weight", "bias")
        )
        values = (values - mean) / np.sqrt(var + 1e-5) * scale + shift
        values = np.where(values > 0, values, 0.2 * values)
    logits = values @ state["layers.6.weight"][0] + state["layers.6.bias"]
    return np.maximum(logits - state["level"], 0)


def test_large_images_are_scored_together_in_fewer(random_model, images, monkeypatch):
    together = random_model.score(images)
    monkeypatch.setattr("rd_core.detectors.settings.MICRO_BATCH_PIXELS", 4 * 64 * 64)
    seen = []
    detect = random_model.detect
    monkeypatch.setattr(random_model, "detect", lambda batch, _: seen.append(len(batch)) or detect(batch))
    scored = random_model.score(images)
    assert seen == [4] * 5  # of 19 images
    np.testing.assert_allclose(scored.maps, together.maps, atol=1e-5)


def test_prepare_for_inference_folds_and_keeps_the_scores(random_model, images):
    ready = random_model.ready()
    kinds = torch.nn.BatchNorm1d, torch.nn.BatchNorm2d
    for kind in kinds:
        assert any(isinstance(module, kind) for module in random_model.modules())
    assert not any(isinstance(module, kinds) for module in ready.modules())
    before, after = random_model.score(images), ready.score(images)
    np.testing.assert_allclose(after.maps, before.maps, atol=1e-5)
    np.testing.assert_allclose(after.scores, before.scores, atol=1e-5)


def test_the_sum_is_the_score_of_one_class_novelty(images):
    config = ReverseDistillationSettings(image_height=64, image_width=64, score="sum")
    scored = ReverseDistillation.build(config, pretrained=False).eval().score(images[:2])
    np.testing.assert_allclose(scored.scores, scored.maps.sum(axis=(1, 2)), rtol=1e-5)


def test_no_images_give_no_scores(random_model):
    scored = random_model.score(np.zeros((0, 64, 64, 3), np.uint8))
    assert scored.maps.shape == (0, *random_model.settings.map_size)
    assert scored.scores.shape == (0,)


def test_floats_are_refused(random_model):
    with pytest.raises(ValueError, match="float64"):
        random_model.score(np.zeros((1, 64, 64, 3)))


def test_scoring_in_training_mode_is_refused(random_model):
    with pytest.raises(RuntimeError, match="training mode"):
        random_model.train().score(np.zeros((1, 64, 64, 3), np.uint8))


def test_feature_distances_are_small_for_normals_and_grow_with_a_changed_scene(fitted):
    normal = textured(8, seed=5)
    darker = (normal * 0.6).astype(np.uint8)
    result, moved = fitted.detector.score(normal).feature_distances, fitted.detector.score(darker).feature_distances
    assert result.max() < 0.5
    assert moved.min() > 1.5 * result.max()


VARIANTS = {
    "mff_oce": {},
    "standardised": {"standardise": True},
    "pretrained": {"bottleneck": "pretrained"},
    "oce": {"bottleneck": "oce"},
    "authors": {"fusion": "concatenated"},
}
KINDS_OF_BLOCK = ("resnet18", "resnet50", "efficientnet_lite0")


@pytest.mark.parametrize(
    ("teacher", "variant"),
    [*((name, "mff_oce") for name in TEACHERS)]
    + [(name, variant) for name in KINDS_OF_BLOCK for variant in VARIANTS if variant != "mff_oce"],
)
def test_the_student_gives_back_the_teachers_shapes_from_every_bottleneck_of_the_paper(teacher, variant):
    settings = {"standardise": False, **VARIANTS[variant]}
    config = ReverseDistillationSettings(teacher=teacher, image_height=64, image_width=96, **settings)
    with torch.device("meta"), torch.no_grad():
        model = ReverseDistillation.build(config, pretrained=False)
        features = model.teacher(torch.zeros(1, 3, 64, 96))
        assert [f.shape for f in model(features)] == [f.shape for f in features]
        trained = any(p.requires_grad for p in model.bottleneck.parameters())
        assert trained == (variant != "pretrained")


def test_a_bottleneck_without_fusion_sees_the_last_stage_alone(images):
    config = ReverseDistillationSettings(image_height=64, image_width=64, bottleneck="oce")
    model = ReverseDistillation.build(config, pretrained=False).eval()
    features = model.teacher_features(torch.from_numpy(images[:2]))
    without_the_finer = (torch.zeros_like(features[0]), torch.zeros_like(features[1]), features[2])
    with torch.no_grad():
        assert torch.equal(model(features)[0], model(without_the_finer)[0])


def test_the_pretrained_bottleneck_is_the_teachers_fourth_stage(images):
    config = ReverseDistillationSettings(
        teacher="resnet18", image_height=64, image_width=64, bottleneck="pretrained", standardise=False
    )
    torch.manual_seed(3)
    model = ReverseDistillation.build(config, pretrained=False).train()
    torch.manual_seed(3)
    expected = ReverseDistillation.build(config, pretrained=False).bottleneck.fourth
    features = tuple(f.clone() for f in model.teacher_features(torch.from_numpy(images[:2])))
    assert torch.equal(model.bottleneck(features), expected(features[-1]))
    assert not model.bottleneck.fourth.training


@pytest.mark.parametrize("stages", [(1,), (2,), (3,), (2, 3)])
def test_maps_of_chosen_stages_sum_to_the_map_of_all(images, stages):
    """The map is linear in the distances, so the chosen and the others add up (Table 7 of the paper)."""

    def scored(chosen):
        torch.manual_seed(0)
        config = ReverseDistillationSettings(image_height=64, image_width=64, map_stages=chosen)
        return ReverseDistillation.build(config, pretrained=False).eval().score(images[:2]).maps

    others = tuple(stage for stage in (1, 2, 3) if stage not in stages)
    np.testing.assert_allclose(scored(stages) + scored(others), scored((1, 2, 3)), atol=1e-5)
