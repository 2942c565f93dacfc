"""No file that somebody lays among the images ends a run: it is a picture, or it is told why it is none."""

import json
import os
import subprocess
import sys

import pytest
from PIL import Image

from storage.errors import UnreadableImage
from storage.images import FORMATS, decode
from tests.hostile_images import hostile_file, valid_files
from tests.image_bombs import bombs, jpeg_of_scans, tiff, tiff_tile_bomb


def read_hostile_files(what: str, first: int, stop: int, seconds: float) -> dict[str, int]:
    """See `tests.hostile_reader`, whose memory and time are limited."""
    command = [sys.executable, "-m", "tests.hostile_reader", what, str(first), str(stop)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, timeout=seconds, env=environment, check=False)
    assert done.returncode == 0, done.stderr.decode(errors="replace")[-3000:]
    counts: dict[str, int] = json.loads(done.stdout)
    return counts


def test_three_hundred_hostile_files_are_pictures_or_unreadable() -> None:
    counts = read_hostile_files("decode", 0, 300 - len(bombs()), seconds=120)
    assert sum(counts.values()) == 300
    assert counts["pictures"] > 40
    assert counts["unreadable"] > 150


@pytest.mark.slow
def test_ten_thousand_hostile_files_are_pictures_or_unreadable() -> None:
    counts = read_hostile_files("prepare", 0, 10_000, seconds=1800)
    assert sum(counts.values()) == 10_000 + len(bombs())
    assert counts["pictures"] > 1_500


def test_what_the_hostile_files_are_made_of_is_valid_and_of_every_format() -> None:
    seen = set()
    for told, data in valid_files():
        assert decode(data, white_level=65535).size > 0, told
        seen.add(told.split()[0].upper())
    assert seen == set(FORMATS)


def test_a_hostile_file_is_the_same_every_time() -> None:
    assert [hostile_file(number) for number in range(50)] == [hostile_file(number) for number in range(50)]


def test_formats_that_are_not_ours_are_not_even_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pillow knows dozens; one that nobody uses and somebody attacks must not be reached."""
    opened: list[object] = []
    real = Image.open
    monkeypatch.setattr(
        Image, "open", lambda *args, **named: opened.append(named.get("formats")) or real(*args, **named)
    )
    decode(valid_files()[0][1])
    assert opened == [FORMATS]


def test_a_jpeg_of_many_scans_is_refused_before_they_are_decoded() -> None:
    assert decode(jpeg_of_scans(99)).shape == (1000, 1000, 3)
    with pytest.raises(UnreadableImage, match=r"101 scans.*more than 100 are not decoded.*baseline"):
        decode(jpeg_of_scans(100))


def test_a_tiff_tile_larger_than_the_pixels_allowed_is_refused() -> None:
    with pytest.raises(UnreadableImage, match=r"tiles of 16384 x 8192 pixels.*1,000,000 pixels allowed"):
        decode(tiff_tile_bomb(), max_pixels=1_000_000)
    plain = tiff({322: 32, 323: 32}, bytes(1024)).replace(
        b"\x03\x01\x03\0\1\0\0\0\x08", b"\x03\x01\x03\0\1\0\0\0\x01"
    )
    with pytest.raises(UnreadableImage, match="32 x 32"):
        decode(plain, max_pixels=1023)
