"""Against NumPy, what it learns, and what it is shown."""

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

from rd_core.detectors.reverse_distillation.cell_discriminator import (
    CHANGED,
    LITTLE,
    NEAREST,
    NOISE,
    NOISE_SPREAD,
    CellDiscriminator,
)
from rd_core.detectors.reverse_distillation.detector import ReverseDistillation
from rd_core.detectors.reverse_distillation.settings import recipe
from rd_core.features.backbone import STRIDES
from rd_core.features.cells import CellMoments, cell_means
from rd_core.pictures.counted_pixels import CountedPixels, zeroed
from tests.rd_core.drawn_stages import CHANNELS, WIDTH, stages

RIDGE = 0.01


def fitted(*parts, side=16, ridge=RIDGE):
    moments = CellMoments(side)
    for part in parts:
        moments.add(part)
    discriminator = CellDiscriminator(CHANNELS, side, ridge)
    discriminator.fit(moments)
    return discriminator


def whitened(features, *normals, side=16, ridge=RIDGE):
    """By NumPy: (B, H/side, W/side, C), of unit covariance over the normals."""
    rows = np.concatenate([cell_means(part, side).reshape(-1, WIDTH).numpy() for part in normals]).astype(np.float64)
    inverse = np.linalg.inv(np.corrcoef(rows.T) + ridge * np.eye(WIDTH))
    return (cell_means(features, side).numpy() - rows.mean(axis=0)) / rows.std(axis=0) @ np.linalg.cholesky(inverse)


def random_numbers(seed=0):
    return torch.Generator().manual_seed(seed)


def curved(seed, images=16, across=0.02):
    """Cells along a bent line: one channel is the square of another, which no covariance tells."""
    generator = random_numbers(seed)
    along = torch.randn(images, 1, 4, 4, generator=generator)
    third = along * torch.tensor([1.0, 0, 0, 0])[:, None, None]
    third[:, 1:2] = along.square() + across * torch.randn(along.shape, generator=generator)
    third[:, 2:] = torch.randn(images, 2, 4, 4, generator=generator)
    first, second = (torch.randn(images, c, 64 // s, 64 // s, generator=generator) for c, s in ((3, 4), (2, 8)))
    return first, second, third


@pytest.fixture(scope="module")
def trained():
    """(discriminator, losses)"""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        discriminator = fitted(*(curved(seed) for seed in range(10)))
    optimiser = torch.optim.AdamW(discriminator.parameters(), 1e-2)
    losses = []
    for step in range(300):
        normal = curved(step % 10)
        loss = discriminator.loss(normal, normal, random_numbers(step))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    return discriminator.eval(), losses


def test_what_is_farther_off_is_told_better(trained):
    discriminator, _ = trained
    white = discriminator.whitened(curved(99)).flatten(0, 2)
    direction = torch.randn(white.shape, generator=random_numbers(3))
    with torch.inference_mode():
        usual = discriminator._odds(white).amax()
        missed = [
            float((discriminator._odds(white + far * direction) < usual).float().mean()) for far in (1, 3, 10, 100)
        ]
    assert missed == sorted(missed, reverse=True)
    assert missed[-2:] == [0, 0]


@pytest.mark.parametrize("ridge", [0.01, 1.0])
@pytest.mark.parametrize("side", [16, 32, 64])
def test_cells_are_whitened_by_all_cells_of_the_normals(side, ridge):
    normals, seen = [stages(1), stages(2, images=3)], stages(3, images=2)
    result = fitted(*normals, side=side, ridge=ridge).whitened(seen).numpy()
    np.testing.assert_allclose(result, whitened(seen, *normals, side=side, ridge=ridge), rtol=1e-3, atol=1e-4)


def test_a_models_discriminators_have_the_ridge_of_its_settings():
    config = recipe(image_height=64, image_width=64, whitening_ridge=0.5)
    assert [one.ridge for one in ReverseDistillation.build(config, pretrained=False).discriminators] == [
        0.5,
        0.5,
        0.5,
    ]


def test_it_learns_a_bent_line_that_a_covariance_does_not_know(trained):
    discriminator, losses = trained
    normal = curved(99)
    off = tuple(f.clone() for f in normal)
    off[2][:, 1] = (
        normal[2][:, 1].flatten()[torch.randperm(16 * 16, generator=random_numbers(7))].view(16, 4, 4)
    )  # as often, elsewhere
    with torch.inference_mode():
        usual, odd = discriminator.logits(normal).flatten(), discriminator.logits(off).flatten()
    labels = np.repeat([0, 1], 256)
    mahalanobis = np.concatenate([(whitened(one, normal) ** 2).sum(axis=3).ravel() for one in (normal, off)])
    result = roc_auc_score(labels, torch.cat([usual, odd]))
    assert result > 0.7
    assert result > roc_auc_score(labels, mahalanobis) + 0.1
    assert np.mean(losses[-20:]) < 0.9 * np.mean(losses[:20])


def test_unchanged_cells_move_by_noise_and_changed_ones_towards_what_they_become():
    still = torch.randn(4000, 50, generator=random_numbers(1))
    defective = still.clone()
    defective[:1000] += 2 * CHANGED
    defective[1000:2000] += 0.9 * CHANGED  # not enough
    moves = CellDiscriminator._moved(still, defective, random_numbers(2)) - still
    ways = moves[:1000] / (2 * CHANGED)
    assert (ways.amax(dim=1) - ways.amin(dim=1)).max() < 1e-4  # along a line
    assert NEAREST - 1e-4 <= ways.min() < NEAREST + 0.02 and 0.98 < ways.max() <= 1 + 1e-4
    sizes = moves[1000:].std(dim=1)
    assert sizes.median() == pytest.approx(NOISE, rel=0.05)
    assert sizes.log().std() == pytest.approx(NOISE_SPREAD, abs=0.05)
    assert abs(float(moves[1000:].mean())) < 0.02


def test_its_loss_is_the_cross_entropy_of_both_kinds():
    normals = stages(1)
    discriminator = fitted(normals).eval()
    shown = tuple(f.clone() for f in normals)
    for f in shown:
        f[:3] *= 1.5
    with torch.no_grad():
        result = discriminator.loss(normals, shown, random_numbers(5))
        still, defective = (discriminator.whitened(f).flatten(0, 2) for f in (normals, shown))
        drawn = random_numbers(5)
        moved = discriminator._moved(still, defective, drawn)
        still = still + LITTLE * torch.empty_like(still).normal_(generator=drawn)
        logits = discriminator._odds(torch.cat([still, moved])).double().numpy()
    still, moved = np.split(logits, 2)
    expected = np.logaddexp(0, still).mean() + np.logaddexp(0, -moved).mean()
    assert float(result) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("side", [16, 32, 64])
def test_cells_of_every_size_learn_from_synthetic_copies(side):
    normals, shown = stages(1), tuple(2 * f for f in stages(1))
    discriminator = fitted(normals, side=side).eval()
    with torch.no_grad():
        by_noise, by_defects = (
            float(discriminator.loss(normals, one, random_numbers(1))) for one in (normals, shown)
        )
    assert by_noise != by_defects


def test_the_same_random_numbers_give_the_same_loss():
    normals = stages(1)
    discriminator = fitted(normals).eval()
    with torch.no_grad():
        one, same, other = (float(discriminator.loss(normals, normals, random_numbers(n))) for n in (1, 1, 2))
    assert one == same != other


def test_what_lies_below_its_level_counts_for_nothing_and_the_rest_by_its_weight():
    features = stages(2)
    discriminator = fitted(features).eval()
    with torch.inference_mode():
        assert (discriminator(features) == 0).all()  # as built
        logits = discriminator.logits(features)
        discriminator.level.copy_(logits.median())
        discriminator.weight.fill_(0.5)
        torch.testing.assert_close(discriminator(features), 0.5 * (logits - logits.median()).clamp_min(0))


def test_what_an_image_gives_does_not_depend_on_the_others():
    features = stages(7)
    discriminator = fitted(stages(6)).eval()
    with torch.inference_mode():
        alone = torch.cat([discriminator.logits(tuple(f[i : i + 1] for f in features)) for i in range(6)])
        torch.testing.assert_close(discriminator.logits(features), alone)


def test_two_images_and_a_channel_that_never_changes_give_finite_values():
    few = tuple(f[:2, :, : 16 // s, : 16 // s] for f, s in zip(stages(5), (4, 8, 16), strict=True))  # one cell each
    few[1][:, 0] = 7.3
    discriminator = fitted(few)
    assert torch.isfinite(discriminator.loss(few, few, random_numbers()))
    far = tuple(f.clone() for f in few)
    far[1][:, 0] = 8.3
    assert discriminator.whitened(far).abs().max() < 100


def test_a_discriminator_is_shown_the_cells_that_count():
    normal, shown = stages(1, width=128), stages(2, width=128)
    counted = CountedPixels(torch.ones(6, 64, 128, dtype=torch.bool))
    counted.pixels[:, :, 64:] = False
    kept = [tuple(zeroed(f, counted, s) for f, s in zip(some, STRIDES, strict=True)) for some in (normal, shown)]
    alone = [tuple(f[..., : 64 // s] for f, s in zip(some, STRIDES, strict=True)) for some in (normal, shown)]
    discriminator = fitted(alone[0])
    loss = float(discriminator.loss(*kept, random_numbers(), counted).detach())
    assert loss == pytest.approx(float(discriminator.loss(*alone, random_numbers()).detach()), rel=1e-5)
    nothing = CountedPixels(torch.zeros_like(counted.pixels))
    empty = discriminator.loss(*kept, random_numbers(), nothing)
    empty.backward()
    assert empty.detach() == 0
