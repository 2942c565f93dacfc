"""One-time settings of a worker process."""

import contextlib
import ctypes
import os
from functools import cache

_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_THRESHOLD = -1, -2, -3
"""of glibc's malloc.h"""
_KEEP_BYTES = 1 << 30


@cache
def prepare_worker_process() -> None:
    """Set torch threads and memory of this process once; repeated calls do nothing.

    Threads: a Dask worker starts with one, so `RD_INSPECT_TORCH_THREADS` sets the number. Memory: keeps glibc from
    returning feature maps to the kernel after every batch, because zeroing new pages took a third of a forward pass.
    """
    import torch  # noqa: PLC0415  # 250 MiB and 3 s; flow processes import this module, and compute nothing

    torch.set_num_threads(int(os.environ.get("RD_INSPECT_TORCH_THREADS", "1")))
    with contextlib.suppress(AttributeError, OSError):  # another C library: nothing to set
        libc = ctypes.CDLL(None)
        for parameter in (_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_THRESHOLD):
            libc.mallopt(parameter, _KEEP_BYTES if parameter != _M_TOP_PAD else _KEEP_BYTES // 16)


def return_freed_memory() -> None:
    """Give back to the kernel the free memory that `prepare_worker_process` keeps. For when a model has been loaded:
    tracing it for OpenVINO and comparing it with torch leave 200 MiB that scoring never needs."""
    with contextlib.suppress(AttributeError, OSError):
        ctypes.CDLL(None).malloc_trim(0)
