"""The clock by which models are compared."""

import time

from rd_core.kernels.precision import default_device


def computing_seconds() -> float:
    """Of this process's processors where they compute, because others share the machine; else by the clock."""
    return time.process_time() if default_device().type == "cpu" else time.perf_counter()
