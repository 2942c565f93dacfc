"""A night that is interrupted or killed, and started again."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from distributed import Client
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowRunFilter

from flows.inspection import InspectionRun, inspect_images
from flows.machinery.interruption import KEPT
from storage.filesystem import Store
from storage.partitions import seals
from storage.records import Partition
from tests.factories import DAY, assert_night_is_whole, everything_below, put_images, put_model, sealed_rows

IMAGES = [f"{i:02}.png" for i in range(12)]
PATIENCE = 120
"""seconds for the first score of a night to appear"""


def wait_for_parts(store: Store, at_least: int) -> list[str]:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        parts = [info.key for info in store.list("scores/")]
        if len(parts) >= at_least:
            return parts
        time.sleep(0.02)
    raise AssertionError(f"no {at_least} parts within {PATIENCE} s")


def test_a_run_interrupted_in_the_middle_says_so_and_goes_on_where_it_stopped(
    store: Store, scheduler: str, command_environment: Callable[..., dict[str, str]], tmp_path: Path
) -> None:
    store.write("categories.toml", b"[plant]\nbatch_images = 1\n")
    put_model(store, "cloth")
    keys = put_images(store, "cloth", IMAGES)
    command = [sys.executable, "-c", "from flows.cli import main; main()", "inspect", "--run-date", str(DAY)]
    began = datetime.now(UTC)  # other tests leave killed runs on the server
    with (tmp_path / "log").open("wb") as log:
        night = subprocess.Popen(
            [*command, "--store", store.uri],
            env=command_environment(RD_INSPECT_WORKERS="1"),
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        parts = wait_for_parts(store, 2)
        os.killpg(night.pid, signal.SIGINT)  # as a terminal does: the command and the workers it started
        assert night.wait(timeout=10) == 130
    said = (tmp_path / "log").read_text()
    assert said.splitlines()[-1] == f"rd-inspect: interrupted. {KEPT['inspect']}"
    assert "Traceback" not in said
    assert "KeyboardInterrupt" not in said
    with get_client(sync_client=True) as client:
        unfinished = FlowRunFilter.model_validate(
            {"state": {"type": {"any_": ["RUNNING", "PENDING"]}}, "start_time": {"after_": began}}
        )
        assert not client.read_flow_runs(flow_run_filter=unfinished)
    assert seals.read_seal(store, Partition("cloth", DAY, "v1")) is None
    kept = {key: store.read(key) for key in parts}
    assert len(kept) < len(IMAGES)

    run = inspect_images(store.uri, DAY, reports=False, dask_address=scheduler)
    assert run.outcome == "completed"
    assert_night_is_whole(store, "cloth", keys)
    assert {key: store.read(key) for key in kept} == kept
    assert len({row["run_id"] for row in sealed_rows(store, "cloth")}) == 1  # the plan of the interrupted run


def test_a_killed_worker_costs_no_row(store: Store, scheduler: str) -> None:
    store.write("categories.toml", b"[plant]\nbatch_images = 1\n")
    put_model(store, "cloth")
    keys = put_images(store, "cloth", IMAGES)
    runs: list[InspectionRun] = []

    def inspect() -> None:
        runs.append(inspect_images(store.uri, DAY, reports=False, dask_address=scheduler))

    night = threading.Thread(target=inspect)
    night.start()
    wait_for_parts(store, 2)
    with Client(scheduler, set_as_default=False) as client:
        os.kill(next(iter(client.run(os.getpid).values())), signal.SIGKILL)
    night.join()
    assert runs[0].outcome == "completed"
    assert_night_is_whole(store, "cloth", keys)
    besides = {name for name in everything_below(Path(store.uri), "scores") if not name.endswith(".parquet")}
    assert len(besides) <= 1  # if it was killed in the middle of a write,
    assert besides <= {info.key for info in store.temporaries()}  # which clean finds
