"""The Prefect server of one machine: the configured one, else one embedded server that all commands share.

Otherwise every process without `PREFECT_API_URL` would start its own server on the same SQLite file. The embedded
server ends with the last command that uses it (flows/machinery/server_process.py). Every user of the machine can
reach 127.0.0.1, and so can web pages through a browser, so the server requires a secret from a private file.
"""

import contextlib
import fcntl
import functools
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import certifi

from flows.machinery import interruption, server_process
from flows.machinery.environment import around_loopback, environment, is_loopback
from flows.machinery.migrations import is_migrated, remember_migrated

START_SECONDS = 180
"""The first start builds the database: half a minute on two busy cores."""
TRIES_AGAIN = 3
"""of a request, 14 s in all. A killed embedded server is not started again; with Prefect's five tries its
command would need more than two minutes to report it."""
QUIET = {
    "DO_NOT_TRACK": "1",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_CLI_PROMPT": "false",
    "PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW": "ignore",
    "PREFECT_SERVER_UI_ENABLED": "false",
    "PREFECT_UI_URL": "",  # else the log names pages that are off
}
KEPT_DAYS = 90
"""of runs, their logs and their artifacts; the store, not this database, is what a plant keeps"""
PRUNED = {
    "PREFECT_SERVER_SERVICES_DB_VACUUM_ENABLED": "true",
    "PREFECT_SERVER_SERVICES_DB_VACUUM_RETENTION_PERIOD": str(KEPT_DAYS * 86_400),
}
"""server settings, which the environment overrides; by default it keeps every run for ever"""
_IDLE_SERVICES = ("SCHEDULER", "LATE_RUNS", "FOREMAN", "REPOSSESSOR", "PAUSE_EXPIRATIONS", "CANCELLATION_CLEANUP")
NOT_NEEDED = {
    **{f"PREFECT_SERVER_SERVICES_{name}_ENABLED": "false" for name in _IDLE_SERVICES},
    "PREFECT_API_BLOCKS_REGISTER_ON_START": "false",
    "PREFECT_MEMOIZE_BLOCK_AUTO_REGISTRATION": "false",
}
"""services for deployments, work pools and blocks, which a command's own server does not have; the search for
blocks would import Dask"""
_API_URL = "PREFECT_API_URL"


class ServerNotStarted(Exception):
    """The embedded Prefect server did not answer in time."""


class ServerNotUsable(Exception):
    """The configured Prefect server is away, is no Prefect server, has another version, or wants a login."""


@dataclass(frozen=True)
class _Home:
    """Folder of the embedded server's database, log and locks."""

    folder: Path

    @property
    def log(self) -> Path:
        return self.folder / "prefect-server.log"

    @property
    def address(self) -> Path:
        return self.folder / "prefect-server.json"

    @property
    def certificate(self) -> Path:
        return self.folder / "certificate.pem"

    @property
    def prefect(self) -> Path:
        """Made so that only this user can open it."""
        folder = self.folder / "prefect"
        folder.mkdir(exist_ok=True)
        folder.chmod(0o700)
        return folder

    @property
    def users(self) -> Path:
        return self.folder / "users.lock"

    def lock(self, name: str) -> IO[str]:
        return open(self.folder / f"{name}.lock", "w", opener=_for_us_alone)


@dataclass(frozen=True)
class _Server:
    """An embedded server that answers."""

    url: str
    secret: str
    """`user:password` that it asks for"""


def home_folder() -> Path:
    """`RD_INSPECT_HOME`, else `~/.rd-inspect`; made, for this user alone, if missing."""
    folder = Path(os.environ.get("RD_INSPECT_HOME") or Path.home() / ".rd-inspect")
    folder.parent.mkdir(parents=True, exist_ok=True)
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder


def _usable_home() -> _Home:
    """The home folder. ServerNotStarted if the server cannot write there."""
    try:
        home = _Home(home_folder())
        for name in ("users", "owner"):
            home.lock(name).close()
        _ = home.prefect
    except OSError as e:
        raise ServerNotStarted(
            f"The embedded Prefect server has no usable folder ({e.strerror}: {e.filename}), so nothing was run. "
            "Set RD_INSPECT_HOME to a folder that you can write to, or PREFECT_API_URL to a server "
            "that runs."
        ) from e
    return home


def _for_us_alone(path: str, flags: int) -> int:
    """An opener of files that no other user of the machine may read."""
    file = os.open(path, flags, 0o600)
    os.fchmod(file, 0o600)
    return file


@contextlib.contextmanager
def prefect_server(meanwhile: Callable[[], object] | None = None) -> Iterator[str]:
    """The API URL of the Prefect server, in force for this process and its children.

    A URL from `PREFECT_API_URL` or the active Prefect profile is used as it is. `meanwhile` runs while an embedded
    server starts. Raises ServerNotStarted, and ServerNotUsable for a configured one.
    """
    if not _may_be_configured():
        with _start_embedded(meanwhile) as url:
            if url is not None:
                yield url
                return
    from flows.machinery import prefect_client  # noqa: PLC0415  # imports Prefect, a second in which an embedded server starts

    configured = prefect_client.configured_url()
    if configured:
        from flows.machinery.configured_server import trouble_with_configured  # noqa: PLC0415  # imports Prefect, which an embedded server does not wait for

        with environment(around_loopback() if is_loopback(configured) else {}):
            if trouble := trouble_with_configured():
                raise ServerNotUsable(trouble)
            os.environ["PREFECT_API_URL"] = configured
            from flows.machinery.left_runs import close_left_runs  # noqa: PLC0415  # imports Prefect, which an embedded server does not wait for

            with interruption.before_exit(close_left_runs):
                yield configured
        return
    with _start_embedded(meanwhile) as url:
        assert url is not None  # none is configured
        yield url


@contextlib.contextmanager
def _start_embedded(meanwhile: Callable[[], object] | None) -> Iterator[str | None]:
    """The URL of an embedded server; None if Prefect, once imported, has a configured one after all."""
    home = _usable_home()
    with environment({**around_loopback(), **QUIET}), _embedded(home, meanwhile) as server:
        from flows.machinery import prefect_client  # noqa: PLC0415  # imports Prefect: meanwhile the server has started

        if prefect_client.configured_url():
            yield None
            return
        with prefect_client.client_of_embedded(
            {
                "PREFECT_API_URL": server.url,
                "PREFECT_API_AUTH_STRING": server.secret,
                "PREFECT_API_SSL_CERT_FILE": _one_certificate(home),
                "PREFECT_CLIENT_MAX_RETRIES": str(TRIES_AGAIN),
                **QUIET,
            }
        ):
            yield server.url


def _may_be_configured() -> bool:
    """Whether a server may be configured; True in doubt. Prefect's import, a second, gives the exact answer."""
    if "prefect" in sys.modules or any(name.upper() == _API_URL for name in os.environ):
        return True
    prefect_home = Path(os.environ.get("PREFECT_HOME") or "~/.prefect").expanduser()
    profiles = Path(os.environ.get("PREFECT_PROFILES_PATH") or prefect_home / "profiles.toml").expanduser()
    places = {
        profiles: _API_URL,
        Path(".env"): _API_URL,
        Path("prefect.toml"): "API",
        Path("pyproject.toml"): "[TOOL.PREFECT",
    }
    return any(_mentions(file, word) for file, word in places.items())


def _mentions(file: Path, word: str) -> bool:
    try:
        return word.encode() in file.read_bytes().upper()
    except OSError:
        return False


@contextlib.contextmanager
def _embedded(home: _Home, meanwhile: Callable[[], object] | None) -> Iterator[_Server]:
    with home.lock("users") as users, home.lock("owner") as owner:
        fcntl.flock(users, fcntl.LOCK_SH)
        shared = _shared(home, owner)
        if shared is not None:
            yield shared
            return
        # Left by a killed command. Another program may use its port by now, and must not be taken for our server.
        home.address.unlink(missing_ok=True)
        process, server = _start(home, owner, meanwhile)
        try:
            with open(home.address, "w", opener=_for_us_alone) as file:
                json.dump({"url": server.url, "secret": server.secret, "pid": process.pid}, file)
            interruption.spare(process.pid)
            with interruption.before_exit(functools.partial(_kill_unshared, home, users, process)):
                yield server
        finally:
            if _is_unshared(home, users):
                _stop(process)


def _is_unshared(home: _Home, users: IO[str]) -> bool:
    """Whether no other command uses the server. Its address is then removed, and a new command waits for its end."""
    try:
        fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    home.address.unlink(missing_ok=True)
    return True


def _kill_unshared(home: _Home, users: IO[str], process: subprocess.Popen[bytes]) -> None:
    """Kill the server of an interrupted command, which waits for nothing, unless other commands use it."""
    if _is_unshared(home, users):
        os.kill(process.pid, signal.SIGKILL)


def _one_certificate(home: _Home) -> str:
    """A file with one certificate authority, for clients that speak plain HTTP.

    Each Prefect client reads all authorities when it starts, 45 ms of a processor, and each task makes two
    clients.
    """
    if not home.certificate.exists():
        first, end, _ = certifi.contents().partition("-----END CERTIFICATE-----\n")
        draft = home.certificate.with_suffix(f".{os.getpid()}")
        try:
            draft.write_text(first + end)
            draft.replace(home.certificate)  # atomic, because other commands may begin now
        except OSError:  # such as a full disk: the file only saves time
            return certifi.where()
    return str(home.certificate)


def _shared(home: _Home, owner: IO[str]) -> _Server | None:
    """The server that another command owns; None when this process has become the owner."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(owner, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return None
        with contextlib.suppress(OSError, ValueError, KeyError):
            address = json.loads(home.address.read_text())
            if _is_healthy(address["url"]):
                return _Server(address["url"], address["secret"])
        time.sleep(0.2)
    raise ServerNotStarted(
        f"Another command holds {home.folder}/owner.lock, but its Prefect server does not answer. "
        "Nothing was run. End that command, or set RD_INSPECT_HOME to another folder."
    )


def _start(
    home: _Home, owner: IO[str], meanwhile: Callable[[], object] | None
) -> tuple[subprocess.Popen[bytes], _Server]:
    port = _free_port()
    server = _Server(f"http://127.0.0.1:{port}/api", f"rd-inspect:{secrets.token_urlsafe(32)}")
    process = _begin(home, owner, port, server.secret)
    try:
        if meanwhile:
            meanwhile()
        _wait_for(process, server.url, home)
    except BaseException:
        _stop(process)
        raise
    with contextlib.suppress(OSError):  # such as a full disk: then the next server checks by itself
        remember_migrated(home.prefect)
    return process, server


def _begin(home: _Home, owner: IO[str], port: int, secret: str) -> subprocess.Popen[bytes]:
    environment = {
        **PRUNED,
        **os.environ,
        **QUIET,
        **NOT_NEEDED,
        **({"PREFECT_API_DATABASE_MIGRATE_ON_START": "false"} if is_migrated(home.prefect) else {}),
        "PREFECT_HOME": str(home.prefect),
        "PREFECT_SERVER_API_AUTH_STRING": secret,
        "PREFECT_SERVER_CORS_ALLOWED_ORIGINS": f"http://127.0.0.1:{port}",
    }
    with open(home.log, "ab", opener=_for_us_alone) as log:
        return subprocess.Popen(
            [sys.executable, "-P", server_process.__file__, str(home.users), str(home.address), str(port)],
            env=environment,
            stdout=log,
            stderr=log,
            stdin=subprocess.DEVNULL,
            pass_fds=[owner.fileno()],  # the lock stays taken while the server is there
            start_new_session=True,  # Ctrl-C and a closed terminal mean the command, perhaps one of several
        )


def _wait_for(process: subprocess.Popen[bytes], url: str, home: _Home) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        if _is_healthy(url):
            return
        time.sleep(0.05)
    ended = process.poll() is not None
    what = "ended before it answered" if ended else f"did not answer on {url} within {START_SECONDS} s"
    raise ServerNotStarted(
        f"The embedded Prefect server {what}. Nothing was run. Its log is {home.log}, and "
        f"{shutil.disk_usage(home.folder).free >> 20:,} MiB are free there. If the database is damaged, remove "
        f"{home.prefect}: only the history of runs lies there. Or set PREFECT_API_URL to a server that runs."
    )


_straight = urllib.request.build_opener(urllib.request.ProxyHandler({}))
"""without the plant's proxies, which cannot reach this machine's 127.0.0.1"""


def _is_healthy(url: str) -> bool:
    try:
        with _straight.open(f"{url}/health", timeout=2) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(timeout=20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
