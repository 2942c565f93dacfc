import numpy as np
import pytest

from demo import brushed_metal, printed_part, woven_cloth
from demo.smooth_noise import smooth_noise


@pytest.mark.parametrize("surface", [woven_cloth, brushed_metal, printed_part])
@pytest.mark.parametrize("size", [64, 200])
def test_a_surface_is_a_picture_of_any_size(surface, size):
    picture = surface.draw(np.random.default_rng(0), size)
    assert picture.shape == (size, size, 3)
    assert picture.dtype == np.float32
    assert 0 <= picture.min() < picture.max() <= 1
    assert picture.std() > 0.03


def test_metal_is_brushed_along_the_rows():
    grey = brushed_metal.draw(np.random.default_rng(0), 160).mean(axis=-1)
    assert np.abs(np.diff(grey, axis=0)).mean() > 2.5 * np.abs(np.diff(grey, axis=1)).mean()


def test_cloth_repeats_at_the_pitch_of_its_threads():
    grey = woven_cloth.draw(np.random.default_rng(0), 160).mean(axis=(-1))
    spectrum = np.abs(np.fft.rfft2(grey - grey.mean()))
    row, column = np.unravel_index(spectrum.argmax(), spectrum.shape)
    # A plain weave repeats after two threads each way.
    assert column == pytest.approx(160 / (2 * woven_cloth.THREAD_PITCH), abs=1)
    assert min(row, 160 - row) == pytest.approx(160 / (2 * woven_cloth.THREAD_PITCH), abs=1)


def test_parts_are_aligned_but_jitter():
    parts = [printed_part.draw(np.random.default_rng(seed), 160).mean(axis=-1) for seed in range(3)]
    for other in parts[1:]:
        assert np.corrcoef(parts[0].ravel(), other.ravel())[0, 1] > 0.5
        assert np.abs(parts[0] - other).max() > 0.2


def test_noise_is_normalised_and_as_coarse_as_asked():
    noise = smooth_noise(np.random.default_rng(0), 128, 1.0, 6.0)
    assert noise.dtype == np.float32
    assert noise.mean() == pytest.approx(0, abs=1e-4)
    assert noise.std() == pytest.approx(1, abs=1e-4)
    assert np.abs(np.diff(noise, axis=0)).mean() > 3 * np.abs(np.diff(noise, axis=1)).mean()
