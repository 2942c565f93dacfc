"""The stack of deploy/systemd by the commands of its units: PostgreSQL, Prefect server and worker, Dask processes."""

import asyncio
import contextlib
import os
import pwd
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from storage.filesystem import Store, open_store
from tests.deployment_files import DEPLOY, INSTALLED, ROOT, environment_file, unit_command
from tests.factories import DAY, assert_night_is_whole, put_images, put_model

PATIENCE = 240
"""seconds for a server to answer: its first start builds the database"""
SCHEDULED = 20
"""seconds for the server to plan what was deployed, which it looks for every five"""
PASSWORD = "for this test: 'only' @%"
"""with what a URL would have to escape"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass(frozen=True)
class Postgres:
    """A private cluster with one user and its first database."""

    port: int

    async def ask(self, query: str) -> list[Any]:
        """The first column."""
        database = await asyncpg.connect(
            host="127.0.0.1", port=self.port, user="prefect", password=PASSWORD, database="postgres"
        )
        try:
            return [row[0] for row in await database.fetch(query)]
        finally:
            await database.close()


def postgres_binaries() -> Path:
    """Debian keeps initdb away from the PATH. Skips where there is none."""
    found = [
        Path(shutil.which("initdb") or ""),
        *sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), reverse=True),
    ]
    for initdb in found:
        if initdb.is_file():
            return initdb.parent
    pytest.skip("no PostgreSQL server here (Debian: apt-get install postgresql); the flows' tests run on SQLite")


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    """On loopback with a password; as another user where this one is root, whom PostgreSQL refuses."""
    binaries, port = postgres_binaries(), free_port()
    user = "nobody" if os.getuid() == 0 else pwd.getpwuid(os.getuid()).pw_name
    with tempfile.TemporaryDirectory(prefix="rd-inspect-postgres-") as folder:
        secret = Path(folder) / "password"
        secret.write_text(PASSWORD)
        shutil.chown(folder, user)
        shutil.chown(secret, user)

        def run(tool: str, *arguments: str) -> None:
            with (Path(folder) / "log").open("ab") as log:
                words = [binaries / tool, "-D", f"{folder}/data", *arguments]
                subprocess.run(words, user=user, cwd=folder, stdout=log, stderr=log, timeout=120, check=True)

        run("initdb", "-U", "prefect", "-A", "scram-sha-256", f"--pwfile={secret}", "-E", "UTF8", "--no-sync")
        options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={folder} -c fsync=off"
        run("pg_ctl", "-w", "-l", f"{folder}/server.log", "-o", options, "start")
        try:
            yield Postgres(port)
        finally:
            run("pg_ctl", "-w", "-m", "fast", "stop")


class Machine:
    """The units of one machine as plain processes, with the example environment files and ports of their own."""

    def __init__(self, folder: Path, store: Store, database: Postgres) -> None:
        self.folder = folder
        self._started: list[subprocess.Popen[bytes]] = []
        api, dask = free_port(), free_port()
        self.api = f"http://127.0.0.1:{api}/api"
        examples = [environment_file(path) for path in sorted((DEPLOY / "systemd").glob("*.example"))]
        self.environment = {name: value for example in examples for name, value in example.items()}
        self.environment |= {
            "PREFECT_API_URL": self.api,
            "PREFECT_SERVER_API_PORT": str(api),
            "PREFECT_SERVER_DATABASE_PORT": str(database.port),
            "PREFECT_SERVER_DATABASE_NAME": "postgres",
            "PREFECT_SERVER_DATABASE_PASSWORD": PASSWORD,
            "PREFECT_LOGGING_LEVEL": "INFO",
            "RD_INSPECT_DASK_ADDRESS": f"tcp://127.0.0.1:{dask}",
            "RD_INSPECT_STORE": store.uri,
            "RD_INSPECT_CODE": str(ROOT),
        }
        self._moved = {INSTALLED: str(ROOT), "/var/lib/rd-inspect": str(folder), "8786": str(dask), ":8787": ":0"}

    def variables(self, unit: str) -> dict[str, str]:
        inherited = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        return {**inherited, **self.environment, "PREFECT_HOME": str(self.folder / unit)}

    def start(self, unit: str, instance: str = "1") -> None:
        """Start what the unit starts, until `stop`."""
        words = unit_command(unit, self.environment, instance)
        for there, here in self._moved.items():
            words = [word.replace(there, here) for word in words]
        words[:1] = [sys.executable, "-m", Path(words[0]).name]
        with (self.folder / f"{unit}-{instance}.log").open("ab") as log:
            process = subprocess.Popen(
                words, env=self.variables(unit + instance), cwd=ROOT, stdout=log, stderr=log, stdin=subprocess.DEVNULL
            )
        self._started.append(process)

    def run(self, *words: str) -> str:
        """A `prefect` command of the operator: its output."""
        done = subprocess.run(
            [sys.executable, "-m", "prefect", "--no-prompt", *words],
            cwd=ROOT, env=self.variables("operator"), capture_output=True, text=True, timeout=560, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr + self.logs()
        return done.stdout

    def wait_for_api(self) -> None:
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            with contextlib.suppress(urllib.error.URLError, OSError):
                urllib.request.urlopen(f"{self.api}/health", timeout=2).close()
                return
            time.sleep(0.2)
        pytest.fail(f"no Prefect server within {PATIENCE} s: {self.logs()}")

    def logs(self) -> str:
        return "\n".join(f"{log.name}: {log.read_text()[-3000:]}" for log in sorted(self.folder.glob("*.log")))

    def stop(self) -> None:
        for process in reversed(self._started):
            process.terminate()
        for process in self._started:
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@pytest.fixture(scope="module")
def plant(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return open_store(tmp_path_factory.mktemp("stack") / "plant", create=True)


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory, plant: Store, postgres: Postgres) -> Iterator[Machine]:
    """Everything runs, and prefect.yaml is deployed."""
    machine = Machine(tmp_path_factory.mktemp("state"), plant, postgres)
    try:
        machine.start("prefect-server.service")
        machine.start("dask-scheduler.service")
        machine.start("dask-worker@.service", "1")
        machine.start("dask-worker@.service", "2")
        machine.wait_for_api()
        machine.run("work-pool", "create", "inspection", "--type", "process", "--overwrite")
        machine.run("deploy", "--all")
        machine.start("prefect-worker.service")
        yield machine
    finally:
        machine.stop()


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_night_on_postgres_and_dask_processes(plant: Store, machine: Machine, postgres: Postgres) -> None:
    plant.write("categories.toml", b"[plant]\nbatch_images = 1\n")
    put_model(plant, "cloth")
    keys = put_images(plant, "cloth", [f"{i}.png" for i in range(6)])
    said = machine.run(
        "deployment", "run", "inspect-images/ad-hoc", "--watch", "--watch-timeout", "500",
        "--param", f"run_date={DAY}", "--param", f"dask_address={machine.environment['RD_INSPECT_DASK_ADDRESS']}",
    )  # fmt: skip
    assert "Completed" in said, machine.logs()
    assert_night_is_whole(plant, "cloth", keys)
    scored = "SELECT count(*) FROM task_run WHERE name LIKE 'score cloth%' AND state_type = 'COMPLETED'"
    assert asyncio.run(postgres.ask(scored)) == [len(keys)]


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_server_plans_the_next_nights(machine: Machine, postgres: Postgres) -> None:
    planned = (
        "SELECT count(*) FROM flow_run JOIN deployment ON deployment.id = flow_run.deployment_id "
        "WHERE deployment.name = 'nightly' AND flow_run.state_type = 'SCHEDULED'"
    )
    deadline = time.monotonic() + SCHEDULED
    while time.monotonic() < deadline and asyncio.run(postgres.ask(planned)) == [0]:
        time.sleep(1)
    assert asyncio.run(postgres.ask(planned)) > [0], machine.logs()
