"""A limit on the memory of pictures that are decoded at the same time, in all threads of a process."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

BYTES_A_PIXEL = 7
"""Pillow's pixel, 4, and the array's, 3"""


class DecodingRoom:
    """Memory that threads share while they decode and resize; a picture that needs more than all of it waits to be
    alone."""

    def __init__(self, most: int) -> None:
        """most: bytes"""
        self._most = most
        self._taken = 0
        self._freed = threading.Condition()

    @contextmanager
    def of(self, pixels: int) -> Iterator[None]:
        """Waits for room for a picture of so many pixels, and keeps it."""
        wanted = BYTES_A_PIXEL * pixels
        with self._freed:
            self._freed.wait_for(lambda: not self._taken or self._taken + wanted <= self._most)
            self._taken += wanted
        try:
            yield
        finally:
            with self._freed:
                self._taken -= wanted
                self._freed.notify_all()
