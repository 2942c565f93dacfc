import io

import numpy as np
import pytest
from PIL import Image, UnidentifiedImageError

from demo import broken_files

PICTURE = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
FILES = {file.name: file for file in broken_files.odd_files(PICTURE)}


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("truncated.jpg", OSError),
        ("truncated.png", OSError),
        ("empty.png", UnidentifiedImageError),
        ("text.png", UnidentifiedImageError),
        ("oversized.png", Image.DecompressionBombError),
    ],
)
def test_a_broken_file_does_not_decode(name, error):
    assert not FILES[name].readable
    with pytest.raises(error):
        Image.open(io.BytesIO(FILES[name].data)).load()


def test_a_wrong_extension_hides_a_whole_picture():
    odd = FILES["wrong_extension.jpg"]
    picture = Image.open(io.BytesIO(odd.data))
    assert odd.readable
    assert picture.format == "PNG"
    np.testing.assert_array_equal(np.asarray(picture), PICTURE)


def test_every_file_stays_small_whatever_its_header_claims():
    assert max(len(file.data) for file in FILES.values()) < 20_000
