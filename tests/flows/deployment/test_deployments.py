"""prefect.yaml on a real Prefect server with a real worker: deploy, run, see it complete."""

import contextlib
import multiprocessing
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.client.schemas.filters import DeploymentFilter, FlowRunFilter
from prefect.context import refresh_global_settings_context
from prefect.deployments import run_deployment
from prefect.exceptions import ObjectAlreadyExists

from flows.machinery import worker_start
from storage.filesystem import Store
from tests.factories import DAY, assert_night_is_whole, put_images, put_model

ROOT = Path(__file__).resolve().parents[3]
PREFECT = [sys.executable, "-m", "prefect", "--no-prompt"]


def deploy_all(environment: dict[str, str]) -> None:
    """`prefect deploy --all` in a process like a worker's, which has imported Prefect and the flows."""
    worker_start.begin_imports()
    process = multiprocessing.get_context("forkserver").Process(target=_deploy_all, args=(environment,))
    process.start()
    process.join(timeout=180)
    assert process.exitcode == 0


def _deploy_all(environment: dict[str, str]) -> None:
    from prefect.cli import app  # noqa: PLC0415  # half a second that only this process pays

    os.environ.update(environment)
    refresh_global_settings_context()
    os.chdir(ROOT)
    sys.argv = ["prefect", "--no-prompt", "deploy", "--all"]
    app()


@pytest.fixture
def deployed(store: Store, command_environment: Callable[..., dict[str, str]]) -> dict[str, str]:
    """The environment with which all deployments of prefect.yaml were made."""
    environment = command_environment(RD_INSPECT_STORE=store.uri, RD_INSPECT_CODE=str(ROOT))
    with get_client(sync_client=True) as client, contextlib.suppress(ObjectAlreadyExists):
        client.create_work_pool(WorkPoolCreate(name="inspection", type="process"))
    deploy_all(environment)
    return environment


@pytest.mark.slow  # tests/deploy and the storm start real runs too; half a minute of commands that import Prefect
def test_deployments_run_on_a_worker(store: Store, scheduler: str, deployed: dict[str, str], tmp_path: Path) -> None:
    put_model(store, "cloth")
    keys = put_images(store, "cloth", ["a.png", "b.png"])
    with (tmp_path / "worker.log").open("wb") as log:
        worker = subprocess.Popen(
            [*PREFECT, "worker", "start", "--pool", "inspection"], env=deployed, stdout=log, stderr=log
        )
        try:
            asked = {"run_date": str(DAY), "dask_address": scheduler}
            ran = run_deployment("inspect-images/ad-hoc", parameters=asked, timeout=150, poll_interval=0.5)
        finally:
            worker.terminate()
            worker.wait()
    assert ran.state.is_completed(), (tmp_path / "worker.log").read_text()
    assert_night_is_whole(store, "cloth", keys)


@pytest.mark.usefixtures("deployed")
def test_the_nightly_run_is_planned_in_the_plants_time_zone_and_one_at_a_time(store: Store) -> None:
    described = {one["name"]: one for one in yaml.safe_load((ROOT / "prefect.yaml").read_text())["deployments"]}
    with get_client(sync_client=True) as client:
        found = {one.name: one for one in client.read_deployments()}
        client.request("POST", f"/deployments/{found['nightly'].id}/schedule", json={"min_runs": 2})
        planned = client.read_flow_runs(
            flow_run_filter=FlowRunFilter(state={"type": {"any_": ["SCHEDULED"]}}),
            deployment_filter=DeploymentFilter(id={"any_": [found["nightly"].id]}),
        )
    assert len(planned) >= 2, "the nightly run would never start by itself"
    assert set(described) <= set(found)
    nightly = found["nightly"]
    assert nightly.parameters == {"store": store.uri}
    assert nightly.entrypoint == "flows.inspection:inspect_images"
    assert nightly.schedules[0].schedule.timezone == "Europe/Vienna"
    assert nightly.schedules[0].schedule.cron == described["nightly"]["schedules"][0]["cron"]
    assert nightly.global_concurrency_limit.limit == 1
    weekly = found["retraining"]
    assert (weekly.entrypoint, weekly.parameters) == ("flows.retraining:retrain", {"store": store.uri})
    assert weekly.schedules[0].schedule.cron == described["retraining"]["schedules"][0]["cron"] == "0 9 * * 1"
    assert weekly.global_concurrency_limit.limit == 1
    backfill = found["backfill"]
    assert (backfill.entrypoint, backfill.schedules) == ("flows.backfill:backfill", [])
    assert backfill.global_concurrency_limit.limit == 1
    comparison = found["comparison"]
    assert (comparison.entrypoint, comparison.schedules) == ("flows.comparison:compare_methods", [])
    asked = {"store": store.uri, "category": "", "methods": None, "seeds": 1, "promote": False}
    assert comparison.parameters == asked and comparison.parameter_openapi_schema["properties"].keys() >= asked.keys()
    assert os.fspath(ROOT) in str(nightly.pull_steps)
