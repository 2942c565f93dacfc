"""Scoring on workers that offer a GPU: Dask's resource decides, so that a test needs none."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from distributed import Client, Worker

from flows.inspection import InspectionRun, inspect_images
from proofs.stub_scorer import StubScorer, warm_stub
from storage.filesystem import Store
from tests.factories import DAY, put_images, put_model, sealed_rows

PATIENCE = 120
"""seconds for a line of the run's log"""


class RunLogger:
    """Keeps what a run warns of; Prefect takes the handlers of tests away when a flow starts."""

    def __init__(self) -> None:
        self.warned: list[str] = []

    def warning(self, text: str, *values: object) -> None:
        self.warned.append(text % values)

    def wait(self) -> str:
        deadline = time.monotonic() + PATIENCE
        while not self.warned:
            assert time.monotonic() < deadline, f"no warning within {PATIENCE} s"
            time.sleep(0.02)
        return self.warned[0]


@contextmanager
def gpu_worker(scheduler: str, folder: Path) -> Iterator[None]:
    """A worker in this process, which says that it has a GPU."""

    async def start() -> Worker:
        return await Worker(
            scheduler,
            resources={"GPU": 1},
            nthreads=1,
            host="127.0.0.1",
            local_directory=str(folder),
            dashboard=False,
        )

    with Client(scheduler, set_as_default=False) as client:
        worker = client.sync(start)
        try:
            yield
        finally:
            client.sync(worker.close)


@pytest.mark.slow
def test_scoring_waits_for_a_gpu_and_stays_there(
    store: Store, scheduler: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.write("categories.toml", b"[plant]\nbatch_images = 1\n")
    put_model(store, "cloth")
    keys = put_images(store, "cloth", [f"{i}.png" for i in range(3)])
    log = RunLogger()
    monkeypatch.setattr("flows.night.partition_scoring.get_run_logger", lambda: log)
    monkeypatch.setattr("tasks.worker.scorer.warm_scorer", warm_stub)  # of this process, not of the other workers
    runs: list[InspectionRun] = []

    def inspect() -> None:
        options = {"gpu_workers": True}
        runs.append(inspect_images(store.uri, DAY, reports=False, dask_address=scheduler, options=options))

    night = threading.Thread(target=inspect)
    night.start()
    warned = log.wait()
    with gpu_worker(scheduler, tmp_path / "worker"):
        night.join()
    assert "none of 2 Dask workers offers the resource GPU" in warned
    assert "--resources GPU=1" in warned
    assert [run.outcome for run in runs] == ["completed"]
    scored_by = {row["image_key"]: row["preprocessing"] for row in sealed_rows(store, "cloth")}
    assert scored_by == dict.fromkeys(keys, StubScorer.preprocessing)
