"""Images fetched and decoded by threads while whoever asked for them works on those before."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

READERS = 4
"""threads"""
READ_AHEAD = 32
"""images that are read and not yet asked for, at most"""

T = TypeVar("T")
R = TypeVar("R")


def read_ahead(read: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
    """`read` of each item, in order, never more than READ_AHEAD of them before they are asked for.

    What `read` raises is raised where its result would have come. Whoever stops early waits only for what is being
    read at that moment.
    """
    pool = ThreadPoolExecutor(READERS, thread_name_prefix="read")
    try:
        waiting = iter(items)
        ahead: deque[Future[R]] = deque(pool.submit(read, item) for item in islice(waiting, READ_AHEAD))
        while ahead:
            yield ahead.popleft().result()
            ahead.extend(pool.submit(read, item) for item in islice(waiting, 1))
    finally:
        pool.shutdown(cancel_futures=True)
