import numpy as np
import pytest
import torch
from PIL import Image

from rd_core.pictures.preprocessing import Normalisation, resize


@pytest.mark.parametrize("shape", [(200, 300, 3), (50, 40, 3), (128, 64, 3)])
def test_resize_equals_pillows_antialiased_bilinear(shape):
    image = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    expected = np.asarray(Image.fromarray(image).resize((96, 64), Image.Resampling.BILINEAR))
    resized = resize(image, 64, 96)
    assert resized.dtype == np.uint8
    assert np.abs(resized.astype(int) - expected).max() <= 1


def test_resize_takes_read_only_images():
    image = np.asarray(Image.new("RGB", (50, 50), (10, 20, 30)))
    assert not image.flags.writeable
    assert (resize(image, 32, 32) == (10, 20, 30)).all()


@pytest.mark.parametrize("bad", [np.zeros((8, 8), np.uint8), np.zeros((8, 8, 4), np.uint8), np.zeros((8, 8, 3))])
def test_resize_refuses_what_is_not_rgb_in_8_bits(bad):
    with pytest.raises(ValueError, match="RGB in 8 bits"):
        resize(bad, 32, 32)


def test_normalise_is_channels_last_and_per_channel():
    batch = np.random.default_rng(0).integers(0, 256, (2, 5, 4, 3), dtype=np.uint8)
    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    result = Normalisation(mean, std)(torch.from_numpy(batch))
    expected = ((batch / 255 - mean) / std).transpose(0, 3, 1, 2)
    np.testing.assert_allclose(result.numpy(), expected, atol=1e-5)
    assert result.is_contiguous(memory_format=torch.channels_last)
