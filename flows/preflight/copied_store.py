"""What a command says while a copied store is looked at: once in full, and at the end of how many more days."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Lock


@contextmanager
def told_once(say: Callable[[str], object]) -> Iterator[Callable[[str], None]]:
    """For `storage.partitions.same_images.compare`, which tells of each day of each category; from any thread."""
    count, lock = 0, Lock()

    def tell(text: str) -> None:
        nonlocal count
        with lock:
            count += 1
            first = count == 1
        if first:
            say(text)

    yield tell
    if count > 1:
        others = count - 1
        say(f"Likewise those of {others:,} more {'day' if others == 1 else 'days'}, counted by category.")
