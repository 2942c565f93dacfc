"""How student and discriminators share the map."""

import copy

import numpy as np
import pytest
import torch

from rd_core.blend_fitting import LEAST_ODDS, fit_blend
from rd_core.config import model_config, recipe
from rd_core.pseudo_anomalies import MarredImages
from rd_core.teacher_features import StreamedFeatures
from rd_core.training import fit
from tests.rd_core.striped_images import SIZE, textured

A_FLOOR = 0.5


def parts_of_the_map(model, images):
    """What student and discriminators add to the maps of the images: (maps (B, H, W), ...), the student's first."""
    features = model.teacher_features(torch.from_numpy(images))
    targets = model.standardisation(features)
    fine = model.blend(model.counting(targets), model.counting(model(targets)))
    wide = [discriminator(features) for discriminator in model.discriminators]
    kinds = [(*fine, *(torch.zeros_like(w) for w in wide))]
    for k in range(len(wide)):
        others = (w if i == k else torch.zeros_like(w) for i, w in enumerate(wide))
        kinds.append((*(torch.zeros_like(f) for f in fine), *others))
    return [model.assembly(kind) for kind in kinds]


def unrest_of(student):
    """By what a tenth of its maps (B, H, W) lies below, as a share of their peak."""
    floor = np.quantile(student.numpy()[:, 2::4, 2::4], 0.1, axis=(1, 2)).mean()
    return A_FLOOR * floor / float(student.amax(dim=(1, 2)).mean())


@pytest.fixture
def less_unrest(monkeypatch):
    """Students of a few steps are all floor, so that none of their map would count."""
    monkeypatch.setattr("rd_core.blend_fitting.UNREST_A_FLOOR", A_FLOOR)


@pytest.mark.usefixtures("less_unrest")
def test_student_and_finest_cells_count_alike_but_for_what_coarse_ones_take_by_the_floor_of_the_students_map(fitted):
    model, images = copy.deepcopy(fitted.model), np.stack(list(textured(6, seed=1)))
    marred = MarredImages(images, 2, SIZE, SIZE, seed=1)
    fit_blend(model, StreamedFeatures(model, images), StreamedFeatures(model, marred))
    with torch.inference_mode():
        parts = parts_of_the_map(model, images)
        assert torch.allclose(sum(parts), model.detect(torch.from_numpy(images))[0], atol=1e-5)
    student, finest, coarser, coarsest = (float(part.amax(dim=(1, 2)).mean()) for part in parts)
    unrest = unrest_of(parts[0])
    assert 0.1 < unrest < 0.9
    whole = 2 + unrest**2
    assert finest == pytest.approx(1 / whole, rel=0.01)
    assert student == pytest.approx((1 - unrest) / whole, rel=0.01)
    assert coarser == pytest.approx(unrest / whole, rel=0.01)
    assert 0 < coarsest < 1.01 * unrest**2 / whole  # one cell an image: its odds may be too low to count in full


@pytest.mark.usefixtures("less_unrest")
@pytest.mark.parametrize("cells", [(16,), (32,), (64,)])
def test_one_discriminator_alone_shares_with_the_student(cells):
    config = model_config(image_height=SIZE, image_width=SIZE, discriminator_cells=cells)
    held = textured(4, seed=1)
    model = fit(config, recipe(steps=1, batch_size=4, pseudo_anomalies=0), textured(8), held).model
    with torch.inference_mode():
        student, cells_map = parts_of_the_map(model, np.stack(list(held)))
    peaks = [float(part.amax(dim=(1, 2)).mean()) for part in (student, cells_map)]
    unrest = unrest_of(student)
    its_share = {16: 1, 32: unrest, 64: unrest**2}[cells[0]]
    whole = 1 - unrest + its_share
    assert peaks[0] == pytest.approx((1 - unrest) / whole, rel=0.01)
    weight = float(model.discriminators[0].weight)
    assert weight == pytest.approx(its_share / whole / max(peaks[1] / weight, LEAST_ODDS), rel=0.01)


def test_a_student_whose_map_is_all_floor_leaves_it_to_the_cells():
    config = model_config(image_height=SIZE, image_width=SIZE)
    model = fit(config, recipe(steps=1, batch_size=4, pseudo_anomalies=0), textured(8), textured(4, seed=1)).model
    with torch.inference_mode():
        student, *cells = parts_of_the_map(model, np.stack(list(textured(4, seed=1))))
    assert student.max() == 0
    assert all(one.max() > 0 for one in cells)


def test_nine_tenths_of_the_early_stop_normals_cells_lie_above_the_level(fitted):
    features = fitted.model.teacher_features(torch.from_numpy(np.stack(list(textured(6, seed=1)))))
    for discriminator in fitted.model.discriminators:
        with torch.inference_mode():
            above = discriminator.logits(features) > discriminator.level
        expected = 1 - (1 + int(0.1 * (above.numel() - 1))) / above.numel()
        assert above.float().mean() == pytest.approx(expected, abs=0.05)
