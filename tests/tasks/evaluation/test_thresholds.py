"""From a category's goal, its labelled images and the card's held-out scores to the report."""

import json

import numpy as np
import pytest
from prefect.logging import disable_run_logger

from rd_core.calibration.goals import Costs, WantedRecall
from storage.filesystem import Store
from storage.stores import parquet
from tasks.evaluation.evaluate_partition import evaluate_partition
from tasks.evaluation.thresholds import LabelledScores, ThresholdGoal, recommendation
from tasks.evaluation.write_evaluation_report import EvaluationContents, WrittenEvaluation, write_evaluation_report
from tests.factories import DAY, NOW
from tests.labelled_night import THRESHOLD, night, put_card, put_night

HELD_OUT = tuple(np.linspace(0.3, 1.1, 40).tolist())


def write(store: Store, contents: EvaluationContents) -> WrittenEvaluation:
    return write_evaluation_report.fn(store.uri, store.uri, contents, run_id="run-1", evaluated_at=NOW)


@pytest.fixture
def counted(store: Store) -> EvaluationContents:
    put_card(store, "cloth", calibration={"scores": HELD_OUT}, threshold={"value": THRESHOLD, "alpha": 0.05})
    partition = put_night(store, "cloth", night(1, 20, 20))
    with disable_run_logger():
        return EvaluationContents(DAY, DAY, "", (evaluate_partition.fn(store.uri, partition, DAY, DAY),))


def test_a_goal_of_the_settings_gives_the_setting_to_copy(store: Store, counted: EvaluationContents) -> None:
    plain = write(store, counted)
    assert plain.categories[0].recommended is None
    assert "names the alpha that serves it best" in store.read(plain.report).decode()
    goal = ThresholdGoal(Costs(miss=500, alarm=1, defect_share=0.05))
    contents = EvaluationContents(DAY, DAY, "", counted.partitions, thresholds={"cloth": goal})
    written = write(store, contents)
    (entry,) = json.loads(store.read(written.figures_json))["categories"]
    recommended = entry["recommended"]
    assert recommended["alpha"] > 0.05 and recommended["threshold"] < THRESHOLD
    assert f"alpha = {recommended['alpha']:g}</code>" in store.read(written.report).decode()
    assert f"at alpha = {recommended['alpha']:g}" in written.categories[0].recommended
    table = parquet.from_bytes(store.read(written.figures_parquet), "figures").to_pylist()
    (row,) = [row for row in table if row["figure"] == "recommended_threshold"]
    assert (row["value"], row["low"]) == (recommended["threshold"], recommended["low"])
    assert write(store, contents) == written  # as kept


def test_why_there_is_no_recommendation() -> None:
    few = LabelledScores(np.arange(8.0), np.arange(8) > 4, [str(i) for i in range(8)])
    found = recommendation(WantedRecall(0.9), None, None, few)
    assert found.alpha is None and "card" in found.why
