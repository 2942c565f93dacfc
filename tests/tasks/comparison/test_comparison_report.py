"""From a judgement to its page: every figure at its place, with the typical model's maps."""

from datetime import UTC, datetime

import numpy as np
import pytest

from rd_core.comparison.disagreement import most_disagreed
from rd_core.comparison.figures import PixelFigures
from rd_core.comparison.judged_images import JudgedImage
from rd_core.comparison.judgement import Judgement, judge
from reports.comparison.export import figure_rows, figure_tree
from reports.comparison.markdown import render_comparison_markdown
from reports.comparison.report import render_comparison_report
from tasks.comparison.comparison_report import ReportedComparison, ShownImage, comparison_report
from tests.rd_core.comparison.simulated_comparisons import contenders, judged

ABOUT = ReportedComparison("cloth", "c-01", "s3://plant", datetime(2026, 3, 3, tzinfo=UTC), 0.01)
AUROCS = {"sharp": 0.97, "blunt": 0.7}
IMAGES = judged(40, drawn=True)
MODELS = [
    type(one)(**{**vars(one), "pixels": PixelFigures(0.9, 0.5, 0.8, 0.1 * one.seed, 20, 25)})
    for one in contenders(IMAGES, AUROCS, seeds=3)
]


@pytest.fixture(scope="module")
def judgement() -> Judgement:
    return judge(IMAGES, MODELS, resamples=200)


def shown(index: int) -> ShownImage:
    picture = np.full((32, 32, 3), 90, np.uint8)
    return ShownImage(index, picture, {"sharp": np.ones((8, 8), np.float16)}, np.eye(8, dtype=bool))


def test_every_figure_of_the_judgement_is_at_its_place(judgement: Judgement) -> None:
    report = comparison_report(judgement, MODELS, [], {}, ABOUT)
    assert (report.named, report.reference, report.sentence) == ("sharp", "sharp", judgement.choice.sentence)
    assert (report.counts.normal, report.counts.anomalous, report.counts.parts, report.counts.drawn) == (
        20,
        20,
        40,
        20,
    )
    sharp, blunt = report.methods
    assert (sharp.method, sharp.standing, blunt.standing, sharp.seeds) == ("sharp", "best", "worse", (0, 1, 2))
    assert sharp.auroc.ahead is None and sharp.choosing.ahead is None
    other = judgement.auroc.others["blunt"]
    assert (blunt.auroc.ahead.value, blunt.auroc.ahead.low, blunt.auroc.p_value) == (
        other.interval.value, other.interval.low, other.p_value,
    )  # fmt: skip
    chose = judgement.choosing.others["blunt"].interval
    assert (blunt.choosing.ahead.low, blunt.choosing.ahead.high) == (chose.low, chose.high) != (
        blunt.auroc.ahead.low, blunt.auroc.ahead.high,
    )  # fmt: skip
    assert blunt.average_precision.figure.value == judgement.average_precision.figures["blunt"].value
    assert (blunt.auroc.lowest, blunt.auroc.highest) == (
        min(judgement.auroc.seeds["blunt"]), max(judgement.auroc.seeds["blunt"]),
    )  # fmt: skip
    assert sharp.aupro_05 == pytest.approx(0.1 * judgement.typical["sharp"])
    assert [(row.name, row.total) for row in sharp.by_size if row.total] == [("0.10\u202f% to 1\u202f%", 20)]
    assert [row.name for row in sharp.by_kind] == ["hole", "stain"]


def test_images_show_the_typical_models_decisions_and_maps(judgement: Judgement) -> None:
    (first, *_) = most_disagreed(judgement, MODELS)
    report = comparison_report(judgement, MODELS, [shown(first)], {"sharp": 0.5, "blunt": 2.0}, ABOUT)
    (image,) = report.disagreed
    assert (image.image_key, image.drawn) == (IMAGES[first].key, IMAGES[first].drawn)
    for view in image.views:
        seed = judgement.typical[view.method]
        score = next(float(m.scores[first]) for m in MODELS if (m.method, m.seed) == (view.method, seed))
        assert (view.scored.score, view.scored.is_anomalous) == (score, score > 2.0)
        assert 0 <= view.rank <= 1
    assert {view.method: view.scored.pixel_threshold for view in image.views} == {"sharp": 0.5, "blunt": 2.0}
    assert {view.method for view in image.views if view.scored.anomaly_map is not None} == {"sharp"}
    page = render_comparison_report(report)
    assert "drawn defects" in page and page.count("<img") == 2


def test_a_comparison_by_one_part_has_a_page_too() -> None:
    images = [JudgedImage(str(n), "the part", n > 2) for n in range(6)]
    models = contenders(images, AUROCS)
    report = comparison_report(judge(images, models, resamples=50), models, [], {}, ABOUT)
    assert (report.named, report.methods[0].auroc, report.methods[0].standing) == (None, None, None)
    assert "no method is named" in render_comparison_report(report)
    assert render_comparison_markdown(report) and figure_rows(report) and figure_tree(report)
