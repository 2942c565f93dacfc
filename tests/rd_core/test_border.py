"""The spread at the border, from spreads by place."""

import numpy as np
import pytest
import torch

from rd_core.border import REACH, WIDEST, border_spread


def ringed(rows: int, columns: int, outer: float) -> torch.Tensor:
    squares = torch.full((rows, columns), outer, dtype=torch.float64)
    squares[1:-1, 1:-1] = 1
    return squares


def test_places_as_far_from_the_border_share_their_mean() -> None:
    squares = torch.ones(8, 10, dtype=torch.float64)
    squares[0, 0], squares[0, 4], squares[3, 9] = 9, 49, 7
    found = border_spread(squares, 16).numpy()
    assert found[0, 0] == found[0, -1] == found[-1, 0] == found[-1, -1] == pytest.approx(np.sqrt(3))
    top_and_bottom = np.sqrt((11 + 49) / 12)
    np.testing.assert_allclose(found[[0, -1], 2:-2], top_and_bottom)
    np.testing.assert_allclose(found[2:-2][:, [0, -1]], np.sqrt((7 + 7) / 8))
    assert (found[1:-1, 1:-1] == 1).all()


def test_what_differs_inside_is_left_as_it_is() -> None:
    squares = ringed(8, 8, 4.0)
    squares[3, 3] = 13  # the inside is 16 places, whose mean it makes 1.75
    found = border_spread(squares, 16)
    assert found[3, 3] == 1
    assert found[0, 3] == pytest.approx(np.sqrt(4 / 1.75))


@pytest.mark.parametrize(("outer", "spread"), [(0.25, 1.0), (1.0, 1.0), (4.0, 2.0), (1e6, WIDEST)])
def test_a_border_counts_for_less_and_never_for_more(outer: float, spread: float) -> None:
    found = border_spread(ringed(8, 8, outer), REACH)
    assert found[0, 4] == pytest.approx(spread)
    assert found[4, 4] == 1


@pytest.mark.parametrize(("rows", "columns", "side"), [(4, 9, 16), (2, 2, 64), (1, 1, 32), (2, 9, 32)])
def test_where_no_cell_lies_inside_all_places_are_alike(rows: int, columns: int, side: int) -> None:
    assert (border_spread(torch.rand(rows, columns, dtype=torch.float64), side) == 1).all()


def test_an_inside_that_never_differs_gives_no_spread_without_end() -> None:
    still = torch.zeros(8, 8, dtype=torch.float64)
    assert (border_spread(still, 16) == 1).all()
    still[0] = 1
    found = border_spread(still, 16)
    assert torch.isfinite(found).all()
    assert found.max() == WIDEST
