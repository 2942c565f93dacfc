"""What a category's views would keep and cost."""

import numpy as np
import pytest

from rd_core.pictures.possible_views import (
    LEAST_SIDE,
    PossibleView,
    area_of_defect,
    cheapest_that_shows,
    possible_views,
)
from rd_core.pictures.tiling import Tiling


def test_the_first_view_is_what_a_training_chooses_and_larger_ones_follow_by_cost() -> None:
    views = possible_views([(1250, 500)] * 3, tiles=True)
    assert views[0] == PossibleView.whole(640, 256)
    assert [view.scoring for view in views] == sorted(view.scoring for view in views)
    whole, tiled = ([view for view in views if (view.tile is None) == is_whole] for is_whole in (True, False))
    assert [(view.height, view.width) for view in whole] == [(640, 256), (1280, 512)]
    assert (tiled[-1].height, tiled[-1].width) == (1248, 500)
    assert tiled[-1].training == 1.0
    assert tiled[-1].scoring == pytest.approx(len(Tiling(1248, 500, 256, 64).places))
    assert all(view.tile is None for view in possible_views([(1250, 500)], tiles=False))


def test_the_suggested_view_is_the_cheapest_with_two_cells_a_side() -> None:
    views = possible_views([(2048, 2048)], tiles=True)
    for pixels, chosen in ((40, 512), (16, 1024), (9, 2048), (3, 2048)):
        view = cheapest_that_shows(views, (pixels / 2048) ** 2)
        assert view.height == chosen
        assert view.side_of((pixels / 2048) ** 2) >= LEAST_SIDE or pixels == 3
    assert cheapest_that_shows(views, (9 / 2048) ** 2).tile


def test_the_largest_defect_of_a_mask_counts_and_touching_corners_are_one() -> None:
    mask = np.zeros((10, 20), bool)
    assert area_of_defect(mask) == 0
    mask[0, 0] = mask[5, 5] = mask[6, 6] = mask[6, 7] = True
    assert area_of_defect(mask) == 3 / 200


@pytest.mark.parametrize(("period", "lost"), [(4, True), (64, False)])
def test_resizing_loses_what_is_finer_than_the_view(period: int, lost: bool) -> None:
    stripes = (np.arange(256) // (period // 2) % 2 * 200).astype(np.uint8)
    picture = np.repeat(np.broadcast_to(stripes, (256, 256))[..., None], 3, axis=2)
    assert (PossibleView.whole(64, 64).lost(picture, (256, 256)) > 60) == lost
    assert (PossibleView.whole(64, 64).lost(picture[:128, 64:], (256, 256)) > 60) == lost
    assert PossibleView.whole(256, 256).lost(picture, (256, 256)) == 0
