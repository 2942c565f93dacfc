"""No credential gets into what a run leaves behind: objects, logs, artifacts, parameters, events."""

import io
import logging
import os
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from distributed import Client
from typer.testing import CliRunner

from flows.cli import app
from flows.inspection import inspect_images
from flows.settings import store_uri
from storage.errors import InvalidAddress
from storage.filesystem import open_store
from tests.factories import DAY, put_images, put_model, write_settings
from tests.flows.worker_environment import aws_settings_on_workers
from tests.object_stores import Bucket

SECRET = "distinctive+secret/key0123456789abcdefgh"
TOKEN = "distinctive-session-token-0123456789"
LOGGERS = ("", "prefect", "prefect.flow_runs", "prefect.task_runs")
AWS_LOGGERS = ("botocore", "aiobotocore", "s3fs", "boto")
"""they log whole requests at DEBUG, with the session token in a header: said in SECURITY.md"""


def log_everything(folder: str) -> None:
    """All of this process's loggers at DEBUG, into a file of its own."""
    handler = logging.FileHandler(Path(folder) / f"{os.getpid()}.log")
    handler.setFormatter(logging.Formatter("%(name)s %(levelname)s %(message)r"))
    handler.name = "no-secrets"
    for name in LOGGERS:
        logging.getLogger(name).addHandler(handler)
        logging.getLogger(name).setLevel(logging.DEBUG)


def log_as_before(levels: dict[str, int]) -> None:
    for name in LOGGERS:
        logger = logging.getLogger(name)
        logger.setLevel(levels[name])
        for handler in [one for one in logger.handlers if one.name == "no-secrets"]:
            logger.removeHandler(handler)
            handler.close()


def log_levels() -> dict[str, int]:
    return {name: logging.getLogger(name).level for name in LOGGERS}


def test_a_key_in_an_address_is_refused_before_a_flow_run_has_it_as_a_parameter(prefect_api: str) -> None:
    address = f"s3://AKIADISTINCTIVE:{SECRET}@plant/x"
    with pytest.raises(InvalidAddress) as refused:
        store_uri(address, {})
    assert SECRET not in str(refused.value)
    said = CliRunner().invoke(app, ["inspect", "--store", address])
    assert said.exit_code == 2
    assert "AWS_SECRET_ACCESS_KEY" in said.output
    assert SECRET not in said.output


@pytest.fixture
def logs(tmp_path: Path, scheduler: str) -> Iterator[Path]:
    """A folder with the logs of this process and of every worker, at DEBUG."""
    folder = tmp_path / "logs"
    folder.mkdir()
    with Client(scheduler, set_as_default=False) as client:
        levels, of_workers = log_levels(), client.run(log_levels)
        log_everything(str(folder))
        client.run(log_everything, str(folder))
        try:
            yield folder
        finally:
            log_as_before(levels)
            client.run(log_as_before, next(iter(of_workers.values())))


@pytest.fixture
def bucket(moto_s3: Bucket, scheduler: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bucket]:
    """Reached with credentials that can be told from everything else, in this process and on the workers."""
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setenv("AWS_SESSION_TOKEN", TOKEN)
    with aws_settings_on_workers(scheduler):
        yield moto_s3


def test_no_credential_gets_into_what_a_run_leaves_behind(
    bucket: Bucket, scheduler: str, logs: Path, prefect_home: Path
) -> None:
    store = open_store(f"{bucket.uri}/plant")
    write_settings(store)
    put_model(store, "cloth")
    put_images(store, "cloth", ["a.png"])
    store.write(f"images/cloth/{DAY}/broken.png", b"none")
    run = inspect_images(store.uri, DAY, reports=False, dask_address=scheduler)
    assert run.outcome == "completed with rejects"
    left: dict[str, bytes] = {}
    for info in store.list(""):
        left[info.key] = store.read(info.key)
        if info.key.endswith(".parquet"):  # compressed
            left[f"{info.key} as text"] = str(pq.read_table(io.BytesIO(left[info.key])).to_pylist()).encode()
    for kind in ("scores/", "seals/", "reports/inspection/", "manifests/", "models/"):
        assert any(key.startswith(kind) for key in left), kind
    left |= {str(path): path.read_bytes() for path in prefect_home.rglob("*") if path.is_file()}
    assert any(run.run_id.encode() in data for name, data in left.items() if ".db" in name), (
        "not the server's database"
    )
    lines = [line for path in logs.iterdir() for line in path.read_text().splitlines()]
    assert len(list(logs.iterdir())) == 3
    assert any("batch scored" in line for line in lines)
    assert any(line.startswith("botocore") for line in lines)
    left["logs"] = "\n".join(line for line in lines if not line.startswith(AWS_LOGGERS)).encode()
    for secret in (SECRET, TOKEN):
        assert [name for name, data in left.items() if secret.encode() in data] == []
    assert [line for line in lines if SECRET in line] == []
