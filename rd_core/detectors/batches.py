"""The order in which a training by steps sees its images."""

from collections.abc import Callable, Iterator

import numpy as np


def batches(count: int, size: int, seed: int) -> Iterator[np.ndarray]:
    """Endless batches of ascending indices: every image once an epoch, in an order drawn from `seed`.

    A single image left over in an epoch is skipped: batch norm needs two.
    """
    order = np.random.default_rng(seed)
    size = min(size, count)
    while True:
        shuffled = order.permutation(count)
        for start in range(0, count, size):
            indices = shuffled[start : start + size]
            if len(indices) >= 2:
                yield np.sort(indices)  # reads of the cache go forward


def full_batches(size: int, shuffled: Callable[[], list[int]]) -> Iterator[list[int]]:
    """Endless batches of `size` indices: those of one epoch after the other, each of which `shuffled` draws."""
    waiting: list[int] = []
    while True:
        while len(waiting) < size:
            waiting += shuffled()
        yield waiting[:size]
        waiting = waiting[size:]
