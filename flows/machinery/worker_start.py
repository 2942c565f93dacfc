"""Forks the workers of an embedded cluster from one process with their imports, which saves each seven seconds of
a core."""

import multiprocessing
import multiprocessing.forkserver
import multiprocessing.resource_tracker
import sys

from flows.machinery.environment import environment
from flows.machinery.interruption import deaf_children

FROM_ONE_PROCESS = sys.platform == "linux"
"""elsewhere fork is missing or unsafe, and workers start in Dask's default way"""
DASK_CONFIG = {"distributed.worker.multiprocessing-method": "forkserver"} if FROM_ONE_PROCESS else {}
_IMPORTED = (
    "distributed",
    "prefect_dask",
    "tasks.night.plan_batches",
    "tasks.night.score_batch",
    "tasks.worker.scorer",
    "tasks.night.seal_partition",
)
_ONE_THREAD = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
"""as Dask sets for its workers: numpy reads it on import, and a process with threads must not be forked"""
_ONE_HEAP = {"MALLOC_ARENA_MAX": "1"}
"""for all threads. glibc gives each but the first a heap of at most 64 MiB: what is larger of a task, such as feature
maps, is asked of the kernel anew each time, which zeroes its pages (docs/decisions/0020)"""


def begin_imports() -> None:
    """Start that process unless it runs. It imports while the caller continues."""
    if not FROM_ONE_PROCESS:
        return
    multiprocessing.get_context("forkserver").set_forkserver_preload(list(_IMPORTED))
    with environment({**_ONE_THREAD, **_ONE_HEAP}), deaf_children():
        multiprocessing.resource_tracker.ensure_running()  # which lets signals through to this thread again
        with deaf_children():
            multiprocessing.forkserver.ensure_running()
