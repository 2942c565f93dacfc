"""What a worker process sets once, before it computes."""

import contextlib
import ctypes
import os
from functools import cache

_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_THRESHOLD = -1, -2, -3
"""names of glibc's malloc.h"""
_KEEP_BYTES = 1 << 30


@cache
def prepare_worker_process() -> None:
    """Torch threads and memory of this process; once, however often it is called.

    Threads: a Dask worker starts with one, whatever its share of the cores, so `RD_INSPECT_TORCH_THREADS` says it.
    Memory: by default glibc gives every feature map back to the kernel and asks for it anew at the next batch, and
    the kernel's zeroing of pages took a third of the time of a forward pass.
    """
    import torch  # noqa: PLC0415  # 250 MiB and 3 s; flow processes import this module, and compute nothing

    torch.set_num_threads(int(os.environ.get("RD_INSPECT_TORCH_THREADS", "1")))
    with contextlib.suppress(AttributeError, OSError):  # another C library: nothing to set
        libc = ctypes.CDLL(None)
        for parameter in (_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_THRESHOLD):
            libc.mallopt(parameter, _KEEP_BYTES if parameter != _M_TOP_PAD else _KEEP_BYTES // 16)
