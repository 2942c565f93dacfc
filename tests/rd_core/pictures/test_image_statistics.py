"""Light, focus and place of a picture: against a slow reference, and moved by what should move them alone."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.ndimage import gaussian_filter

from rd_core.pictures import image_statistics as module
from rd_core.pictures.image_statistics import ImageStatistics, image_statistics
from tests.rd_core.striped_images import textured

PICTURES = st.tuples(st.integers(1, 12), st.integers(1, 12)).flatmap(lambda s: arrays(np.uint8, (*s, 3)))


def reference(pixels: np.ndarray) -> ImageStatistics:
    """Pixel by pixel, in Python's floats."""
    height, width, _ = pixels.shape
    luma = [[(0.299 * r + 0.587 * g + 0.114 * b) / 255 for r, g, b in row] for row in pixels.tolist()]
    values = [value for row in luma for value in row]
    mean = sum(values) / len(values)
    contrast = (sum((value - mean) ** 2 for value in values) / len(values)) ** 0.5
    rows = range(1, height - 1, 2)
    curved = [
        abs(luma[y - 1][x] + luma[y + 1][x] + luma[y][x - 1] + luma[y][x + 1] - 4 * luma[y][x])
        for y in rows
        for x in range(1, width - 1)
    ]
    down = [abs(luma[y + 1][x] - luma[y][x]) for y in rows for x in range(width)]
    right = [abs(luma[y][x + 1] - luma[y][x]) for y in rows for x in range(width - 1)]
    if not curved:
        return ImageStatistics(mean, contrast, 0.0, 0.5, 0.5)
    gradient = (sum(down) / len(down) + sum(right) / len(right)) / 2
    if gradient < 1e-9:
        return ImageStatistics(mean, contrast, 0.0, 0.5, 0.5)
    edges = {
        (x, y): abs(luma[y + 1][x] - luma[y][x]) + (abs(luma[y][x + 1] - luma[y][x]) if x < width - 1 else 0)
        for y in rows
        for x in range(width)
    }
    everything = sum(edges.values())
    return ImageStatistics(
        mean,
        contrast,
        sum(curved) / len(curved) / gradient,
        sum((x + 1) / width * size for (x, _), size in edges.items()) / everything,
        sum((y + 1) / height * size for (_, y), size in edges.items()) / everything,
    )


@given(PICTURES, st.sampled_from([1, 30, 10**6]))
def test_the_figures_are_those_of_the_definition_whatever_is_looked_at_together(
    pixels: np.ndarray, band_pixels: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_BAND_PIXELS", band_pixels)
        result = image_statistics(pixels)
    expected = reference(pixels)
    assert result.brightness == pytest.approx(expected.brightness, abs=1e-6)
    assert result.contrast == pytest.approx(expected.contrast, abs=1e-6)
    assert result.sharpness == pytest.approx(expected.sharpness, rel=1e-3, abs=1e-4)
    assert result.edge_centre_x == pytest.approx(expected.edge_centre_x, rel=1e-3)
    assert result.edge_centre_y == pytest.approx(expected.edge_centre_y, rel=1e-3)
    assert 0 < result.edge_centre_x <= 1 and 0 < result.edge_centre_y <= 1
    assert 0 <= result.brightness <= 1 and 0 <= result.contrast <= 0.5 + 1e-6 and result.sharpness >= 0


@pytest.mark.parametrize("level", [0, 1, 77, 254, 255])
def test_an_even_picture_has_a_brightness_alone(level: int) -> None:
    statistics = image_statistics(np.full((9, 7, 3), level, np.uint8))
    assert statistics.brightness == pytest.approx(level / 255, abs=1e-6)
    assert statistics.contrast == pytest.approx(0, abs=1e-6)
    assert (statistics.sharpness, statistics.edge_centre_x, statistics.edge_centre_y) == (0, 0.5, 0.5)


def test_a_large_and_almost_even_picture_keeps_its_contrast() -> None:
    pixels = np.full((256, 256, 3), 250, np.uint8)
    pixels[::2] = 251
    assert image_statistics(pixels).contrast == pytest.approx(0.5 / 255, rel=1e-3)


@pytest.fixture
def picture() -> np.ndarray:
    return np.asarray(textured(1, 64, 96, seed=3)[0])


def test_light_moves_brightness_and_contrast_and_leaves_sharpness(picture: np.ndarray) -> None:
    plain, dim = image_statistics(picture), image_statistics(np.rint(picture * 0.7).astype(np.uint8))
    assert dim.brightness == pytest.approx(0.7 * plain.brightness, rel=0.01)
    assert dim.contrast == pytest.approx(0.7 * plain.contrast, rel=0.01)
    assert dim.sharpness == pytest.approx(plain.sharpness, rel=0.05)


def test_blur_moves_sharpness_and_leaves_brightness(picture: np.ndarray) -> None:
    blurred = np.rint(gaussian_filter(picture.astype(float), (1.0, 1.0, 0))).astype(np.uint8)
    plain, soft = image_statistics(picture), image_statistics(blurred)
    assert soft.brightness == pytest.approx(plain.brightness, abs=0.005)
    assert soft.sharpness < 0.8 * plain.sharpness


@pytest.mark.parametrize(("down", "right"), [(0, 0), (6, 0), (0, 10), (-8, 14)])
def test_the_edges_centre_goes_where_the_part_goes_whatever_the_light(down: int, right: int) -> None:
    def part(top: int, left: int, light: float) -> np.ndarray:
        pixels = np.full((64, 96, 3), 40.0)
        pixels[top : top + 12, left : left + 20] = 200
        return np.rint(pixels * light).astype(np.uint8)

    before, after = image_statistics(part(20, 30, 1.0)), image_statistics(part(20 + down, 30 + right, 0.6))
    assert before.edge_centre_x == pytest.approx((30 + 10) / 96, abs=0.01)
    assert before.edge_centre_y == pytest.approx((20 + 6) / 64, abs=0.01)
    assert after.edge_centre_x - before.edge_centre_x == pytest.approx(right / 96, abs=1e-3)
    assert after.edge_centre_y - before.edge_centre_y == pytest.approx(down / 64, abs=1e-3)


def test_both_directions_count(picture: np.ndarray) -> None:
    turned = image_statistics(np.ascontiguousarray(picture.transpose(1, 0, 2)))
    assert turned.brightness == pytest.approx(image_statistics(picture).brightness, abs=1e-6)
    assert turned.sharpness == pytest.approx(image_statistics(picture).sharpness, rel=0.15)
    flat = image_statistics(picture[:, ::-1])
    assert flat.sharpness == pytest.approx(image_statistics(picture).sharpness, rel=1e-5)


@pytest.mark.parametrize(
    "pixels",
    [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3)), np.zeros((4, 4, 4), np.uint8), np.zeros((0, 4, 3), np.uint8)],
)
def test_what_is_no_picture_is_refused(pixels: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"resize\(\)"):
        image_statistics(pixels)


def test_a_large_picture_takes_little_memory_beside_its_luma() -> None:
    """Every thread that reads takes it, and allocators keep it."""
    pixels = np.full((1500, 1500, 3), 250, np.uint8)
    tracemalloc.start()
    image_statistics(pixels)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 8 * pixels.shape[0] * pixels.shape[1]  # of the luma 4
