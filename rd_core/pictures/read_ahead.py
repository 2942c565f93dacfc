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

T = TypeVar("T")
R = TypeVar("R")


def read_ahead(read: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
    """Yield `read` of each item, in order, at most READ_AHEAD of them ahead.

    Exceptions of `read` are raised at the place of its result. Stopping early waits only for reads in progress.
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
