"""How student and discriminators share the map."""

import numpy as np
import pytest
import torch

from rd_core.detectors.feature_detector import Features
from rd_core.detectors.reverse_distillation.blend_fitting import (
    LEAST_ODDS,
    _floors,
    _stage_map,
    _thinned,
    share_of_student,
)
from rd_core.pictures.counted_pixels import CountedPixels
from tests.rd_core.small_trainings import fit, small
from tests.rd_core.striped_images import textured


def parts_of_the_map(model, images):
    """What student and discriminators add to the maps of the images: (maps (B, H, W), ...), the student's first."""
    features = model.teacher_features(torch.from_numpy(images))
    targets = model.standardisation(features)
    fine = model.blend(model.map_features(targets), model.map_features(model(targets)))
    wide = [discriminator(features) for discriminator in model.discriminators]
    kinds = [(*fine, *(torch.zeros_like(w) for w in wide))]
    for k in range(len(wide)):
        others = (w if i == k else torch.zeros_like(w) for i, w in enumerate(wide))
        kinds.append((*(torch.zeros_like(f) for f in fine), *others))
    return [model.assembly(kind) for kind in kinds]


def test_the_student_gives_way_by_twice_its_floor_and_never_whole():
    result = [share_of_student(ratio) for ratio in (0, 0.1, 0.25, 0.45, 0.5, 0.7, 1)]
    assert result == pytest.approx([1, 0.8, 0.5, 0.1, 0.1, 0.1, 0.1])


def test_student_and_finest_cells_count_alike_but_for_twice_the_floor_of_the_students_map(fitted):
    images = np.stack(list(textured(6, seed=1)))  # the early-stop normals
    with torch.inference_mode():
        parts = parts_of_the_map(fitted.detector, images)
        assert torch.allclose(sum(parts), fitted.detector.detect(torch.from_numpy(images))[0], atol=1e-5)
    student, finest, coarser, coarsest = (float(part.amax(dim=(1, 2)).mean()) for part in parts)
    floor = np.quantile(parts[0].numpy(), 0.1, axis=(1, 2)).mean() / student
    assert 0.1 < floor < 0.9
    whole = share_of_student(floor) + 1 + floor + floor**2
    assert finest == pytest.approx(1 / whole, rel=0.01)  # features are kept in float16
    assert student == pytest.approx(share_of_student(floor) / whole, rel=0.01)
    assert coarser == pytest.approx(floor / whole, rel=0.01)
    assert 0 < coarsest < 1.01 * floor**2 / whole  # one cell an image: its odds may be too low to count in full


@pytest.mark.parametrize("cells", [(16,), (32,), (64,)])
def test_one_discriminator_alone_shares_with_the_student(cells):
    held = textured(4, seed=1)
    model = fit(
        small(discriminator_cells=cells, steps=1, batch_size=4, pseudo_anomalies=0), textured(8), held
    ).detector
    with torch.inference_mode():
        student, cells_map = parts_of_the_map(model, np.stack(list(held)))
    peaks = [float(part.amax(dim=(1, 2)).mean()) for part in (student, cells_map)]
    floor = np.quantile(student.numpy(), 0.1, axis=(1, 2)).mean() / peaks[0]
    its_share = {16: 1, 32: floor, 64: floor**2}[cells[0]]
    whole = share_of_student(floor) + its_share
    assert peaks[0] == pytest.approx(share_of_student(floor) / whole, rel=0.01)
    weight = float(model.discriminators[0].weight)
    assert weight == pytest.approx(its_share / whole / max(peaks[1] / weight, LEAST_ODDS), rel=0.01)


def test_nine_tenths_of_the_early_stop_normals_cells_lie_above_the_level(fitted):
    features = fitted.detector.teacher_features(torch.from_numpy(np.stack(list(textured(6, seed=1)))))
    for discriminator in fitted.detector.discriminators:
        with torch.inference_mode():
            above = discriminator.logits(features) > discriminator.level
        expected = 1 - (1 + int(0.1 * (above.numel() - 1))) / above.numel()
        assert above.float().mean() == pytest.approx(expected, abs=0.05)


def test_floors_and_maps_leave_out_what_is_ignored(fitted):
    model = fitted.detector
    counted = CountedPixels(torch.ones(2, 64, 64, dtype=torch.bool))
    counted.pixels[0, 20:], counted.pixels[1] = False, False
    features = Features((), (), counted)
    maps, rows = (
        torch.rand(2, *model.settings.map_size, generator=torch.Generator().manual_seed(0)),
        20 // model.settings.map_stride,
    )
    expected = np.quantile(_thinned(model, maps)[0, :5].numpy(), 0.1)
    assert _floors(model, maps, counted).tolist() == pytest.approx([expected, 0], rel=1e-5)
    distances = torch.rand(2, 16, 16)
    changed = distances.clone()
    changed[0, 5:], changed[1] = 9, 9
    one, other = (_stage_map(model, 0, some, features) for some in (distances, changed))
    assert torch.equal(one, other) and one[0, :rows].all() and not one[0, rows:].any() and not one[1].any()
