"""What a category's views would keep and cost."""

import numpy as np
import pytest

from rd_core.pictures.image_view import ImageView
from rd_core.pictures.possible_views import (
    LEAST_SIDE,
    MOST_TIMES,
    Learning,
    PossibleView,
    area_of_defect,
    cheapest_that_shows,
    possible_views,
)
from rd_core.pictures.tiling import Tiling

ONCE = Learning(40, lambda images: images, remembers=False)
"""of 40 normals, each looked at once, and judged"""


def test_the_first_view_is_what_a_training_chooses_and_larger_ones_follow_by_cost() -> None:
    views = possible_views([(1250, 500)] * 3, ONCE, tiles=True)
    assert views[0] == PossibleView(640, 256, None, 2.5, 2.5)
    assert [view.scoring for view in views] == sorted(view.scoring for view in views)
    whole, tiled = ([view for view in views if (view.tile is None) == is_whole] for is_whole in (True, False))
    assert [(view.height, view.width) for view in whole] == [(640, 256), (1280, 512)]
    assert (tiled[-1].height, tiled[-1].width) == (1248, 500)
    assert tiled[-1].scoring == pytest.approx(len(Tiling(1248, 500, 256, 64).places))
    assert all(view.tile is None for view in possible_views([(1250, 500)], ONCE, tiles=False))


def test_the_suggested_view_is_the_cheapest_with_two_cells_a_side() -> None:
    views = possible_views([(2048, 2048)], ONCE, tiles=True)
    for pixels, chosen in ((40, 512), (16, 1024), (9, 2048), (3, 2048)):
        view = cheapest_that_shows(views, (pixels / 2048) ** 2)
        assert view.height == chosen
        assert view.side_of((pixels / 2048) ** 2) >= LEAST_SIDE or pixels == 3
    assert cheapest_that_shows(views, (9 / 2048) ** 2).tile


def test_a_training_in_tiles_costs_what_the_method_learns_from_and_all_that_it_judges() -> None:
    view = ImageView(1024, 1024, tile=256, overlap=64)  # 25 tiles
    assert ONCE.cost(view) == pytest.approx((25 * 40 + 25 * 40) / 80)  # 2**26 pixels are 25 crops of each
    in_steps = Learning(40, lambda images: images + 4800, remembers=False)
    assert in_steps.cost(view) == pytest.approx((1000 + 4800 + 1000) / 4880)
    remembering = Learning(40, lambda images: images, remembers=True)
    assert remembering.cost(view) == pytest.approx((6 * 40 + 1000) / 80)  # 2**24 are 6
    for one in (ONCE, in_steps, remembering):
        assert one.cost(ImageView(512, 512)) == pytest.approx(4)


def test_no_view_is_suggested_that_costs_far_more_than_the_first() -> None:
    views = possible_views([(6000, 8000)], ONCE, tiles=True)
    assert views[-1].scoring > 300 * views[0].scoring
    chosen = cheapest_that_shows(views, (8 / 8000) ** 2)  # eight pixels in the image itself alone
    assert chosen.scoring <= MOST_TIMES * views[0].scoring
    assert chosen.height == max(view.height for view in views if view.scoring <= MOST_TIMES * views[0].scoring)


def test_the_largest_defect_of_a_mask_counts_and_touching_corners_are_one() -> None:
    mask = np.zeros((10, 20), bool)
    assert area_of_defect(mask) == 0
    mask[0, 0] = mask[5, 5] = mask[6, 6] = mask[6, 7] = True
    assert area_of_defect(mask) == 3 / 200


@pytest.mark.parametrize(("period", "lost"), [(4, True), (64, False)])
def test_resizing_loses_what_is_finer_than_the_view(period: int, lost: bool) -> None:
    stripes = (np.arange(256) // (period // 2) % 2 * 200).astype(np.uint8)
    picture = np.repeat(np.broadcast_to(stripes, (256, 256))[..., None], 3, axis=2)
    assert (PossibleView(64, 64, None, 1, 1).lost(picture, (256, 256)) > 60) == lost
    assert (PossibleView(64, 64, None, 1, 1).lost(picture[:128, 64:], (256, 256)) > 60) == lost
    assert PossibleView(256, 256, None, 1, 1).lost(picture, (256, 256)) == 0
