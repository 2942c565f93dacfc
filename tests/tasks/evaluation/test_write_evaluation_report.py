"""The merged figures against scikit-learn on the very arrays, and what is written."""

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from prefect.logging import disable_run_logger
from scipy.stats import binomtest
from sklearn.metrics import average_precision_score, roc_auc_score

from rd_core.metrics.aupro import aupro
from rd_core.metrics.pixel_tables import PixelTables
from reports.evaluation.measures import EvaluatedCategory, Measure
from storage.errors import StorageError
from storage.filesystem import Store, open_store
from storage.layout import image_key, mask_key, seal_key
from storage.records import Partition
from storage.stores import parquet
from tasks.evaluation.curves import MOST_POINTS, PRO_LIMIT, pro_curve, roc_curve
from tasks.evaluation.evaluate_partition import evaluate_partition
from tasks.evaluation.figures import mark_latest
from tasks.evaluation.tables import IMAGES, read_rows
from tasks.evaluation.write_evaluation_report import (
    FIGURES,
    EvaluationContents,
    WrittenEvaluation,
    rows_to_show,
    write_evaluation_report,
)
from tasks.reporting.published_reports import link_day
from tests.factories import DAY, NOW, png
from tests.labelled_night import SIDE, THRESHOLD, Shot, night, put_card, put_night

NEXT = DAY + timedelta(days=1)


@pytest.fixture(scope="module")
def nights() -> dict[date, list[Shot]]:
    return {DAY: night(1), NEXT: night(2, normal=9, anomalous=7)}


@pytest.fixture(scope="module")
def plant(tmp_path_factory: pytest.TempPathFactory, nights: dict[date, list[Shot]]) -> Store:
    """Two nights of cloth, and one of metal that has no mask and no normal image."""
    store = open_store(tmp_path_factory.mktemp("plants") / "plant", create=True)
    put_card(store, "cloth")
    for day, shots in nights.items():
        put_night(store, "cloth", shots, day)
    put_night(store, "metal", [replace(shot, mask=None) for shot in night(3) if shot.label == "anomalous"])
    return store


@pytest.fixture(scope="module")
def written(plant: Store) -> WrittenEvaluation:
    partitions = [Partition("cloth", DAY, "v1"), Partition("cloth", NEXT, "v1"), Partition("metal", DAY, "v1")]
    with disable_run_logger():
        return write(plant, partitions)


def write(store: Store, partitions: Sequence[Partition], **more: object) -> WrittenEvaluation:
    counted = [evaluate_partition.fn(store.uri, one, DAY, NEXT) for one in partitions]
    contents = EvaluationContents(DAY, NEXT, "", tuple(counted), **more)
    return write_evaluation_report.fn(store.uri, store.uri, contents, run_id="run-1", evaluated_at=NOW)


def figures(written: WrittenEvaluation, category: str) -> dict[str, Measure]:
    (one,) = [one for one in written.categories if one.category == category]
    return {measure.name: measure for measure in one.measures}


def all_shots(nights: dict[date, list[Shot]]) -> tuple[list[Shot], np.ndarray, np.ndarray]:
    shots = [shot for many in nights.values() for shot in many]
    return shots, np.array([shot.label == "anomalous" for shot in shots]), np.array([shot.score for shot in shots])


def test_image_figures_agree_with_scikit_learn(written: WrittenEvaluation, nights: dict[date, list[Shot]]) -> None:
    _, anomalous, scores = all_shots(nights)
    found = figures(written, "cloth")
    for name, expected in (
        ("image_auroc", roc_auc_score(anomalous, scores)),
        ("image_average_precision", average_precision_score(anomalous, scores)),
    ):
        measure = found[name]
        assert measure.value == pytest.approx(expected, abs=1e-12)
        assert measure.low < measure.value < measure.high
        assert measure.n == len(scores)


def test_pixel_figures_agree_with_scikit_learn(written: WrittenEvaluation, nights: dict[date, list[Shot]]) -> None:
    shots, anomalous, _ = all_shots(nights)
    zeros = np.zeros((SIDE, SIDE), np.bool_)
    masks = [zeros if shot.mask is None else shot.mask[::2, ::2] for shot in shots]
    truth, values = np.concatenate(masks, axis=None), np.concatenate([shot.values for shot in shots], axis=None)
    found = figures(written, "cloth")
    assert found["pixel_auroc"].value == pytest.approx(roc_auc_score(truth, values), abs=1e-12)
    assert found["pixel_average_precision"].value == pytest.approx(average_precision_score(truth, values), abs=1e-12)
    tables = PixelTables.of(
        [shot.values for shot in shots],
        [mask if a else None for mask, a in zip(masks, anomalous, strict=True)],
        anomalous,
    )
    assert found["aupro_30"].value == aupro(tables, 0.3)
    assert found["aupro_05"].value == aupro(tables, 0.05)
    assert found["aupro_05"].n == tables.regions
    assert found["aupro_30"].value > found["aupro_05"].value > 0


def test_decisions_are_those_of_the_stored_threshold(
    written: WrittenEvaluation, nights: dict[date, list[Shot]]
) -> None:
    _, anomalous, scores = all_shots(nights)
    flagged = scores > THRESHOLD
    found = figures(written, "cloth")
    for name, chosen, hits in (
        ("recall", anomalous, flagged),
        ("false_alarm_rate", ~anomalous, flagged),
        ("precision", flagged, anomalous),
    ):
        share = int((chosen & hits).sum()), int(chosen.sum())
        interval = binomtest(*share).proportion_ci(method="exact")
        measure = found[name]
        assert (measure.value, measure.n) == (share[0] / share[1], share[1])
        assert (measure.low, measure.high) == pytest.approx((interval.low, interval.high), abs=1e-9)


def test_kinds_and_sizes(plant: Store, written: WrittenEvaluation, nights: dict[date, list[Shot]]) -> None:
    tree = json.loads(plant.read(written.figures_json))
    cloth = tree["categories"][0]
    shots, _, _ = all_shots(nights)
    for row in cloth["recall_by_kind"]:
        scores = [shot.score for shot in shots if shot.kind == row["name"]]
        assert (row["hits"], row["total"]) == (sum(score > THRESHOLD for score in scores), len(scores))
    assert [row["name"] for row in cloth["recall_by_kind"]] == ["hole", "stain"]
    sizes = cloth["defects_found_by_size"]
    assert sum(row["total"] for row in sizes) == cloth["figures"]["defect_recall"]["n"]
    assert [row["name"] for row in sizes][:2] == ["0 % to 0.01 %", "0.01 % to 0.1 %"]
    assert sizes[0]["value"] is None
    found = sum(row["hits"] for row in sizes)
    assert cloth["figures"]["defect_recall"]["value"] == found / cloth["figures"]["defect_recall"]["n"]
    assert 0 < found < cloth["figures"]["defect_recall"]["n"]


def test_what_is_undefined_says_why(written: WrittenEvaluation) -> None:
    found = figures(written, "metal")
    assert {name: measure.value is None for name, measure in found.items()} == {
        name: name not in ("recall", "precision") for name in found
    }
    assert found["image_auroc"].why == "no judged image is labelled normal"
    assert found["false_alarm_rate"].why == "no judged image is labelled normal"
    assert found["aupro_30"].why == "no anomalous image has a mask that can be counted"
    assert found["aupimo"].why and found["defect_recall"].why


def test_means_weigh_categories_alike_and_leave_out_the_undefined(written: WrittenEvaluation) -> None:
    means = {mean.name: mean for mean in written.means}
    cloth, metal = figures(written, "cloth"), figures(written, "metal")
    assert means["recall"].value == pytest.approx((cloth["recall"].value + metal["recall"].value) / 2)
    assert (means["recall"].n, means["image_auroc"].n) == (2, 1)
    assert means["image_auroc"].value == cloth["image_auroc"].value


def test_the_machine_readable_figures_are_the_same(plant: Store, written: WrittenEvaluation) -> None:
    table = parquet.from_bytes(plant.read(written.figures_parquet), "figures")
    assert table.schema.equals(FIGURES)
    rows = {(row["category"], row["figure"]): row for row in table.to_pylist() if row["of"] is None}
    tree = json.loads(plant.read(written.figures_json))
    for entry in tree["categories"]:
        for name, figure in entry["figures"].items():
            row = rows[entry["category"], name]
            assert {key: row[key] for key in figure} == figure
    assert {row["of"] for row in table.to_pylist() if row["figure"] == "recall_by_kind"} == {"hole", "stain"}
    for name, figure in tree["means"].items():
        assert rows[None, name]["value"] == figure["value"]


def test_the_report_lies_where_its_days_say_and_repeats_to_the_byte(plant: Store, written: WrittenEvaluation) -> None:
    assert written.report == f"reports/evaluation/{DAY}_{NEXT}/evaluation.html"
    before = [plant.read(key) for key in (written.report, written.figures_json, written.figures_parquet)]
    again = write(
        plant, [Partition("metal", DAY, "v1"), Partition("cloth", NEXT, "v1"), Partition("cloth", DAY, "v1")]
    )
    assert [plant.read(key) for key in (again.report, again.figures_json, again.figures_parquet)] == before


def test_galleries_show_misses_false_alarms_and_the_narrow(plant: Store, written: WrittenEvaluation) -> None:
    page = plant.read(written.report).decode()
    rows = [row for one in (DAY, NEXT) for row in read_rows(plant, _rows_key(one))]
    misses = sorted(
        (r for r in rows if r["label"] == "anomalous" and not r["is_anomalous"]), key=lambda r: r["score"]
    )
    alarms = sorted((r for r in rows if r["label"] == "normal" and r["is_anomalous"]), key=lambda r: -r["score"])
    assert misses and alarms
    worst = page.partition(">Worst misses<")[2].partition(">Worst false alarms<")
    assert worst[0].count('<li class="card"') == min(6, len(misses))
    assert f'alt="Image {misses[0]["image_key"]}, labelled anomalous"' in worst[0]
    alarmed = worst[2].partition(">Borderline<")[0]
    assert f'alt="Image {alarms[0]["image_key"]}, labelled normal"' in alarmed
    assert worst[0].count("data:image/webp") == 2 * min(6, len(misses))


def _rows_key(day: date) -> str:
    return f"reports/evaluation/{DAY}_{NEXT}/partitions/cloth/{day}/v1/images.parquet"


def test_pictures_that_are_gone_leave_their_place(tmp_path: Path) -> None:
    store = open_store(tmp_path / "plant", create=True)
    shots = night(1, normal=3, anomalous=3)
    put_night(store, "cloth", shots)
    for path in (tmp_path / "plant" / "images").rglob("*.png"):
        path.unlink()
    written = write(store, [Partition("cloth", DAY, "v1")])
    assert "no picture" in store.read(written.report).decode()


def test_without_a_card_the_figures_are_there_and_the_report_says_so(
    plant: Store, written: WrittenEvaluation
) -> None:
    assert "The model card of v1 is gone" in plant.read(written.report).decode()


def test_two_versions_are_two_lines_and_the_later_is_in_the_mean(tmp_path: Path) -> None:
    store = open_store(tmp_path / "plant", create=True)
    old = put_night(store, "cloth", night(1), DAY, "v1")
    new = put_night(store, "cloth", night(2), NEXT, "v2")
    written = write(store, [old, new])
    versions = {one.model_version: {m.name: m.value for m in one.measures} for one in written.categories}
    assert set(versions) == {"v1", "v2"}
    assert {mean.name: mean.value for mean in written.means} == versions["v2"]
    assert "earlier version, not in the mean" in store.read(written.report).decode()


def test_a_tie_of_days_goes_to_the_later_seal() -> None:
    one = EvaluatedCategory("cloth", "v1", (DAY,), True, counts=None, measures=())
    times = {("cloth", "v1"): datetime(2026, 3, 5, tzinfo=UTC), ("cloth", "v2"): datetime(2026, 3, 4, tzinfo=UTC)}
    marked = mark_latest([one, replace(one, model_version="v2")], times)
    assert [c.in_mean for c in marked] == [True, False]


def test_one_part_gives_a_value_without_interval(tmp_path: Path) -> None:
    store = open_store(tmp_path / "plant", create=True)
    put_card(store, "cloth", images={"part_pattern": r"^(?P<part>.)"})
    shots = [replace(shot, name=f"{shot.kind or 'good'}/0{i}.png") for i, shot in enumerate(night(1, 4, 4))]
    found = figures(write(store, [put_night(store, "cloth", shots)]), "cloth")["image_auroc"]
    assert found.value is not None
    assert found.low is None
    assert "one part" in found.why


def test_problems_are_listed_with_their_cure(tmp_path: Path) -> None:
    store = open_store(tmp_path / "plant", create=True)
    shots = [*night(1, 3, 3), Shot("bad.png", night(1)[0].values, "anomalous", mask_bytes=b"x")]
    written = write(store, [put_night(store, "cloth", shots)])
    page = store.read(written.report).decode()
    assert "Save it again as a PNG" in page.partition(">Problems<")[2]
    (entry,) = json.loads(store.read(written.figures_json))["categories"]
    assert [one["image_key"].rsplit("/", 1)[1] for one in entry["problems"]] == ["bad.png"]
    assert entry["counts"]["left_out"] == 1
    assert entry["counts"]["masked"] == 3


def test_the_area_under_the_lines_is_the_figure(nights: dict[date, list[Shot]]) -> None:
    shots, anomalous, scores = all_shots(nights)
    roc = roc_curve(scores, anomalous)
    assert roc is not None
    assert np.trapezoid(roc.y, roc.x) == pytest.approx(roc_auc_score(anomalous, scores), abs=1e-12)
    masks = [None if shot.mask is None else shot.mask[::2, ::2] for shot in shots]
    tables = PixelTables.of([shot.values for shot in shots], masks, anomalous)
    pro = pro_curve(tables)
    assert pro is not None
    assert (pro.x[0], pro.y[0], pro.x[-1]) == (0, 0, PRO_LIMIT)
    assert len(pro.x) <= MOST_POINTS + 1
    assert np.trapezoid(pro.y, pro.x) / PRO_LIMIT == pytest.approx(aupro(tables, PRO_LIMIT), abs=2e-3)
    assert roc_curve(scores, np.ones(len(scores), np.bool_)) is None
    assert pro_curve(PixelTables.empty()) is None


def test_galleries_begin_with_the_worst() -> None:
    def row(name: str, label: str, score: float) -> dict[str, object]:
        return {"image_key": name, "label": label, "score": score, "threshold": 1.0}

    rows = [
        row("miss", "anomalous", 0.9), row("worst miss", "anomalous", 0.1), row("alarm", "normal", 1.1),
        row("worst alarm", "normal", 3.0), row("sure", "normal", 0.2), row("narrow", "anomalous", 1.05),
        row("equal is no alarm", "normal", 1.0),
    ]  # fmt: skip
    names = [[one["image_key"] for one in chosen] for chosen in rows_to_show(rows, 2)]
    assert names == [["worst miss", "miss"], ["worst alarm", "alarm"], ["equal is no alarm", "narrow"]]
    assert [len(chosen) for chosen in rows_to_show(rows, 1)] == [1, 1, 1]


FOLDER = f"reports/evaluation/{DAY}_{NEXT}"
CHANGES = {
    "image": lambda store: store.write(image_key("cloth", DAY, "good/000.png"), png(77, (48, 48))),
    "no image": lambda store: store.remove(image_key("cloth", DAY, "good/000.png")),
    "mask": lambda store: store.write(mask_key("cloth", DAY, "hole/000.png"), png(1, (48, 48))),
    "card": lambda store: put_card(store, "cloth", threshold={"value": THRESHOLD, "alpha": 0.01}),
    "seal": lambda store: store.write(seal_key("cloth", DAY, "v1"), store.read(seal_key("cloth", DAY, "v1"))[:-1]),
    "rows": lambda store: store.write(_rows_key(DAY), parquet.to_bytes(pa.Table.from_pylist([], schema=IMAGES))),
    "figures": lambda store: store.write(f"{FOLDER}/figures.json", b"{}"),
    "no table": lambda store: store.remove(f"{FOLDER}/figures.parquet"),
    "page": lambda store: store.write(f"{FOLDER}/evaluation.html", b"another"),
    "no AUPIMO": lambda store: store.remove(f"{FOLDER}/partitions/cloth/{DAY}/v1/aupimo.parquet"),
}


@pytest.fixture
def small(store: Store) -> tuple[Store, EvaluationContents]:
    put_card(store, "cloth")
    put_night(store, "cloth", night(normal=2, anomalous=2))
    counted = evaluate_partition.fn(store.uri, Partition("cloth", DAY, "v1"), DAY, NEXT)
    return store, EvaluationContents(DAY, NEXT, "", (counted,))


def drawn(store: Store, contents: EvaluationContents, run_id: str, **more: object) -> tuple[str, WrittenEvaluation]:
    """(the run that the figures are of, what the task returned)"""
    found = write_evaluation_report.fn(
        store.uri, store.uri, contents, run_id=f"made-by-{run_id}", evaluated_at=NOW, **more
    )
    (told,) = set(re.findall(rb"made-by-[a-z0-9]+", store.read(found.report)))
    return told.decode().removeprefix("made-by-"), found


@pytest.mark.parametrize("change", CHANGES)
def test_a_report_is_drawn_again_once_anything_in_it_changes(
    small: tuple[Store, EvaluationContents], change: str
) -> None:
    store, contents = small
    first, written = drawn(store, contents, "first")
    link_day(store, NEXT)
    assert drawn(store, contents, "second") == (first, written)
    CHANGES[change](store)
    if change == "seal":  # it is damaged, and was looked at: a report that was kept would have been given back
        with pytest.raises(StorageError, match="is not a seal as it was written"):
            drawn(store, contents, "third")
        return
    now, _ = drawn(store, contents, "third")
    assert now == "third"


def test_a_report_that_still_holds_counts_as_written_last(small: tuple[Store, EvaluationContents]) -> None:
    store, contents = small
    _, written = drawn(store, contents, "first")
    before = store.info(written.report)
    drawn(store, contents, "second")
    assert store.info(written.report).modified > before.modified


def test_a_report_of_other_days_settings_or_code_is_drawn(
    small: tuple[Store, EvaluationContents], monkeypatch: pytest.MonkeyPatch
) -> None:
    store, contents = small
    drawn(store, contents, "first")
    for number, other in enumerate(
        ({"unlabelled": ("metal",)}, {"failed": (("metal", "why"),)}, {"missing_days": (DAY,)})
    ):
        assert drawn(store, replace(contents, **other), f"other{number}")[0] == f"other{number}"
    assert drawn(store, contents, "review", review_url="http://reviews")[0] == "review"
    assert drawn(store, contents, "again", review_url="http://reviews")[0] == "review"
    monkeypatch.setattr("tasks.reporting.kept_result.code_digest", lambda: "of mended code")
    assert drawn(store, contents, "code", review_url="http://reviews")[0] == "code"
