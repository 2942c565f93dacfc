"""A night of 100,000 images: what the flow's own process needs. Run by `make proofs`."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.night_sizes import put_night
from flows.inspection import TASKS_PER_FLOW_RUN
from storage.stores.filesystem import Store
from tests.factories import DAY, sealed_rows

IMAGES = 100_000
MOST_MEMORY = 1 << 30
"""bytes of the flow's process"""

NIGHT = """
import logging, sys
from datetime import date
from distributed import LocalCluster
from prefect.client.orchestration import get_client
from benchmarks.night_play import peak
from flows.inspection import inspect_images
from flows.machinery.prefect_server import prefect_server

if __name__ == "__main__":
    with prefect_server(), LocalCluster(
        n_workers=2, threads_per_worker=1, host="127.0.0.1", dashboard_address="127.0.0.1:0",
        silence_logs=logging.ERROR, preload=["tests.stub_scorer"],
    ) as cluster:
        run = inspect_images(sys.argv[1], date.fromisoformat(sys.argv[2]), dask_address=cluster.scheduler_address)
        with get_client(sync_client=True) as client:
            tasks = sum(1 for _ in range(0, 2000, 200) for _ in client.read_task_runs(limit=200, offset=_))
    print(run.outcome, peak(), tasks)
"""


@pytest.mark.slow
@pytest.mark.timeout(3000)
def test_the_flow_of_a_large_night_stays_small(store: Store, tmp_path: Path) -> None:
    put_night(store.uri, IMAGES)
    script = tmp_path / "night.py"
    script.write_text(NIGHT)
    done = subprocess.run(
        [sys.executable, str(script), store.uri, str(DAY)],
        env={**os.environ, "PYTHONPATH": str(Path.cwd()), "PREFECT_LOGGING_LEVEL": "WARNING"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    outcome, memory, tasks = done.stdout.split()[-3:]
    assert outcome == "completed"
    assert int(memory) < MOST_MEMORY
    assert int(tasks) < TASKS_PER_FLOW_RUN + 50
    assert len(sealed_rows(store, "cloth")) == IMAGES
