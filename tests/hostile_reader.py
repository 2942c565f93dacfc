"""Decodes hostile files in a process of its own, with little memory and little time for each.

    python -m tests.hostile_reader decode|prepare FIRST STOP

Every bomb of `tests.image_bombs`, then the files of those numbers. Writes a line of JSON: how many were pictures, how
many unreadable. Ends at once, with the number of the file and a stack, at one that crashes, hangs, asks for too much
memory or raises anything but UnreadableImage.
"""

import faulthandler
import json
import re
import resource
import sys
from collections.abc import Callable
from itertools import chain
from pathlib import Path

import numpy as np

from rd_core.pictures.image_view import ImageView
from storage.errors import UnreadableImage
from storage.images import decode
from tests.hostile_images import hostile_file, valid_files
from tests.image_bombs import bombs

MAX_PIXELS = 1_000_000
BYTES_A_PIXEL = 40
"""the most that decoding takes: floats go through 64-bit ones, some at a time"""
SECONDS_A_FILE = 10
"""on a machine that does other things too"""
_SPARE = 1 << 30
"""of the address space: nothing gets more, whatever we count"""


def main(what: str, first: int, stop: int) -> None:
    read = _prepare() if what == "prepare" else _decode
    bombs()  # made before memory is counted
    for _, data in valid_files():
        read(data)  # loads each format's code
    _limit_address_space()
    counts = {"pictures": 0, "unreadable": 0}
    files = chain(bombs(), map(hostile_file, range(first, stop)))
    for number, (told, data) in enumerate(files, first - len(bombs())):
        sys.stderr.write(f"file {number}: {told}\n")
        before = _start_counting()
        faulthandler.dump_traceback_later(SECONDS_A_FILE, exit=True)
        try:
            pixels = read(data)
        except UnreadableImage as e:
            assert str(e)
            counts["unreadable"] += 1
        else:
            assert pixels.dtype == np.uint8
            assert pixels.shape[2] == 3
            counts["pictures"] += 1
        faulthandler.cancel_dump_traceback_later()
        _refuse_greed(before)
    sys.stdout.write(json.dumps(counts))


def _decode(data: bytes) -> np.ndarray:
    return decode(data, white_level=65535, max_pixels=MAX_PIXELS)


def _prepare() -> Callable[[bytes], np.ndarray]:
    from tasks.worker.preprocessing import ImageFormat  # noqa: PLC0415  # brings torch, which the other reader does without

    image_format = ImageFormat(ImageView(64, 64), 65535, MAX_PIXELS)
    return lambda data: image_format.prepare(data)[0]


def _limit_address_space() -> None:
    limit = _kilobytes("VmSize") * 1024 + _SPARE
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def _start_counting() -> int:
    """Bytes in use now; the peak is counted from here."""
    Path("/proc/self/clear_refs").write_text("5")
    return _kilobytes("VmRSS") * 1024


def _refuse_greed(before: int) -> None:
    taken = _kilobytes("VmHWM") * 1024 - before
    assert taken <= MAX_PIXELS * BYTES_A_PIXEL, f"{taken >> 20} MiB taken for at most {MAX_PIXELS:,} pixels"


def _kilobytes(name: str) -> int:
    return int(re.findall(rf"{name}:\s+(\d+) kB", Path("/proc/self/status").read_text())[0])


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
