"""Evaluations on a real Prefect server and real Dask workers."""

import json
import re
from datetime import timedelta
from pathlib import Path

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey
from prefect.client.schemas.objects import Artifact
from prefect.client.schemas.sorting import ArtifactSort
from typer.testing import CliRunner

from flows.cli import app
from flows.evaluation import EvaluationFailed, evaluate, evaluate_if_labelled
from flows.preflight.evaluation_choice import NothingToEvaluate
from storage.errors import StorageError
from storage.filesystem import Store
from storage.layout import seal_key
from tests.factories import DAY
from tests.labelled_night import Shot, night, put_card, put_night

NEXT, GAP = DAY + timedelta(days=1), DAY + timedelta(days=2)
LAST = DAY + timedelta(days=3)


def unlabelled(shots: list[Shot]) -> list[Shot]:
    return [Shot(shot.name, shot.values) for shot in shots]


def call(*arguments: str, code: int = 0) -> str:
    result = CliRunner().invoke(app, arguments, env={"COLUMNS": "300", "TERM": "dumb"}, catch_exceptions=False)
    assert result.exit_code == code, result.output
    return " ".join(result.output.split())


@pytest.fixture
def plant(store: Store) -> Store:
    """Cloth on two days, metal that nobody labelled, a day without inspection, and a last day of metal alone."""
    put_card(store, "cloth")
    for seed, day in enumerate((DAY, NEXT)):
        put_night(store, "cloth", night(seed, 10, 4), day)
    put_night(store, "metal", unlabelled(night(7, 2, 2)), DAY)
    put_night(store, "metal", unlabelled(night(8, 2, 0)), LAST)
    return store


def test_an_evaluation_from_seals_to_report(plant: Store, scheduler: str) -> None:
    run = evaluate_if_labelled(plant.uri, DAY, LAST, dask_address=scheduler)
    assert run is not None
    (cloth,) = run.categories
    assert (cloth.category, cloth.normal, cloth.anomalous) == ("cloth", 20, 8)
    figures = {measure.name: measure.value for measure in cloth.measures}
    assert all(value is not None for value in figures.values()), figures
    assert (run.unlabelled, run.failed) == (("metal",), ())
    assert run.report == f"reports/evaluation/{DAY}_{LAST}/evaluation.html"
    tree = json.loads(plant.read(run.figures))
    assert tree["days_not_inspected"] == [str(GAP)]
    assert tree["categories"][0]["figures"]["aupimo"]["value"] == figures["aupimo"]
    page = plant.read(run.report).decode()
    assert page.startswith("<!doctype html>") and "metal" in page and page.count('<svg class="chart') == 6
    shown = artifact("evaluation-report")
    assert re.search(r"\| cloth \| v1 reverse\S+ \| 20 \| 8 \|", str(shown.data))
    assert str(shown.data).startswith(f"The whole report: `{plant.uri}/{run.report}`")
    assert shown.description == f"Evaluation, {DAY} to {LAST}"
    assert json.loads(str(artifact("evaluation-figures").data))[0]["image_auroc"] == round(figures["image_auroc"], 4)


def artifact(key: str) -> Artifact:
    """The newest: other tests' runs left some of this name on the same server."""
    named = ArtifactFilter(key=ArtifactFilterKey(any_=[key]))
    with get_client(sync_client=True) as client:
        return client.read_artifacts(artifact_filter=named, sort=ArtifactSort.CREATED_DESC)[0]


def test_a_partition_or_a_label_file_that_breaks_costs_no_other(plant: Store, scheduler: str) -> None:
    put_night(plant, "tile", night(3, 3, 3))
    plant.write("labels/metal/bad.csv", b"image_key,label\na,okay\n")
    for part in (Path(plant.uri) / "scores").rglob("*category=tile/**/*.parquet"):
        part.write_bytes(b"broken")
    put_night(plant, "wood", night(4, 2, 1))
    plant.write(seal_key("wood", DAY, "v1"), b"{}")
    with pytest.raises(EvaluationFailed, match=f"tile of {DAY} by v1") as failed:
        evaluate(plant.uri, DAY, dask_address=scheduler)
    run = failed.value.run
    assert [one.category for one in run.categories] == ["cloth"]
    page = plant.read(run.report).decode()
    assert (
        f"tile of {DAY} by v1" in page and f"wood of {DAY} by v1" in page and "labels/metal/bad.csv, line 2" in page
    )
    with pytest.raises(StorageError, match=r"metal/bad\.csv, line 2"):  # nobody knows whether there is nothing to do
        evaluate_if_labelled(plant.uri, LAST, dask_address=scheduler)


def test_at_the_end_of_a_night_there_may_be_nothing_to_evaluate(plant: Store, scheduler: str) -> None:
    assert evaluate_if_labelled(plant.uri, LAST, dask_address=scheduler) is None
    assert evaluate_if_labelled(plant.uri, GAP, dask_address=scheduler) is None
    assert evaluate_if_labelled(plant.uri, DAY, categories=["metal"], dask_address=scheduler) is None


def test_wrong_use_is_told_with_its_cure(plant: Store, prefect_api: str) -> None:
    for arguments, *words in (
        ([], f"No image of {LAST} of metal has an evaluation label", "rd-inspect import FOLDER --category metal"),
        (["--from", str(GAP)], f"{GAP} was not inspected", f"rd-inspect inspect --run-date {GAP}"),
        (["--from", str(NEXT), "--to", str(DAY)], "comes after"),
        (["--from", str(DAY), "--category", "clot"], "did you mean 'cloth'?"),
    ):
        said = call("evaluate", "--store", plant.uri, *arguments, code=2)
        assert all(word in said for word in words), said


def test_a_store_without_a_sealed_day(store: Store, prefect_api: str) -> None:
    assert "No day is complete" in call("evaluate", "--store", store.uri, code=2)


def test_labels_for_training_are_told_apart(store: Store, scheduler: str) -> None:
    shots = [Shot(shot.name, shot.values, "normal", purpose="training") for shot in night(1, 2, 0)]
    put_night(store, "cloth", shots)
    with pytest.raises(NothingToEvaluate, match="training labels are not used here"):
        evaluate(store.uri, DAY, dask_address=scheduler)


def test_by_command(plant: Store, scheduler: str) -> None:
    arguments = ["--from", str(DAY), "--category", "cloth", "--store", plant.uri, "--dask-address", scheduler]
    said = call("evaluate", *arguments)
    assert f"Evaluation of {DAY}" in said
    assert "cloth v1 10+4" in said
    report = Path(said.split("Report: ")[1].split()[0])
    # Some categories' figures are not the plant's.
    assert report == Path(plant.uri) / f"reports/evaluation/{DAY}_{DAY}/only-cloth/evaluation.html"
    assert report.read_text().startswith("<!doctype html>")


def test_help_says_what_it_reads_and_writes() -> None:
    said = call("evaluate", "--help")
    assert "--from" in said and "--to" in said and "reports/evaluation/" in said
