"""The line that says which image size was chosen."""

import pytest

from rd_core.pictures.fitting_size import fitting_size
from tasks.training.choose_size import in_a_line


@pytest.mark.parametrize(
    ("size", "covered"), [((6000, 8000), "13.3 x 13.3"), ((1000, 1000), None), ((100, 100), None)]
)
def test_the_line_says_what_a_model_cannot_see_of_large_images_alone(
    size: tuple[int, int], covered: str | None
) -> None:
    line = in_a_line(fitting_size([size] * 3), tiled=False)
    assert ("smaller defects are lost" in line) == ("--suggest-view" in line) == (covered is not None)
    assert covered is None or f"One of these pixels covers {covered} of an image" in line
