"""Which engine scores a partition: the one it was begun with, never two."""

from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
import zarr

from rd_core.engines import choice as engines
from rd_core.engines.choice import AUTO, OPENVINO, TORCH
from rd_core.errors import EngineUnavailable
from storage.errors import Conflict
from storage.filesystem import Store
from storage.layout import image_key
from storage.partitions import manifests, seals
from storage.partitions.scores import read_scores
from storage.records import Receipt
from tasks.night import plan_batches as planning
from tasks.night.plan_batches import PartitionJob, PartitionPlan, plan_batches
from tasks.night.score_batch import score_batch
from tasks.night.seal_partition import seal_partition
from tasks.worker import scorer
from tests.factories import DAY, NOW, pinned, png, put_images, put_model


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The version of OpenVINO that seems to be here, to be changed by a test."""
    found = {"version": "2026.4.1"}
    monkeypatch.setattr(engines, "version", lambda _: found["version"])
    return found


@pytest.fixture
def warned(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    lines: list[str] = []

    class Log:
        def warning(self, text: str, *values: object) -> None:
            lines.append(text % values)

    monkeypatch.setattr(planning, "get_run_logger", Log)
    return lines


def plan(store: Store, library: str = OPENVINO, cards: str = TORCH, **more: object) -> PartitionPlan:
    """library: of the settings. cards: of the model's card."""
    return plan_batches.fn(
        PartitionJob(store.uri, store.uri, DAY, pinned("cloth", library=cards), "run-1", NOW, library=library, **more)
    )


def seal(store: Store, planned: PartitionPlan) -> None:
    """As if it had been scored."""
    assert planned.plan is not None
    made = planned.plan
    sealed = seals.SealedPlan(
        made.manifest, made.digest, made.map_store, made.images, made.images, 0, 0, 0, (), "r", NOW, made.engine
    )
    seals.add_plan(store, made.partition, replace(sealed, supersedes=made.supersedes))


def test_a_plan_names_its_engine_and_the_maps_too(store: Store, installed: dict[str, str]) -> None:
    put_images(store, "cloth", ["a.png"])
    by_torch, by_openvino = plan(store, TORCH).plan, plan(store).plan
    installed["version"] = "2026.5.0"
    later = plan(store).plan
    assert [one.engine for one in (by_torch, by_openvino, later)] == [
        "torch",
        "openvino 2026.4.1",
        "openvino 2026.5.0",
    ]
    assert len({one.digest for one in (by_torch, by_openvino, later)}) == 3
    assert manifests.read_plan(store, by_openvino.manifest) == by_openvino
    assert zarr.open_array(store.zarr_store(by_openvino.map_store)).attrs["engine"] == "openvino 2026.4.1"


@pytest.mark.parametrize(("begun", "now"), [(TORCH, OPENVINO), (OPENVINO, TORCH)])
def test_late_images_are_scored_by_the_library_of_the_others(
    store: Store, installed: dict[str, str], warned: list[str], begun: str, now: str
) -> None:
    put_images(store, "cloth", ["a.png"])
    seal(store, plan(store, begun))
    store.write(image_key("cloth", DAY, "late.png"), png(9))
    installed["version"] = "2026.5.0"
    late = plan(store, now)
    assert late.plan.engine == ("torch" if begun == TORCH else "openvino 2026.5.0")
    assert len(warned) == 1 and f"engine={begun} instead of {now}" in warned[0] and "were scored with it" in warned[0]
    seal(store, late)


def test_of_two_runs_with_two_libraries_the_second_plans_again_with_the_first_ones(
    store: Store, installed: dict[str, str], warned: list[str]
) -> None:
    put_images(store, "cloth", ["a.png"])
    first = plan(store, TORCH)
    store.write(image_key("cloth", DAY, "a.png"), png(9))  # so that the two have no image version in common
    second = plan(store)
    seal(store, first)
    with pytest.raises(Conflict, match="not to be mixed"):
        seal(store, second)
    seal(store, plan(store))
    found = seals.read_seal(store, second.plan.partition)
    assert [one.engine for one in found.plans] == ["torch", "torch"]


@pytest.mark.parametrize("cards", [TORCH, OPENVINO])
def test_by_itself_a_night_takes_the_engine_of_the_card_and_torch_quietly_on_a_gpu(
    store: Store, installed: dict[str, str], warned: list[str], cards: str
) -> None:
    put_images(store, "cloth", ["a.png"])
    assert plan(store, AUTO, cards, gpu_workers=True).plan.engine == TORCH
    assert plan(store, AUTO, cards).plan.engine == ("torch" if cards == TORCH else "openvino 2026.4.1")
    assert plan(store, TORCH, cards).plan.engine == TORCH  # the settings' word is the last
    assert not warned


@pytest.mark.parametrize("where", ["here", "workers"])
def test_with_a_gpu_torch_is_kept_and_said(
    store: Store, installed: dict[str, str], warned: list[str], monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    put_images(store, "cloth", ["a.png"])
    if where == "here":
        monkeypatch.setattr("rd_core.kernels.precision.default_device", lambda: torch.device("cuda"))
    assert plan(store, gpu_workers=where == "workers").plan.engine == "torch"
    assert len(warned) == 1 and "engine=torch instead of openvino" in warned[0] and "GPU" in warned[0]
    assert plan(store, TORCH, gpu_workers=where == "workers").plan.engine == "torch"
    assert len(warned) == 1


def test_late_images_of_openvino_stay_with_it_where_a_gpu_is(
    store: Store, installed: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    put_images(store, "cloth", ["a.png"])
    seal(store, plan(store))
    store.write(image_key("cloth", DAY, "late.png"), png(9))
    monkeypatch.setattr("rd_core.kernels.precision.default_device", lambda: torch.device("cuda"))
    assert plan(store).plan.engine == "openvino 2026.4.1"


def test_nothing_is_asked_of_a_library_when_nothing_is_left_to_score(
    store: Store, installed: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    put_images(store, "cloth", ["a.png"])
    seal(store, plan(store))
    monkeypatch.setattr(planning, "engine_here", lambda _: pytest.fail("asked"))
    assert plan(store).plan is None


def test_a_batch_is_not_scored_by_another_version_than_its_plans(store: Store, installed: dict[str, str]) -> None:
    put_model(store, "cloth")
    put_images(store, "cloth", ["a.png"])
    planned = plan(store)
    installed["version"] = "2026.5.0"
    with pytest.raises(EngineUnavailable, match=r"pip install openvino==2026\.4\.1"):
        score_batch.fn(store.uri, store.uri, planned.batches[0])
    assert not list(store.list("scores/"))


@pytest.mark.slow  # converts a model twice; tests/rd_core/engines has maps and decisions beside torch's
@pytest.mark.skipif(find_spec("openvino") is None, reason="the extra is not installed")
def test_a_night_by_openvino_decides_as_by_torch_and_writes_the_same_bytes_again(store: Store) -> None:
    put_model(store, "cloth")
    put_images(store, "cloth", [f"{i}.png" for i in range(5)])
    store.write(image_key("cloth", DAY, "broken.png"), b"no image")
    tables = {}
    for library in (TORCH, OPENVINO):
        planned = plan(store, library, batch_images=3)
        receipts = [score_batch.fn(store.uri, store.uri, batch) for batch in planned.batches]
        tables[library] = read_scores(store, [one.part for one in receipts]).to_pylist()
    again = _scored_anew(store, planned)
    assert [one.digest for one in again] == [one.digest for one in receipts]
    for ours, theirs in zip(tables[OPENVINO], tables[TORCH], strict=True):
        assert ours.keys() == theirs.keys()
        for name in ("image_key", "status", "is_anomalous", "decision", "p_value", "threshold"):
            assert ours[name] == theirs[name], name
        for name in ("score", "feature_distance"):
            assert (ours[name] is None) == (theirs[name] is None) == (ours["status"] != "ok")
            assert ours[name] is None or np.isclose(ours[name], theirs[name], rtol=1e-4)
    seal_partition.fn(store.uri, planned.plan, receipts, NOW)
    found = seals.read_seal(store, planned.plan.partition)
    assert [one.engine for one in found.plans] == [planned.plan.engine]
    assert found.plans[0].engine.startswith("openvino 20")


def _scored_anew(store: Store, planned: PartitionPlan) -> list[Receipt]:
    """With a detector made anew, as in another process."""
    for info in list(store.list("scores/")):
        Path(store.uri, info.key).unlink()
    scorer._warm.clear()
    return [score_batch.fn(store.uri, store.uri, batch) for batch in planned.batches]
