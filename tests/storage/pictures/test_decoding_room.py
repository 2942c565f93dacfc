"""Room to decode in: never more than there is, and whoever fails gives it back."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from storage.pictures.decoding_room import BYTES_A_PIXEL, DecodingRoom


def test_pictures_decoded_together_fit_and_one_that_never_fits_is_alone() -> None:
    room, lock, inside, seen = DecodingRoom(10 * BYTES_A_PIXEL), threading.Lock(), [], []
    together = threading.Barrier(2, timeout=10)

    def decode(pixels: int) -> None:
        with room.of(pixels):
            with lock:
                inside.append(pixels)
                seen.append(sum(inside))
            if pixels == 5:  # two of these fit
                together.wait()
            with lock:
                inside.remove(pixels)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(decode, [5, 5, 6, 6, 6, 25, 4, 25]))
    assert sorted(seen)[-2:] == [25, 25] and max(total for total in seen if total != 25) <= 10


def test_a_fault_gives_the_room_back() -> None:
    room = DecodingRoom(10 * BYTES_A_PIXEL)
    with pytest.raises(ZeroDivisionError), room.of(10):
        _ = 1 / 0
    with room.of(10):
        pass


def test_a_picture_waits_until_there_is_room() -> None:
    room, entered = DecodingRoom(10 * BYTES_A_PIXEL), threading.Event()

    def decode() -> None:
        with room.of(5):
            entered.set()

    waiting = threading.Thread(target=decode)
    with room.of(6):
        waiting.start()
        assert not entered.wait(0.05)
    waiting.join(10)
    assert entered.is_set()
