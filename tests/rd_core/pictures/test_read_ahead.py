"""Read ahead: in order, never too far, and whoever stops early stops the reading."""

import threading
from itertools import count

import pytest

from rd_core.pictures.read_ahead import BYTES_AT_ONCE, READ_AHEAD, READERS, at_once, read_ahead


@pytest.mark.parametrize(("bytes_each", "limit"), [(1, READ_AHEAD), (BYTES_AT_ONCE // 2, 2), (9 * BYTES_AT_ONCE, 1)])
def test_results_come_in_order_and_never_more_than_a_few_are_read_before_they_are_asked_for(
    bytes_each: int, limit: int
) -> None:
    lock, read, taken, most = threading.Lock(), 0, 0, 0

    def slowly(number: int) -> int:
        nonlocal read, most
        with lock:
            read += 1
            most = max(most, read - taken)
        return number * 2

    for expected, number in enumerate(read_ahead(slowly, range(200), bytes_each)):
        with lock:
            taken += 1
        assert number == 2 * expected
    assert taken == read == 200
    assert min(READERS, limit) - 1 < most <= limit


def test_at_least_one_is_in_memory_and_never_more_than_asked_for() -> None:
    assert [at_once(size, 16) for size in (1, BYTES_AT_ONCE // 16, BYTES_AT_ONCE // 3, 9 * BYTES_AT_ONCE)] == [
        16, 16, 3, 1
    ]  # fmt: skip


def test_an_error_comes_where_its_result_would_have_come() -> None:
    results = read_ahead(lambda number: 6 // (3 - number), range(10))
    assert [next(results) for _ in range(3)] == [2, 3, 6]
    with pytest.raises(ZeroDivisionError):
        next(results)


def test_who_stops_early_stops_the_reading() -> None:
    asked = count()
    go_on = threading.Event()

    def waiting(number: int) -> int:
        next(asked)
        assert number == 0 or go_on.wait(10)
        return number

    results = read_ahead(waiting, range(1000))
    assert next(results) == 0
    threading.Timer(0.05, go_on.set).start()
    results.close()
    assert next(asked) <= 1 + READERS
