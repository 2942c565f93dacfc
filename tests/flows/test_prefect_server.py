"""The embedded Prefect server: one, shared, and gone with its owner."""

import asyncio
import base64
import contextlib
import json
import os
import signal
import sqlite3
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NoReturn

import pytest
from prefect import flow, flow_engine, get_run_logger
from prefect.artifacts import create_markdown_artifact
from prefect.logging.handlers import APILogWorker
from websockets.exceptions import WebSocketException
from websockets.sync.client import connect
from websockets.typing import Subprotocol

from flows import prefect_server as prefect_server_module
from flows.machinery.migrations import is_migrated, remember_migrated
from flows.machinery.server_process import LOOKS_SECONDS, PAUSES, Message, Receive, Send, patient
from flows.prefect_server import (
    ServerNotStarted,
    _Home,
    _is_healthy,
    _start_embedded,
    _wait_for,
    home_folder,
    prefect_server,
)
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
    environment |= {"HTTP_PROXY": "http://127.0.0.1:9", "all_proxy": "socks5://127.0.0.1:9"}  # of the plant; nobody
    return subprocess.Popen(
        [sys.executable, "-c", script, str(seconds)], env=environment, stdout=subprocess.PIPE, text=True
    )


def test_a_second_command_shares_the_server(
    prefect_api: str, prefect_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with _other_command(prefect_home, 0.1) as other:
        assert other.stdout is not None
        assert other.stdout.readline().strip() == prefect_api
    assert other.returncode == 0
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    assert _is_healthy(prefect_api)


def test_a_configured_server_is_used_as_it_is(prefect_api: str) -> None:
    with prefect_server() as url:
        assert url == prefect_api == os.environ["PREFECT_API_URL"]


@pytest.mark.parametrize("headers", [{}, {"Host": "plant.evil.example"}, {"Origin": "http://evil.example"}])
@pytest.mark.parametrize("sent", [None, "rd-inspect:", "rd-inspect:guessed"])
def test_a_stranger_on_the_machine_is_refused(prefect_api: str, headers: dict[str, str], sent: str | None) -> None:
    """Also a page of the web, whose name leads to 127.0.0.1 or which asks from elsewhere."""
    if sent is not None:
        headers = {**headers, "Authorization": f"Basic {base64.b64encode(sent.encode()).decode()}"}
    for path, body in (("flow_runs/filter", b"{}"), ("admin/version", None)):
        request = urllib.request.Request(f"{prefect_api}/{path}", body, headers)
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(request, timeout=10)
        with refused.value as answer:
            assert (answer.code, answer.headers.get("Access-Control-Allow-Origin")) == (401, None)


@pytest.mark.parametrize("path", ["events/in", "events/out", "logs/out"])
def test_a_stranger_hears_and_tells_nothing(prefect_api: str, path: str) -> None:
    address = f"{prefect_api.replace('http', 'ws')}/{path}"
    with (
        pytest.raises((WebSocketException, OSError)),
        connect(address, subprotocols=[Subprotocol("prefect")]) as there,
    ):
        there.send('{"type": "auth", "token": "guessed"}')
        there.recv(timeout=10)


def test_what_the_server_keeps_is_for_its_user_alone(prefect_api: str, prefect_home: Path) -> None:
    secret = json.loads((prefect_home / "prefect-server.json").read_text())["secret"]
    assert os.environ["PREFECT_API_AUTH_STRING"] == secret
    assert len(secret) > 40
    assert secret not in prefect_api
    modes = {name: (prefect_home / name).stat().st_mode & 0o777 for name in ("prefect", "prefect-server.json")}
    assert modes == {"prefect": 0o700, "prefect-server.json": 0o600}
    assert (prefect_home / "prefect-server.log").stat().st_mode & 0o777 == 0o600
    assert secret not in (prefect_home / "prefect-server.log").read_text()


def test_a_new_home_is_for_its_user_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RD_INSPECT_HOME", str(tmp_path / "a" / "home"))
    assert home_folder().stat().st_mode & 0o777 == 0o700


@pytest.mark.usefixtures("prefect_api")
@pytest.mark.parametrize("home", ["file", "file/below"])
def test_a_home_that_is_no_folder_is_refused_in_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, home: str
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("RD_INSPECT_HOME", str(tmp_path / home))
    with pytest.raises(ServerNotStarted, match="Set RD_INSPECT_HOME"), _start_embedded(None):
        pass


def test_a_server_that_ends_as_it_starts_is_told_as_such(tmp_path: Path) -> None:
    ended = subprocess.Popen(["false"])
    ended.wait()
    with pytest.raises(ServerNotStarted, match=r"ended before it answered.* MiB .*remove"):
        _wait_for(ended, "http://127.0.0.1:1/api", _Home(tmp_path))


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


@flow(name="of-last-year")
def of_last_year() -> None:
    get_run_logger().warning("said last year")
    create_markdown_artifact(key="last-year", markdown="made last year")


def _kept(database: Path) -> list[int]:
    """How many runs, log lines and artifacts of `of-last-year` there are."""
    counted = (
        "FROM flow_run WHERE flow_id IN (SELECT id FROM flow WHERE name = 'of-last-year')",
        "FROM log WHERE message = 'said last year'",
        "FROM artifact WHERE key = 'last-year'",
    )
    with contextlib.closing(sqlite3.connect(database)) as opened:
        return [opened.execute(f"SELECT count(*) {rows}").fetchone()[0] for rows in counted]


def test_a_killed_command_takes_no_server_away_the_last_leaves_none_behind_and_runs_of_last_year_are_forgotten(
    prefect_api: str, prefect_home: Path, tmp_path: Path
) -> None:
    of_last_year()
    APILogWorker.drain_all(timeout=10)
    copy_database(prefect_home / "prefect", tmp_path / "prefect")
    database = tmp_path / "prefect" / "prefect.db"
    assert all(_kept(database)), _kept(database)
    with contextlib.closing(sqlite3.connect(database)) as opened, opened:
        opened.execute("UPDATE flow_run SET end_time = '2025-01-01 00:00:00.000000'")
    with _other_command(tmp_path, 600) as owner:
        assert owner.stdout is not None
        url = owner.stdout.readline().strip()
        with _other_command(tmp_path, 600) as sharer:
            assert sharer.stdout is not None
            assert sharer.stdout.readline().strip() == url
            owner.send_signal(signal.SIGKILL)
            owner.wait(timeout=20)
            time.sleep(3 * LOOKS_SECONDS)
            assert _is_healthy(url)
            deadline = time.monotonic() + 30
            while any(_kept(database)) and time.monotonic() < deadline:
                time.sleep(0.1)
            assert not any(_kept(database)), _kept(database)
            sharer.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + 30
    while _is_healthy(url) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not _is_healthy(url)
    assert not (tmp_path / "prefect-server.json").exists()


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


def test_the_address_that_a_killed_command_left_is_gone_before_a_server_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = prefect_server_module._Home(tmp_path)
    home.address.write_text('{"url": "http://127.0.0.1:1/api", "secret": "old"}')
    there: list[bool] = []

    def start(home: prefect_server_module._Home, owner: object, meanwhile: object) -> NoReturn:
        there.append(home.address.exists())
        raise ServerNotStarted("no server here")

    monkeypatch.setattr(prefect_server_module, "_start", start)
    with pytest.raises(ServerNotStarted), prefect_server_module._embedded(home, None):
        pass
    assert there == [False]


def test_what_fails_while_a_server_starts_leaves_none_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[subprocess.Popen[bytes]] = []

    def begin(*_: object) -> subprocess.Popen[bytes]:
        started.append(subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]))
        return started[0]

    def meanwhile() -> NoReturn:
        assert started[0].poll() is None
        raise KeyboardInterrupt

    monkeypatch.setattr(prefect_server_module, "_begin", begin)
    with (
        pytest.raises(KeyboardInterrupt),
        prefect_server_module._embedded(prefect_server_module._Home(tmp_path), meanwhile),
    ):
        pass
    assert started[0].poll() is not None


@pytest.mark.parametrize(
    ("variables", "file", "content", "asked"),
    [
        ({}, "empty", "", False),
        ({"prefect_api_url": "http://plant:4200/api"}, "empty", "", True),
        ({}, "home/profiles.toml", '[profiles.plant]\nPREFECT_API_URL = "http://plant:4200/api"', True),
        ({}, "home/profiles.toml", '[profiles.ephemeral]\nPREFECT_LOGGING_LEVEL = "INFO"', False),
        ({"PREFECT_PROFILES_PATH": "others"}, "others", "prefect_api_url", True),
        ({}, ".env", "PREFECT_API_URL=http://plant:4200/api", True),
        ({}, "prefect.toml", '[api]\nurl = "http://plant:4200/api"', True),
        ({}, "pyproject.toml", '[tool.prefect.api]\nurl = "http://plant:4200/api"', True),
        ({}, "pyproject.toml", 'dependencies = ["prefect"]', False),
    ],
)
def test_prefect_is_asked_first_wherever_a_server_may_be_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], file: str, content: str, asked: bool
) -> None:
    for name in [name for name in os.environ if name.upper().startswith("PREFECT_")]:
        monkeypatch.delenv(name)
    monkeypatch.delitem(sys.modules, "prefect")
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path / "home"))
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    (tmp_path / "home").mkdir()
    (tmp_path / file).write_text(content)
    monkeypatch.chdir(tmp_path)
    assert prefect_server_module._may_be_configured() is asked


def test_a_database_is_migrated_once_and_again_when_an_older_one_is_put_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def put(revision: str) -> None:
        with contextlib.closing(sqlite3.connect(tmp_path / "prefect.db")) as database:
            database.executescript(
                "DROP TABLE IF EXISTS alembic_version; CREATE TABLE alembic_version (version_num);"
                f"INSERT INTO alembic_version VALUES ('{revision}')"
            )

    remember_migrated(tmp_path)
    assert not is_migrated(tmp_path)  # there is no database
    put("newest")
    assert not is_migrated(tmp_path)
    remember_migrated(tmp_path)
    assert is_migrated(tmp_path)
    monkeypatch.setenv("PREFECT_SERVER_DATABASE_CONNECTION_URL", "postgresql://elsewhere")
    assert not is_migrated(tmp_path)
    monkeypatch.delenv("PREFECT_SERVER_DATABASE_CONNECTION_URL")
    put("older")
    assert not is_migrated(tmp_path)
    put("newest")
    monkeypatch.setattr("importlib.metadata.version", lambda _: "4.0.0")
    assert not is_migrated(tmp_path)


class Busy:
    """An ASGI application that answers 503 so many times, and then what it was sent."""

    def __init__(self, times: int) -> None:
        self.left = times
        self.heard: list[bytes] = []

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        body = b""
        while (message := await receive())["more_body"]:
            body += message["body"]
        self.heard.append(body + message["body"])
        self.left -= 1
        await send({"type": "http.response.start", "status": 503 if self.left >= 0 else 201})
        await send({"type": "http.response.body", "body": self.heard[-1]})
        if self.left >= 0:
            raise OSError("database is locked")  # as Starlette does behind its answer


def _asked(app: Busy) -> list[Message]:
    """What a client hears who sends a body in two pieces."""
    pieces = iter([{"body": b"two ", "more_body": True}, {"body": b"pieces", "more_body": False}])
    answer: list[Message] = []

    async def receive() -> Message:
        return next(pieces)

    async def send(message: Message) -> None:
        answer.append(message)

    with contextlib.suppress(OSError):
        asyncio.run(patient(app)({"type": "http"}, receive, send))
    return answer


@pytest.mark.parametrize(("times", "status"), [(0, 201), (2, 201), (len(PAUSES), 201), (len(PAUSES) + 1, 503)])
def test_a_request_that_meets_another_writer_is_asked_again_by_the_server(
    times: int, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flows.machinery.server_process.PAUSES", (0.0,) * len(PAUSES))
    app = Busy(times)
    start, body = _asked(app)
    assert (start["status"], body["body"]) == (status, b"two pieces")
    assert app.heard == [b"two pieces"] * min(times + 1, len(PAUSES) + 1)
