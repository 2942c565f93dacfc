"""automations.yaml on a real Prefect server: it loads, a drift starts a retraining, and people are told."""

import json
import time
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest
from prefect.blocks.notifications import CustomWebhookNotificationBlock, SlackWebhook
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import DeploymentFilter, DeploymentFilterId
from prefect.client.schemas.objects import FlowRun
from prefect.logging import disable_run_logger
from prefect.states import Completed, Failed, Running

from flows.deployment.automations import PutAutomations, main, put_automations
from flows.drift import _emit
from flows.inspection import inspect_images
from flows.retraining import retrain
from flows.watching.night_events import tell_empty
from rd_core.drift.settings import DriftSettings
from storage.filesystem import Store
from tasks.drift.assess_drift import DriftJob, assess_drift
from tests.drift_plants import FIRST, Day, put_calibrated_model, put_days
from tests.posts import Posts, posts

pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated")  # which Prefect's blocks come with
FILE = Path(__file__).resolve().parents[3] / "automations.yaml"
NAMES = [
    *(
        "retrain-on-drift",
        "notify-stop-the-line",
        "notify-night-overdue",
        "notify-night-failed",
        "notify-empty-night",
    ),
]


class NightShift:
    """Somebody's own chat: what was posted to it."""

    def __init__(self, server: Posts) -> None:
        self.server = server
        self.url = f"{server.url}/hook"

    @property
    def told(self) -> list[str]:
        return [json.loads(body)["text"] for _, body in self.server.bodies]

    def hears(self, words: str, seconds: float) -> bool:
        """Whether a message with these words is there within so long."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and not any(words in one for one in self.told):
            time.sleep(0.2)
        return any(words in one for one in self.told)


@pytest.fixture
def night_shift() -> Iterator[NightShift]:
    with posts() as server:
        yield NightShift(server)


@pytest.fixture
def client(prefect_api: str) -> Iterator[SyncPrefectClient]:
    """Of a server with the retraining deployment and a notification block; both are gone again afterwards."""
    with get_client(sync_client=True) as client:
        before = {one.id for one in client.read_deployments()}
        flow_id = client.create_flow(retrain)
        deployment = client.create_deployment(flow_id, "retraining", parameters={"store": "s3://plant"})
        block = SlackWebhook(url="https://127.0.0.1:1/none").save("night-shift", overwrite=True)
        yield client
        for name in NAMES:
            for automation in client.read_automations_by_name(name):
                client.delete_automation(automation.id)
        client.delete_block_document(block)
        if deployment not in before:
            client.delete_deployment(deployment)


def runs_of_retraining(client: SyncPrefectClient, at_least: int) -> list[FlowRun]:
    """As soon as there are so many; all the same after 20 s."""
    deployment = client.read_deployment_by_name("retrain/retraining")
    chosen = DeploymentFilter(id=DeploymentFilterId(any_=[deployment.id]))
    deadline = time.monotonic() + 20
    while len(runs := client.read_flow_runs(deployment_filter=chosen)) < at_least and time.monotonic() < deadline:
        time.sleep(0.2)
    return runs


def test_they_load_and_a_drift_starts_one_retraining_of_its_category(store: Store, client: SyncPrefectClient) -> None:
    for _ in range(2):
        assert put_automations(client, FILE) == PutAutomations(tuple(NAMES), ())
    kept = {name: client.read_automations_by_name(name) for name in NAMES}
    assert {name: len(found) for name, found in kept.items()} == dict.fromkeys(NAMES, 1)
    overdue = kept["notify-night-overdue"][0].trigger
    assert overdue.within.total_seconds() == 6 * 3600
    assert "prefect.flow-run.CompletedWithRejects" in overdue.expect
    put_calibrated_model(store, "metal")
    put_days(store, "metal", [Day()] * 3 + [Day(brightness=-3, score=1.5)] * 5)
    job = DriftJob(store.uri, "metal", "v1", FIRST, FIRST.replace(day=20), DriftSettings())
    with disable_run_logger():
        found = assess_drift.fn(job)
    assert found.action == "retrain"
    before = len(runs_of_retraining(client, 0))
    for _ in range(2):
        _emit(found, "reports/drift/x/drift.html")
    runs = runs_of_retraining(client, before + 1)
    assert len(runs) == before + 1
    assert runs[0].parameters["categories"] == ["metal"]
    assert runs[0].parameters["recalibrate"] is True, "where the verdict is recalibrate, a new threshold is enough"
    assert runs[0].parameters["store"] == "s3://plant"
    time.sleep(1)
    assert len(runs_of_retraining(client, 0)) == before + 1, "one retraining a week, however often drift is told"


@pytest.mark.slow  # the server looks for what did not happen every few seconds, and waits ten at least
def test_the_night_shift_is_told_of_a_night_that_is_overdue_failed_or_empty(
    client: SyncPrefectClient, night_shift: NightShift, tmp_path: Path
) -> None:
    message = {"text": "{{subject}} | {{body}}"}
    chat = CustomWebhookNotificationBlock(name="chat", url=night_shift.url, json_data=message)
    block = chat.save("chat", overwrite=True)
    file = tmp_path / "automations.yaml"
    file.write_text(
        FILE.read_text()
        .replace("within: 21600", "within: 15")
        .replace("slack-webhook/night-shift", "custom-webhook/chat")
    )
    put_automations(client, file)
    nightly = client.create_deployment(client.create_flow(inspect_images), "nightly")
    runs = {
        name: client.create_flow_run_from_deployment(nightly, name=name) for name in ("late", "punctual", "broken")
    }
    broken = Failed(message="cloth: the store is away")
    ends = [("punctual", Completed()), ("broken", broken)]
    for name, state in [*((name, Running()) for name in runs), *ends]:
        client.set_flow_run_state(runs[name].id, state, force=True)
        time.sleep(2)  # two at once, and the server may lose one on SQLite ("database is locked")
    tell_empty(date(2026, 3, 2), "metal")
    assert night_shift.hears("broken: cloth: the store is away", 30), night_shift.told
    assert night_shift.hears("metal: no images of 2026-03-02", 30)
    assert not any("late" in one for one in night_shift.told)
    assert night_shift.hears("late is Running after six hours", 60)
    time.sleep(6)  # another look of the server
    overdue = [one for one in night_shift.told if "overdue" in one]
    assert [one.split("|")[1].split()[0] for one in overdue] == ["late"]
    client.delete_deployment(nightly)
    client.delete_block_document(block)


def test_what_needs_a_block_that_is_not_there_is_told_and_the_rest_is_in_force(
    client: SyncPrefectClient, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "other.yaml"
    other.write_text(FILE.read_text().replace("slack-webhook/night-shift", "slack-webhook/day-shift"))
    assert main([str(other)]) == 1
    told = " ".join(capsys.readouterr().err.split())
    assert "retrain-on-drift is in force" in told
    assert "notify-empty-night is NOT in force: the block 'slack-webhook/day-shift' is not on the" in told
    assert "prefect block create" in told
    there = [name for name in NAMES if client.read_automations_by_name(name)]
    assert there == ["retrain-on-drift"]


def test_a_deployment_that_is_not_there_leaves_its_automation_out(client: SyncPrefectClient, tmp_path: Path) -> None:
    other = tmp_path / "other.yaml"
    other.write_text(FILE.read_text().replace("retrain/retraining", "retrain/none"))
    put = put_automations(client, other)
    assert set(put.in_force) == {name for name in NAMES if name.startswith("notify")}
    ((name, why),) = put.missing
    assert name == "retrain-on-drift" and "'retrain/none'" in why and "prefect deploy --all" in why


@pytest.mark.usefixtures("prefect_api")
@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "is no list of automations"),
        (b"automations: []", "names no automation"),
        (b"automations: [{name: x}]", "is no list of automations"),
        (b"automations: [1", "cannot be read"),
        (b"\xff\xfe", "cannot be read"),
        (b"automations: [{name: x, actions: [], trigger: {type: nonsense}}]", "is not one that Prefect takes"),
    ],
)
def test_a_file_of_something_else_is_refused(
    content: bytes, told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "some.yaml").write_bytes(content)
    assert main([str(tmp_path / "some.yaml")]) == 2
    assert told in " ".join(capsys.readouterr().err.split())


def test_without_a_server_of_ones_own_nothing_is_put_anywhere(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("flows.deployment.automations.configured_url", lambda: None)
    assert main([]) == 2
    assert "PREFECT_API_URL is not set" in capsys.readouterr().err
