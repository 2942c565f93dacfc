"""A night by OpenVINO on Dask workers, and the status of days that were scored before the setting changed."""

from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec

import pytest
from distributed import Client

import rd_core.engines.choice
from flows.inspection import InspectionFailed, inspect_images
from rd_core.engines.choice import OPENVINO, engine_here
from storage.analysis.grid import read_grid
from storage.filesystem import Store
from storage.layout import image_key
from storage.partitions import seals
from storage.records import Partition
from tests.factories import DAY, png, put_images, put_model, sealed_rows

NIGHT = Partition("cloth", DAY, "v1")


def engines(store: Store, partition: Partition = NIGHT) -> list[str]:
    seal = seals.read_seal(store, partition)
    return [plan.engine for plan in seal.plans] if seal else []


@pytest.mark.slow  # tests/tasks/worker/test_engines.py shows the same without a server
@pytest.mark.skipif(find_spec("openvino") is None, reason="the extra is not installed")
def test_a_setting_that_changes_leaves_what_is_sealed_and_holds_for_what_comes(store: Store, scheduler: str) -> None:
    put_model(store, "cloth")
    put_images(store, "cloth", ["a.png", "b.png"])
    inspect_images(store.uri, DAY, reports=False, dask_address=scheduler)
    grid = read_grid(store, store, DAY, DAY, {"cloth": "v1"})
    assert [cell.state for cell in grid.cells] == ["done"]
    store.write(image_key("cloth", DAY, "late.png"), png(9))
    put_model(store, "metal")
    put_images(store, "metal", ["a.png", "b.png"])
    run = inspect_images(store.uri, DAY, reports=False, dask_address=scheduler, options={"engine": "openvino"})
    assert run.outcome == "completed"
    assert engines(store) == ["torch", "torch"]
    assert engines(store, Partition("metal", DAY, "v1")) == [engine_here(OPENVINO)]
    scores = {row["image_key"].split("/")[-1]: row["score"] for row in sealed_rows(store, "cloth")}
    for row in sealed_rows(store, "metal"):  # the same pictures and model
        assert row["score"] == pytest.approx(scores[row["image_key"].split("/")[-1]], rel=1e-4)
    grid = read_grid(store, store, DAY, DAY, {"cloth": "v1", "metal": "v1"})
    assert [cell.state for cell in grid.cells] == ["done", "done"]


def hide_openvino(hidden: bool) -> None:
    """In this process. `version` is what the engine asks."""

    def missing(name: str) -> str:
        raise PackageNotFoundError(name)

    vars(rd_core.engines.choice)["version"] = missing if hidden else version


def test_a_night_without_the_extra_fails_with_the_cure(store: Store, scheduler: str) -> None:
    put_model(store, "cloth")
    put_images(store, "cloth", ["a.png"])
    with Client(scheduler, set_as_default=False) as client:
        client.run(hide_openvino, True)
        try:
            with pytest.raises(InspectionFailed, match=r"pip install 'rd-inspect\[openvino\]'"):
                inspect_images(store.uri, DAY, reports=False, dask_address=scheduler, options={"engine": "openvino"})
        finally:
            client.run(hide_openvino, False)
    assert engines(store) == []
    assert not list(store.list("manifests/"))
