"""Minimal filters against filters multiplied out."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rd_core.kernels.cook_toom import minimal_filter

POINTS = (0.0, 0.6, -0.6, 1.7, -1.7, 0.3)


@given(outputs=st.integers(1, 4), taps=st.integers(1, 3), seed=st.integers(0, 2**32 - 1))
def test_it_is_the_filter(outputs, taps, seed):
    count = outputs + taps - 1
    random = np.random.default_rng(seed)
    x, k = random.normal(size=count), random.normal(size=taps)
    matrices = minimal_filter(outputs, taps, POINTS[: count - 1])
    found = matrices.outputs @ ((matrices.taps @ k) * (matrices.inputs @ x))
    np.testing.assert_allclose(found, np.correlate(x, k, "valid"), atol=1e-12)
    assert [len(m) for m in matrices] == [count, count, outputs]


def test_the_usual_points_give_winograds_matrices():
    """F(4, 3) as Lavin and Gray print it, whose rows are of other lengths."""
    printed = np.array([[4, 0, -5, 0, 1, 0], [0, -4, -4, 1, 1, 0], [0, 4, -4, -1, 1, 0],
                        [0, -2, -1, 2, 1, 0], [0, 2, -1, -2, 1, 0], [0, 4, 0, -5, 0, 1]])  # fmt: skip
    found = minimal_filter(4, 3, (0, 1, -1, 2, -2)).inputs
    signs = np.sign((found * printed).sum(axis=1, keepdims=True))
    np.testing.assert_allclose(found * signs, printed / np.linalg.norm(printed, axis=1, keepdims=True), atol=1e-12)


def test_points_have_to_differ():
    with pytest.raises(np.linalg.LinAlgError):
        minimal_filter(2, 3, (0, 1, 1))
