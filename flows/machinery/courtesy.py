"""Workers of a cluster of our own that let the processes of others go first.

On a cluster that is shared, the batches' priority does it, and its workers are not ours to slow down.
"""

import os

from distributed import Client, Worker, WorkerPlugin

_NICENESS = 10
"""where a night has a cluster of its own, the system's scheduler decides"""


class _Courtesy(WorkerPlugin):
    """A worker that is started again has it too."""

    name = "rd-inspect-courtesy"

    def setup(self, worker: Worker) -> None:  # noqa: ARG002  # Dask calls WorkerPlugin.setup with worker as a keyword
        os.nice(_NICENESS)


def let_others_go_first(scheduler: str) -> None:
    """From now on, all workers of the cluster at that address."""
    with Client(scheduler, set_as_default=False) as client:
        client.register_plugin(_Courtesy())
