"""The embedded Prefect server: one, shared, and gone with its owner."""

import contextlib
import os
import signal
import sqlite3
import ssl
import subprocess
import sys
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from prefect import flow, flow_engine

from flows.prefect_server import _is_healthy, prefect_server
from tests.prefect_database import copy_database

OTHER_COMMAND = """
import os, sys, time
os.environ.pop("PREFECT_API_URL", None)
from flows.prefect_server import prefect_server
with prefect_server() as url:
    print(url, flush=True)
    time.sleep(float(sys.argv[1]))
"""

LOGGING_COMMAND = """
import os, sys
os.environ.pop("PREFECT_API_URL", None)
from flows.prefect_server import prefect_server
with prefect_server():
    from prefect import flow, get_run_logger
    from prefect.events import emit_event

    @flow
    def short():
        get_run_logger().warning("the last line")
        emit_event("test.over", resource={"prefect.resource.id": "test"})

    short()
print("over", flush=True)
"""


def _other_command(home: Path, seconds: float, script: str = OTHER_COMMAND) -> subprocess.Popen[str]:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PREFECT_")}
    environment |= {"RD_INSPECT_HOME": str(home), "PREFECT_HOME": str(home / "other")}
    return subprocess.Popen(
        [sys.executable, "-c", script, str(seconds)], env=environment, stdout=subprocess.PIPE, text=True
    )


def test_a_second_command_shares_the_server(prefect_api: str, prefect_home: Path) -> None:
    with _other_command(prefect_home, 0.1) as other:
        assert other.stdout is not None
        assert other.stdout.readline().strip() == prefect_api
    assert other.returncode == 0
    assert _is_healthy(prefect_api)


def test_a_configured_server_is_used_as_it_is(prefect_api: str) -> None:
    with prefect_server() as url:
        assert url == prefect_api == os.environ["PREFECT_API_URL"]


@pytest.mark.usefixtures("prefect_api")
def test_clients_of_the_embedded_server_read_one_authority_not_all() -> None:
    context = ssl.create_default_context(cafile=os.environ["PREFECT_API_SSL_CERT_FILE"])
    assert len(context.get_ca_certs()) == 1


@pytest.mark.usefixtures("prefect_api")
def test_flow_runs_on_the_embedded_server_send_no_heartbeats_in_any_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """The thread that sends them sleeps for a second at a time, and each flow run waits for its end."""
    monkeypatch.setattr(flow_engine.FlowRunEngine, "_emit_flow_run_heartbeat", lambda *_: beats.append("beat"))
    beats: list[str] = []
    quick = flow(lambda: "done", name="quick")
    with ThreadPoolExecutor(1) as pool:
        assert [quick(), pool.submit(quick).result()] == ["done", "done"]
    assert not beats


def test_a_killed_command_leaves_no_server_behind(prefect_api: str, prefect_home: Path, tmp_path: Path) -> None:
    copy_database(prefect_home / "prefect", tmp_path / "prefect")
    with _other_command(tmp_path, 600) as owner:
        assert owner.stdout is not None
        url = owner.stdout.readline().strip()
        with urllib.request.urlopen(f"{url}/health", timeout=5) as answer:
            assert answer.status == 200
        owner.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + 30
    while _is_healthy(url) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not _is_healthy(url)


def test_a_command_ends_at_once_and_what_it_logged_last_is_kept(
    prefect_api: str, prefect_home: Path, tmp_path: Path
) -> None:
    copy_database(prefect_home / "prefect", tmp_path / "prefect")
    with _other_command(tmp_path, 0, LOGGING_COMMAND) as owner:
        assert owner.stdout is not None
        assert owner.stdout.readline().strip() == "over"
        over = time.monotonic()
        owner.wait(timeout=60)
    assert owner.returncode == 0
    assert time.monotonic() - over < 15  # Prefect goes on trying for a minute
    with contextlib.closing(sqlite3.connect(tmp_path / "prefect" / "prefect.db")) as kept:
        (lines,) = kept.execute("SELECT count(*) FROM log WHERE message = 'the last line'").fetchone()
        (events,) = kept.execute("SELECT count(*) FROM events WHERE event = 'test.over'").fetchone()
    assert (lines, events) == (1, 1)
