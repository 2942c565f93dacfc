"""Methods compared on a category's own images, on a real Prefect server and real Dask workers."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import MethodType
from typing import cast

import pytest
from prefect.logging import disable_run_logger
from typer.testing import CliRunner

from flows.cli import app
from flows.comparison import ComparisonRun, compare_methods
from flows.dask_cluster import on_every_worker
from storage.comparisons.outcome import outcomes
from storage.comparisons.plan import read_plan
from storage.filesystem import Store, open_store
from storage.models import models
from storage.models.card import MethodChoice
from storage.stores import parquet
from tasks.comparison.plan_comparison import plan_comparison
from tests.comparison_plants import QUICK, put_compared, quick_order
from tests.factories import everything_below, put_model

PATIENCE = 120
"""seconds for the first contender"""


@pytest.fixture(scope="module")
def compared(scheduler: str, tmp_path_factory: pytest.TempPathFactory) -> tuple[Store, ComparisonRun]:
    store = open_store(tmp_path_factory.mktemp("compared") / "plant", create=True)
    put_compared(store)
    put_model(store, "cloth")
    before = everything_below(Path(store.uri), "models", "labels", "images")
    folders: list[Path] = []

    def remove(address: str, function: Callable[[], None]) -> None:
        folder = cast(MethodType, function).__self__.folder
        folders.extend([folder] if folder.exists() else [])
        on_every_worker(address, function)

    with pytest.MonkeyPatch.context() as patch, ThreadPoolExecutor(2) as pool:  # two at once find the same
        patch.setattr("flows.comparison.on_every_worker", remove)
        runs = [
            pool.submit(compare_methods, store.uri, "cloth", methods=list(QUICK), dask_address=scheduler)
            for _ in "ab"
        ]
    run, other = (one.result() for one in runs)
    assert folders and not folders[0].exists(), "the teacher's features were shared"
    assert (run.compared.id, run.compared.methods) == (other.compared.id, other.compared.methods)
    assert everything_below(Path(store.uri), "models", "labels", "images") == before  # the champion, too
    assert {info.key.partition("/")[0] for info in store.list("")} == {
        "models", "labels", "images", "comparisons", "categories.toml",
    }  # fmt: skip
    return store, run


def test_methods_are_judged_on_the_same_images_and_one_is_named(compared: tuple[Store, ComparisonRun]) -> None:
    store, run = compared
    found = run.compared
    assert {one.method for one in found.methods} == set(QUICK) and found.failed == ()
    assert all(one.auroc.figure.value == 1 and one.aupro_30 > 0.8 for one in found.methods)
    assert found.method in QUICK and found.method in found.sentence
    (outcome,) = outcomes(store, "cloth")
    assert (outcome.id, outcome.method) == (found.id, found.method)
    assert not outcome.every_method and len(contenders_below(store)) == len(outcome.contenders) == 2
    assert len(list(store.list("comparisons/cloth/contenders/"))) == 3 * 2
    page = store.read(run.report).decode()
    assert "padim" in page and "drawn defects" not in page
    figures = parquet.from_bytes(store.read(f"comparisons/cloth/{found.id}/figures.parquet"), "figures").to_pylist()
    recalls = {row["method"]: row["value"] for row in figures if row["figure"] == "recall"}
    assert recalls == {one.method: one.recall.figure.value for one in found.methods}
    plan = read_plan(store, f"comparisons/cloth/{found.id}/plan.json")
    scores = parquet.from_bytes(store.read(f"comparisons/cloth/{found.id}/scores.parquet"), "scores").to_pylist()
    keys = [image.image_key for image in plan.judged]
    for method in QUICK:
        assert [row["image_key"] for row in scores if row["method"] == method] == keys


def contenders_below(store: Store) -> dict[str, bytes]:
    return {
        info.key: store.read(info.key)
        for info in store.list("comparisons/cloth/contenders/")
        if info.key.endswith("contender.json")
    }


def test_a_killed_comparison_goes_on_with_what_is_finished(
    store: Store, scheduler: str, command_environment: Callable[..., dict[str, str]]
) -> None:
    put_compared(store)
    command = [sys.executable, "-c", "from flows.cli import main; main()", "compare", "--category", "cloth"]
    arguments = ["--store", store.uri, "--dask-address", scheduler, "--seeds", "2"]
    arguments += [word for name in QUICK for word in ("--method", name)]
    killed = subprocess.Popen(
        [*command, *arguments], env=command_environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + PATIENCE
    while not contenders_below(store) and time.monotonic() < deadline:
        time.sleep(0.02)
    os.kill(killed.pid, signal.SIGKILL)
    killed.wait()
    finished = contenders_below(store)
    assert finished and list(outcomes(store, "cloth")) == []
    again = ["compare", "--category", "cloth", *arguments, "--promote"]
    told = CliRunner().invoke(app, again, env=command_environment(COLUMNS="200"))
    assert told.exit_code == 0, told.output
    after = contenders_below(store)
    assert len(after) == 4 and {key: after[key] for key in finished} == finished
    (outcome,) = outcomes(store, "cloth")
    assert len(outcome.contenders) == 4 and outcome.sentence[:40] in told.output
    card = models.champion_card(store, "cloth")
    assert card is not None and f"{card.version} is the first champion of cloth." in told.output
    assert card.method.choice == MethodChoice(outcome.id, outcome.sentence)
    assert (card.method.name, card.method.settings["seed"]) == (outcome.method, outcome.seed)
    assert len(card.images.train) == 27  # all normals but those of the early stop, as `train` has them


def test_one_that_fails_is_named_and_the_others_are_judged(
    compared: tuple[Store, ComparisonRun], scheduler: str, command_environment: Callable[..., dict[str, str]]
) -> None:
    store, run = compared
    methods = (*QUICK, "spade")
    with disable_run_logger():
        planned = plan_comparison.fn(store.uri, store.uri, quick_order(store, methods=methods))
    (digest,) = [one.digest for one in read_plan(store, planned.key).contenders if one.method == "spade"]
    store.write(f"comparisons/cloth/contenders/{digest}/contender.json", b"{}")
    arguments = ["compare", "--category", "cloth", "--store", store.uri, "--dask-address", scheduler]
    arguments += [word for name in methods for word in ("--method", name)]
    told = CliRunner().invoke(app, [*arguments, "--promote"], env=command_environment(COLUMNS="200"))
    assert told.exit_code == 1, told.output
    assert "failed: spade, seed 0: " in told.output and "remove its folder, and compare again." in told.output
    newest = next(outcomes(store, "cloth"))
    assert newest.id == planned.id and set(newest.contenders) == set(contenders_of(store, run))
    assert newest.failed[0].startswith("spade, seed 0")
    (candidate,) = set(models.list_versions(store, "cloth")) - {"v1"}
    decision = models.read_decision(store, "cloth", candidate)
    assert decision["champion"] == "v1" and f"{candidate}: {decision['words']}" in told.output.replace("\n", " ")
    assert {why for _, why in decision["left_out"]} == {"Its part helped to choose the model's method."}
    assert decision["images"]["left_out"] == decision["images"]["normal"] + decision["images"]["anomalous"] == 36
    assert models.read_champion(store, "cloth").version == "v1"


def contenders_of(store: Store, run: ComparisonRun) -> tuple[str, ...]:
    """The contenders of that run, which nobody has to train again."""
    plan = read_plan(store, f"comparisons/cloth/{run.compared.id}/plan.json")
    return tuple(one.digest for one in plan.contenders)
