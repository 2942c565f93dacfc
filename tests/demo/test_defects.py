import numpy as np
import pytest

from demo import brushed_metal, defects, printed_part, woven_cloth

DRAW = {"woven_cloth": woven_cloth.draw, "brushed_metal": brushed_metal.draw, "printed_part": printed_part.draw}
EVERY = [(category, kind) for category, kinds in defects.KINDS.items() for kind in kinds]
SEVERITIES = (0.1, 0.5, 1.0)


def spoiled(category: str, kind: str, seed: int, severity: float):
    rng = np.random.default_rng(seed)
    flawless = DRAW[category](rng, 160)
    image, mask = defects.KINDS[category][kind](flawless, rng, severity)
    return flawless, image, mask


@pytest.mark.parametrize(("category", "kind"), EVERY)
@pytest.mark.parametrize("severity", SEVERITIES)
def test_a_defect_can_be_seen_where_its_mask_is_and_nowhere_else(category, kind, severity):
    for seed in range(3):
        flawless, image, mask = spoiled(category, kind, seed, severity)
        change = np.abs(image - flawless).max(axis=-1)
        assert image.dtype == np.float32
        assert mask.dtype == bool
        assert image.min() >= 0
        assert image.max() <= 1
        assert 10 <= mask.sum() <= 0.25 * mask.size
        assert change[mask].mean() > 0.03
        assert change[~mask].mean() < 0.01
        # The mask is tight: it holds what changed strongly, and most of it did change.
        assert mask[change > 0.12].sum() >= 0.75 * (change > 0.12).sum()
        assert (change[mask] > 0.015).mean() > 0.7


@pytest.mark.parametrize(("category", "kind"), EVERY)
def test_a_severe_defect_changes_more_than_a_slight_one(category, kind):
    def changed(severity: float) -> float:
        pairs = [spoiled(category, kind, seed, severity)[:2] for seed in range(4)]
        return float(np.mean([np.abs(image - flawless).mean() for flawless, image in pairs]))

    assert changed(1.0) > 1.5 * changed(0.1)


def test_the_image_given_stays_as_it_was():
    rng = np.random.default_rng(0)
    flawless = woven_cloth.draw(rng, 64)
    before = flawless.copy()
    for defect in defects.KINDS["woven_cloth"].values():
        defect(flawless, rng, 1.0)
    np.testing.assert_array_equal(flawless, before)


@pytest.mark.parametrize(("category", "kind"), EVERY)
@pytest.mark.parametrize("size", [48, 256])
def test_defects_fit_small_and_large_pictures(category, kind, size):
    rng = np.random.default_rng(1)
    image, mask = defects.KINDS[category][kind](DRAW[category](rng, size), rng, 0.8)
    assert image.shape == (size, size, 3)
    assert mask.shape == (size, size)
    assert mask.any()
