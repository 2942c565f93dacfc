"""Where on the image the values of a coarser map lie."""

from typing import NamedTuple


class Grid(NamedTuple):
    """Squares in rows and columns from the image's first corner on, of which each has one value."""

    side: int
    """of a square, in pixels"""
    stride: int
    """pixels from one square to the next: less than the side where they overlap"""

    def count(self, length: int) -> int:
        """Squares along so many pixels; the last may reach beyond them."""
        return max(1, 1 - (self.side - length) // self.stride)
