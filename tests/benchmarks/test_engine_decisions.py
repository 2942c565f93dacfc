"""The table of what an engine changes says what the model itself says."""

import sys
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from prefect.logging import disable_run_logger

from benchmarks import engine_decisions
from benchmarks.real_images import DAY
from storage.labels import labels
from storage.labels.labels import Label
from storage.layout import image_key
from storage.stores.filesystem import Store, open_store
from tasks.training.fit_model import fit_model
from tests.factories import NOW, QUICK_TRAINING, png, put_images

pytest.importorskip("openvino", reason="OpenVINO is an optional extra")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A champion of twenty normals, and a night of five more and five defects."""
    store = open_store(tmp_path, create=True)
    normals = put_images(store, "cloth", [f"good/{i:02}.png" for i in range(20)], DAY - timedelta(days=1))
    labels.write_labels(store, "cloth", [Label(key, "normal", None, "me", NOW) for key in normals], "normals")
    with disable_run_logger():
        fit_model.fn(
            store.uri, store.uri, replace(QUICK_TRAINING, part_pattern=None), run_id="run-1", now=NOW, promote=True
        )
    night = [image_key("cloth", DAY, f"{kind}/{number}.png") for kind in ("good", "hole") for number in range(5)]
    for number, key in enumerate(night, 100):  # a picture that calibrated lies on the threshold: rounding may flip it
        store.write(key, png(number))
    found = [Label(key, "anomalous" if "/hole/" in key else "normal", None, "me", NOW) for key in night]
    labels.write_labels(store, "cloth", found, "night")
    return store


@pytest.mark.slow  # of a benchmark; tests/rd_core/test_engine.py holds OpenVINO's decisions against torch's
def test_each_engine_has_its_rows_and_float32_ones_flip_nothing(
    store: Store, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["engine_decisions", store.uri])
    engine_decisions.main()
    head, _, *lines = capsys.readouterr().out.splitlines()
    assert head.startswith("| category | engine | threshold |")
    rows = {tuple(cells[1:3]): cells[3:] for cells in ([c.strip() for c in line.split("|")[1:-1]] for line in lines)}
    assert list(rows) == [
        ("torch", "its own"),
        ("multiplied out", "torch's"),
        ("openvino", "torch's"),
        ("bfloat16", "torch's"),
        ("bfloat16", "its own"),
    ]
    assert {cells[1].split(" of ")[1] for cells in rows.values()} == {"10"}
    assert rows["multiplied out", "torch's"][1] == rows["openvino", "torch's"][1] == "0 of 10"
    assert float(rows["multiplied out", "torch's"][0]) < 1e-5
    assert 0 < float(rows["openvino", "torch's"][0]) < 1e-4 < float(rows["bfloat16", "torch's"][0]) < 0.2
