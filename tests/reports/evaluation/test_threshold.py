"""The picture of a threshold, its words and the setting to copy."""

import re
import tomllib
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reports.evaluation.export import figure_rows, figure_tree
from reports.evaluation.measures import Measure, RecommendedThreshold, ThresholdCurves
from reports.evaluation.report import render_evaluation_report
from reports.evaluation.threshold_chart import threshold_chart
from reports.evaluation.threshold_words import in_sentences, in_short, setting
from reports.evaluation.words import next_steps
from tests.examples import examples
from tests.reports.html_page import words

FIGURES = (
    Measure("recall", 0.9, 0.76, 0.97, 40, "anomalous images"),
    Measure("false_alarm_rate", 0.05, 0.01, 0.14, 60, "normal images"),
    Measure("cost", 0.2, 0.1, 0.5, 100),
    Measure("saving", 0.3, -0.1, 0.6, 100),
)
CHEAPEST = RecommendedThreshold(
    "cheapest", "a miss that costs 200", alpha=0.023, threshold=1.5, low=1.2, high=1.9, figures=FIGURES,
    recall_as_chosen=0.95, false_alarm_rate_as_chosen=0.02,
)  # fmt: skip


def curves(normal, anomalous, value=2.0, low=1.0, high=3.0, *, cost=False):
    """Of these scores, with a review share of 10 % at the threshold in force."""
    at = np.array([-np.inf, *sorted({*normal, *anomalous})])
    shares = [
        np.array([np.mean([score > t for score in group]) for t in at]) if group else None
        for group in (anomalous, normal)
    ]
    return ThresholdCurves(
        at, shares[0], shares[1], shares[0] * 0 + 1 if cost else None, np.array([value]), np.array([0.1]), value, low,
        high,
    )  # fmt: skip


def points(svg, kind):
    """The corners of each line of a kind, in pixels."""
    found = re.findall(rf'<polyline class="line {kind}" points="([^"]*)"', svg)
    return [[tuple(map(float, pair.split(","))) for pair in one.split()] for one in found]


def test_lines_step_where_scores_are_and_end_at_their_axis():
    svg = threshold_chart(curves([0.0, 1.0, 1.5, 2.5], [1.2, 2.2, 3.0, 4.0]), CHEAPEST, "t")
    (recall,) = points(svg, "recall")
    heights = sorted({y for _, y in recall})
    assert [round(112 * share) for share in (0, 0.25, 0.5)] == [round(y - heights[0]) for y in heights[:3]]
    assert all(a[0] == b[0] or a[1] == b[1] for a, b in pairwise(recall))
    steps = {x for (x, y), (_, other) in pairwise(recall) if y != other}
    scale = np.polyfit([1.5, 2.0], [float(re.search(rf'<line class="{kind}" x1="([^"]*)"', svg)[1]) for kind in
                                    ("recommended", "threshold")], 1)  # fmt: skip
    assert np.polyval(scale, 1.2) == pytest.approx(min(steps), abs=0.2)
    assert np.polyval(scale, 2.2) == pytest.approx(sorted(steps)[1], abs=0.2)


def test_both_thresholds_and_the_interval_are_marked_and_told():
    svg = threshold_chart(curves([0.0, 1.0, 1.5, 2.5], [1.2, 2.2, 3.0, 4.0], cost=True), CHEAPEST, "t")
    said = words(svg)
    assert ">in force 2<" in svg and ">cheapest 1.5<" in svg
    assert "95\u202f% interval of the threshold in force: 1 to 3" in svg
    assert "At the threshold 2, in force: recall 75\u202f%, false alarms 25\u202f%, for review 10\u202f%" in said
    assert "At the threshold 1.5, cheapest: recall 75\u202f%, false alarms 25\u202f%" in said
    assert "expected cost an image" in said
    kept = threshold_chart(curves([0.0, 1.0], [2.5]), replace(CHEAPEST, in_force=True), "t")
    assert kept.count('class="threshold"') == 2 and 'class="recommended"' not in kept


def test_a_line_above_its_axis_is_not_drawn_along_its_end():
    svg = threshold_chart(curves([float(n) for n in range(7)], [9.0], value=5.5), None, "t")
    (alarms,) = points(svg, "alarms")
    assert ">20\u202f%<" in svg  # for one of seven above the threshold
    top = min(y for _, y in alarms)
    assert [place for place, (_, y) in enumerate(alarms) if y == top] == [0]


@pytest.mark.parametrize("offset", [-1e4, 0.0, 3e5])
def test_both_thresholds_lie_inside_wherever_the_scores_are(offset):
    normal, anomalous = (offset + 100 * np.array(group) for group in ([0.0, 1.0, 1.5, 2.5], [1.2, 2.2, 3.0, 4.0]))
    at = {"value": offset + 200, "low": offset + 100, "high": offset + 300}
    svg = threshold_chart(curves([*normal], [*anomalous], **at), replace(CHEAPEST, threshold=offset + 150), "t")
    places = [
        float(re.search(rf'<line class="{kind}" x1="([^"]*)"', svg)[1]) for kind in ("recommended", "threshold")
    ]
    assert 60 < places[0] < places[1] - 30 < 450


def test_what_is_not_labelled_is_missing_and_said():
    only_good = threshold_chart(curves([0.0, 1.0, 2.5], []), None, "t")
    assert points(only_good, "recall") == [] and points(only_good, "alarms")
    assert "No image is labelled anomalous, so there is no recall." in only_good
    only_defects = threshold_chart(curves([], [0.0, 1.0, 2.5]), None, "t")
    assert points(only_defects, "alarms") == [] and points(only_defects, "recall")
    assert "No image is labelled normal, so there are no false alarms." in only_defects


SCORES = st.lists(st.sampled_from([0.0, 1.0, 1e-300, -1e308, 1e308]) | st.floats(0, 5), max_size=8)


@given(SCORES, SCORES, st.sampled_from([0.0, 1.0, 1e-300, 1e308]), st.booleans())
@examples(60)
def test_any_scores_can_be_drawn(normal, anomalous, value, with_cost):
    both = bool(normal and anomalous)
    svg = threshold_chart(
        curves(normal, anomalous, value, value, value, cost=with_cost and both), replace(CHEAPEST, threshold=2.0), "t"
    )
    assert bool(svg) == bool(normal or anomalous)
    width, height = map(float, re.search(r'viewBox="0 0 (\S+) (\S+)"', svg).groups()) if svg else (0, 0)
    for line in [line for kind in ("recall", "alarms", "cost", "review") for line in points(svg, kind)]:
        assert all(0 <= x <= width and 0 <= y <= height for x, y in line)
    assert not re.search(r'"(nan|-?inf)"', svg)


def test_many_scores_are_drawn_by_what_pixels_show():
    random = np.random.default_rng(0)
    many = curves([0.0], [1.0])
    at = np.concatenate([[-np.inf], np.sort(random.normal(size=50_000))])
    fall = np.linspace(1, 0, len(at))
    svg = threshold_chart(replace(many, thresholds=at, recall=fall, false_alarm_rate=fall), None, "t")
    assert len(svg) < 60_000


def test_words_say_what_is_shown_and_what_is_not():
    said = " ".join(in_sentences(CHEAPEST))
    assert "The threshold 1.5 is the cheapest, for a miss that costs 200. The setting alpha = 0.023 gives it." in said
    assert "finds 90\u202f% of the defects (76\u202f% to 97\u202f%) and stops 5\u202f% of the good parts" in said
    assert "do not show that it is cheaper (saving -0.1 to 0.6)" in said
    assert "The images that chose it show 95\u202f% and 2\u202f%, which flatters" in said
    sure = replace(CHEAPEST, figures=(*FIGURES[:3], Measure("saving", 0.3, 0.1, 0.6, 100)), extrapolated=True)
    assert "These labels show that it is cheaper" in " ".join(in_sentences(sure))
    assert "its threshold is extrapolated" in " ".join(in_sentences(sure))
    kept = replace(CHEAPEST, in_force=True, recall_as_chosen=0.9, false_alarm_rate_as_chosen=0.05)
    assert in_sentences(kept)[0].startswith("Keep the threshold in force: no other that alpha can set is cheaper")
    assert len(in_sentences(kept)) == 3
    wanted = replace(CHEAPEST, name="wanted recall", figures=FIGURES[:2], caution="Label more.")
    assert "cost" not in " ".join(in_sentences(wanted)[1:]) and "Label more." in in_sentences(wanted)
    none = RecommendedThreshold("cheapest", "costs", why="3 parts are too few")
    assert in_sentences(none) == ["No alpha is recommended: 3 parts are too few."]
    assert in_short(none, "cloth") == "no alpha is recommended: 3 parts are too few"
    begin = (
        "cheapest at alpha = 0.023 (threshold 1.5): recall 90\u202f%, false alarms 5\u202f%. Set this alpha, then: "
    )
    assert in_short(CHEAPEST, "a b") == f"{begin}rd-inspect recalibrate --category 'a b' --held-out --judge"
    assert in_short(kept, "cloth").startswith("cheapest at alpha = 0.023, which is in force: recall")
    assert "Set this" not in in_short(kept, "cloth")


@pytest.mark.parametrize("category", ["cloth", "a.b", "0-x_y"])
def test_the_setting_is_what_the_settings_file_takes(category):
    assert tomllib.loads(setting(category, 0.0023)) == {"categories": {category: {"alpha": 0.0023}}}


def test_page_and_files_have_the_recommendation(evaluation, evaluated):
    one = evaluated(curves=curves([0.0, 1.0, 2.5], [1.2, 2.2, 3.0]), recommended=CHEAPEST)
    report = evaluation(categories=(one, evaluated(category="metal", curves=one.curves)))
    html = render_evaluation_report(report)
    assert "<code>[categories.cloth]\nalpha = 0.023</code>" in html
    assert "rd-inspect recalibrate --category cloth" in html
    assert html.count("names the alpha that serves it best") == 1
    earlier = replace(one, in_mean=False)
    assert "--held-out" not in render_evaluation_report(evaluation(categories=(earlier,)))
    kept = evaluated(curves=one.curves, recommended=replace(CHEAPEST, in_force=True))
    step = "Set alpha = 0.023 and recalibrate: its threshold is the cheapest, for a miss that costs 200."
    assert step in next_steps(one) and not any("alpha = 0.023" in other for other in next_steps(kept))
    page = render_evaluation_report(evaluation(categories=(one,)))
    assert f'<li>{step} <a href="#category-1-threshold">' in page and 'id="category-1-threshold"' in page
    assert "rd-inspect recalibrate" not in render_evaluation_report(evaluation(categories=(kept,)))
    (cloth, metal) = figure_tree(report)["categories"]
    assert (cloth["recommended"]["alpha"], cloth["recommended"]["figures"]["saving"]["low"]) == (0.023, -0.1)
    assert metal["recommended"] is None
    rows = {row["figure"]: row for row in figure_rows(report) if row["figure"].startswith("recommended_")}
    assert (rows["recommended_alpha"]["value"], rows["recommended_threshold"]["high"]) == (0.023, 1.9)
    assert (rows["recommended_recall"]["low"], rows["recommended_saving"]["value"]) == (0.76, 0.3)
