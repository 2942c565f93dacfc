"""Read items in threads, ahead of their use."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

READERS = 4
"""threads"""
READ_AHEAD = 32
"""most items read but not yet used"""
BYTES_AT_ONCE = 2**26
"""of pictures or maps that lie in memory together, unless a single one is larger"""

T = TypeVar("T")
R = TypeVar("R")


def at_once(bytes_each: int, most: int) -> int:
    """Number of pictures or maps within BYTES_AT_ONCE; at least one, at most `most`."""
    return max(1, min(most, BYTES_AT_ONCE // bytes_each))


def read_ahead(read: Callable[[T], R], items: Iterable[T], bytes_each: int = 1) -> Iterator[R]:
    """Yield `read` of each item, in order, at most READ_AHEAD of them ahead, and fewer of large ones.

    bytes_each: of a result. Exceptions of `read` are raised at the place of its result. Stopping early waits only for
    reads in progress.
    """
    limit = at_once(bytes_each, READ_AHEAD)
    pool = ThreadPoolExecutor(READERS, thread_name_prefix="read")
    try:
        waiting = iter(items)
        ahead: deque[Future[R]] = deque(pool.submit(read, item) for item in islice(waiting, limit))
        while ahead:
            yield ahead.popleft().result()
            ahead.extend(pool.submit(read, item) for item in islice(waiting, 1))
    finally:
        pool.shutdown(cancel_futures=True)
