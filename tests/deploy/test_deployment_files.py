"""deploy/: pinned, closed, without secrets, and alike wherever two of its files say the same."""

import os
import re
import shutil
import subprocess
import tomllib
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from pydantic import BaseModel

from flows.category_settings import CategorySettings
from flows.settings import PlantSettings
from tests.deployment_files import DEPLOY, INSTALLED, ROOT, composed, environment_file, unit, unit_command

UNITS = sorted(path.name for path in (DEPLOY / "systemd").glob("*.service"))
COMPOSE_FILES = ("compose.yaml", "compose.worker.yaml")
GIVEN = {
    "POSTGRES_PASSWORD": "given",
    "AWS_ACCESS_KEY_ID": "given",
    "AWS_SECRET_ACCESS_KEY": "given",
    "RD_INSPECT_STORE": "s3://plant",
}
"""the least that an operator fills in"""
ELSEWHERE = GIVEN | {
    "PREFECT_API_URL": "http://10.0.0.1:4200/api",
    "RD_INSPECT_DASK_ADDRESS": "tcp://10.0.0.1:8786",
    "AWS_ENDPOINT_URL": "http://10.0.0.1:8333",
    "LISTEN_HOST": "10.0.0.2",
}
OURS = re.compile(r"\bRD_INSPECT_[A-Z_]+")
NOT_SETTINGS = {"STORE", "HOME", "TORCH_THREADS", "CODE", "VERSION"}
"""flows.settings leaves the first four to others; VERSION names the image and stays outside of the containers"""


def services() -> list[tuple[str, str, dict[str, Any]]]:
    return [
        (file, name, one) for file in COMPOSE_FILES for name, one in composed(file, ELSEWHERE)["services"].items()
    ]


@pytest.mark.parametrize(("file", "name", "service"), services())
def test_every_service_is_pinned_and_closed(file: str, name: str, service: dict[str, Any]) -> None:
    assert re.fullmatch(r"[a-z-]+:\d+\.\d+[\w.-]*", service["image"]), "a tag that names a version"
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert not service.get("privileged")
    if service["image"].startswith("rd-inspect:"):
        assert service["cap_drop"] == ["ALL"]
        assert service["read_only"] is True
    if file == "compose.yaml" and name != "deployments":
        assert service["healthcheck"]["test"][0] == "CMD"


def test_ports_are_published_on_loopback_until_an_address_is_named() -> None:
    for environment, address in ((GIVEN, "127.0.0.1"), (GIVEN | {"BIND_ADDRESS": "10.0.0.1"}, "10.0.0.1")):
        published = {
            name: service["ports"]
            for name, service in composed("compose.yaml", environment)["services"].items()
            if "ports" in service
        }
        assert published == {
            "prefect-server": [f"{address}:4200:4200"],
            "dask-scheduler": [f"{address}:8786:8786", "127.0.0.1:8787:8787"],
            "object-store": [f"{address}:8333:8333"],
        }


@pytest.mark.parametrize("missing", GIVEN)
def test_compose_names_what_is_missing(missing: str) -> None:
    with pytest.raises(KeyError, match=missing):
        composed("compose.yaml", GIVEN | {missing: ""})


def test_no_file_holds_a_secret() -> None:
    examples = [DEPLOY / ".env.example", *(DEPLOY / "systemd").glob("*.example")]
    for path in examples:
        secret = {
            name: value for name, value in environment_file(path).items() if re.search("PASSWORD|KEY|AUTH", name)
        }
        assert not any(secret.values()), (path, secret)
    ignored = ["git", "check-ignore", "--no-index", "deploy/.env", "deploy/systemd/server.environment"]
    if shutil.which("git") and (ROOT / ".git").exists():
        assert subprocess.run(ignored, cwd=ROOT, capture_output=True, text=True, check=True).stdout.count("\n") == 2
    for file in COMPOSE_FILES:
        for name, service in yaml.safe_load((DEPLOY / file).read_text())["services"].items():
            for variable, value in service.get("environment", {}).items():
                if re.search("PASSWORD|KEY|AUTH", variable):
                    assert value is None or value.startswith("${"), (name, variable)


def test_the_prefect_server_asks_for_no_empty_password() -> None:
    """Prefect takes an empty auth string for a password that every client must send."""
    for _, name, service in services():
        found = [value for key, value in service.get("environment", {}).items() if key.endswith("AUTH_STRING")]
        assert found in ([], [None]), name  # None: only there when .env has it


def test_processes_that_score_have_one_heap() -> None:
    assert environment_file(DEPLOY / "systemd" / "environment.example")["MALLOC_ARENA_MAX"] == "1"
    assert re.search(r"^ENV (.*\\\n)* +MALLOC_ARENA_MAX=1 ", (DEPLOY / "Dockerfile").read_text(), re.MULTILINE)


@pytest.mark.parametrize("name", UNITS)
def test_units_are_hardened(name: str) -> None:
    settings = unit(name)
    for wanted, value in {
        "NoNewPrivileges": "yes",
        "ProtectSystem": "strict",
        "ProtectHome": "yes",
        "PrivateTmp": "yes",
        "CapabilityBoundingSet": "",
        "User": "rd-inspect",
    }.items():
        assert settings[wanted] == [value]
    assert "/etc/rd-inspect/environment" in settings["EnvironmentFile"]
    reads_the_store = "/etc/rd-inspect/store.environment" in settings["EnvironmentFile"]
    assert reads_the_store == (name not in ("prefect-server.service", "dask-scheduler.service"))
    assert ("/etc/rd-inspect/server.environment" in settings["EnvironmentFile"]) == (name == "prefect-server.service")


def test_systemd_takes_the_units(tmp_path: Path) -> None:
    if not shutil.which("systemd-analyze"):
        pytest.skip("no systemd-analyze here; their settings are read by the other tests")
    for name in UNITS:
        text = (DEPLOY / "systemd" / name).read_text().replace(INSTALLED, str(tmp_path))
        (tmp_path / name.replace("@.", "@1.")).write_text(text)
    commands = tmp_path / ".venv" / "bin"
    commands.mkdir(parents=True)
    for command in ("prefect", "dask"):
        (commands / command).symlink_to("/bin/true")
    verify = ["systemd-analyze", "verify", "--man=no", *(path.name for path in sorted(tmp_path.glob("*.service")))]
    environment = {**os.environ, "SYSTEMD_UNIT_PATH": f"{tmp_path}:"}
    done = subprocess.run(verify, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("name", UNITS)
def test_units_find_their_variables_in_the_examples(name: str) -> None:
    environment = environment_file(DEPLOY / "systemd" / "environment.example")
    assert Path(unit_command(name, environment)[0]).is_relative_to(INSTALLED)


def test_a_dask_worker_comes_back_after_its_scheduler() -> None:
    """One that loses its scheduler ends with exit code 0, which `on-failure` takes for its work being done."""
    for name in ("dask-worker@.service", "dask-worker-gpu@.service"):
        assert unit(name)["Restart"] == ["always"]


def test_the_prefect_server_writes_where_it_may() -> None:
    """Its dashboard is unpacked beside its code by default, and the system of the unit and of the container is
    read-only. Its leases are in memory by default: lost with it, they hold the one slot of the nights for ever."""
    leases = "prefect.server.concurrency.lease_storage.filesystem"
    settings = unit("prefect-server.service")
    variables = dict(line.split("=", 1) for line in settings["Environment"])
    (state,) = settings["StateDirectory"]
    assert Path(variables["PREFECT_SERVER_UI_STATIC_DIRECTORY"]).is_relative_to(f"/var/lib/{state}")
    assert Path(variables["PREFECT_HOME"]).is_relative_to(f"/var/lib/{state}")
    assert variables["PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE"] == leases
    service = composed("compose.yaml", GIVEN)["services"]["prefect-server"]
    assert service["environment"]["PREFECT_SERVER_UI_STATIC_DIRECTORY"].startswith("/tmp/")
    assert f"prefect:{service['environment']['PREFECT_HOME']}" in service["volumes"]
    assert service["environment"]["PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE"] == leases


def test_the_database_is_ready_when_it_answers_by_tcp() -> None:
    """While the image fills a new volume, a server without the database answers on the socket."""
    check = composed("compose.yaml", GIVEN)["services"]["postgres"]["healthcheck"]["test"]
    assert check[1] == "pg_isready"
    assert "--host=127.0.0.1" in check


def test_the_object_store_fits_on_a_small_disk_and_ends_by_itself() -> None:
    service = composed("compose.yaml", GIVEN)["services"]["object-store"]
    assert "-master.volumeSizeLimitMB=1024" in service["command"]
    assert service["stop_grace_period"] == "60s"


@pytest.mark.parametrize("version", ["3.11.0", "3.11.2", "3.11.99", "3.12.0", "3.13.0"])
def test_the_lock_is_whole_on_every_python(version: str) -> None:
    """It is made on one of them, and some packages need one more on another."""
    python = {"python_version": version.rpartition(".")[0], "python_full_version": version, "extra": ""}

    def applies(need: Requirement) -> bool:
        return not need.marker or need.marker.evaluate(python)

    lines = (ROOT / "requirements.lock").read_text().splitlines()
    locked = {
        canonicalize_name(need.name)
        for need in (Requirement(line) for line in lines if not line.startswith("#"))
        if applies(need)
    }
    for package in distributions():
        if canonicalize_name(package.metadata["Name"]) in locked:
            needed = [Requirement(text) for text in package.requires or []]
            missing = {need.name for need in needed if applies(need) and canonicalize_name(need.name) not in locked}
            assert not missing, (package.metadata["Name"], missing)


def gpu_commands() -> list[tuple[list[str], dict[str, str]]]:
    """(words, environment) of whatever starts a GPU worker."""
    environment = environment_file(DEPLOY / "systemd" / "environment.example")
    name = "dask-worker-gpu@.service"
    own = dict(line.split("=", 1) for line in unit(name)["Environment"])
    found = [(unit_command(name, environment, "3"), {key: value.replace("%i", "3") for key, value in own.items()})]
    found += [(one["command"], one["environment"]) for _, service, one in services() if service == "dask-worker-gpu"]
    return found


def test_a_gpu_has_one_process_with_one_thread() -> None:
    commands = gpu_commands()
    assert [variables["CUDA_VISIBLE_DEVICES"] for _, variables in commands] == ["3", "0", "0"]
    for words, _ in commands:
        line = " ".join(words).replace("=", " ")
        for wanted in ("--resources GPU 1", "--nthreads 1", "--nworkers 1"):
            assert wanted in line


def test_the_image_gets_every_package_and_nothing_else() -> None:
    setuptools = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    lines = (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines()
    taken = {line.removeprefix("!") for line in lines if line.startswith("!")}
    assert "*" in lines
    files = {"pyproject.toml", "requirements.lock", "README.md", "LICENSE", "prefect.yaml", "automations.yaml"}
    assert taken == {package.removesuffix("*") for package in setuptools["packages"]["find"]["include"]} | files


def test_the_image_is_the_project_version() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    for file in COMPOSE_FILES:
        assert f"rd-inspect:${{RD_INSPECT_VERSION:-{version}}}" in (DEPLOY / file).read_text()


def test_variables_of_ours_are_known_and_told() -> None:
    """An unknown RD_INSPECT_ variable would stop every run, and one that is not in the table helps nobody."""
    page = (ROOT / "docs" / "deployment.md").read_text()
    models: tuple[type[BaseModel], ...] = (PlantSettings, CategorySettings)
    known = {name.upper() for model in models for name in model.model_fields} | NOT_SETTINGS
    files = [path for path in DEPLOY.rglob("*") if path.is_file()]
    used = {name for path in files for name in OURS.findall(path.read_text())}
    assert {name.removeprefix("RD_INSPECT_") for name in used} <= known
    told = set(re.findall(r"^\| `([A-Z_]+)`", page, re.MULTILINE))
    assert used <= told
    examples = [DEPLOY / ".env.example", *(DEPLOY / "systemd").glob("*.example")]
    assert {name for path in examples for name in environment_file(path)} <= told
    composed_of = {name for file in COMPOSE_FILES for name in re.findall(r"\$\{(\w+)", (DEPLOY / file).read_text())}
    assert composed_of <= told
