"""What a contender costs its process: processor seconds, and memory at its peak."""

import ctypes
import time
from contextlib import suppress
from pathlib import Path

_STATUS, _RESTART = Path("/proc/self/status"), Path("/proc/self/clear_refs")
_OF_PEAK = "5"
"""what clear_refs takes to set the peak back to what the process has now"""


class Meter:
    """Measures from its making on. In a process that computes other things meanwhile these count, too."""

    def __init__(self) -> None:
        with suppress(AttributeError, OSError):  # another C library, or a container that refuses: the peak is a bound
            ctypes.CDLL(None).malloc_trim(0)  # what the task before gave back would count
            _RESTART.write_text(_OF_PEAK)
        self._processor, self._clock = time.process_time(), time.perf_counter()

    @property
    def processor_seconds(self) -> float:
        return time.process_time() - self._processor

    @property
    def elapsed_seconds(self) -> float:
        return time.perf_counter() - self._clock

    @property
    def peak_memory(self) -> int:
        """Bytes; 0 without Linux's /proc."""
        with suppress(OSError):
            for line in _STATUS.read_text().splitlines():
                if line.startswith("VmHWM"):
                    return int(line.split()[1]) * 1024
        return 0
