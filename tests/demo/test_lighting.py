import numpy as np
import pytest

from demo import lighting

GREY = np.full((40, 60, 3), 0.5, np.float32)


def test_no_drift_changes_nothing():
    np.testing.assert_array_equal(lighting.drift(GREY, 0.0), GREY)


def test_drift_dims_slants_and_yellows():
    lit = lighting.drift(GREY, 1.0)
    assert lit.dtype == np.float32
    assert lit.mean() < 0.75 * GREY.mean()
    assert lit[0, 0].mean() > 1.3 * lit[-1, -1].mean()
    red, green, blue = lit.mean(axis=(0, 1))
    assert red > green > blue


@pytest.mark.parametrize("strength", [-0.1, 1.1, float("nan")])
def test_a_strength_outside_its_range_is_refused(strength):
    with pytest.raises(ValueError, match="outside"):
        lighting.drift(GREY, strength)


def test_a_low_lamp_leaves_flat_ground_and_brings_out_slopes():
    np.testing.assert_array_equal(lighting.rake(GREY, 1.0), GREY)
    ridge = GREY.copy()
    ridge[:, 28:32] += 0.1
    lit = lighting.rake(ridge, 0.5)
    assert lit.dtype == np.float32
    assert lit[0, 28, 0] > ridge[0, 28, 0]  # faces the lamp
    assert lit[0, 31, 0] < ridge[0, 31, 0]
    np.testing.assert_array_equal(lighting.rake(ridge, 0.0), ridge)
    with pytest.raises(ValueError, match="outside"):
        lighting.rake(ridge, 2.0)
