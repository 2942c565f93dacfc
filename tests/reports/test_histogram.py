import re
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from reports.histogram import Group, histogram
from tests.examples import FINITE, examples

NONE = np.empty(0, np.float32)


def score_histogram(scores, calibration, threshold, title, *, mirrored=False) -> str:
    groups = Group("image", scores), Group("held-out good image", calibration, "normals")
    return histogram(*groups, threshold, title, mirrored=mirrored)


def drawn(scores, calibration=NONE, threshold=0.5, title="Scores") -> ElementTree.Element:
    return ElementTree.fromstring(score_histogram(np.asarray(scores, np.float32), calibration, threshold, title))


def bars(svg: ElementTree.Element) -> list[tuple[str, int]]:
    """(class, images) of each bar."""
    return [
        (bar.attrib["class"], int(re.match(r"[\d\u202f]+", bar.findtext("title")).group().replace("\u202f", "")))
        for bar in svg.iter("rect")
    ]


def test_without_any_score_nothing_is_drawn():
    assert score_histogram(NONE, NONE, 0.5, "Scores") == ""
    assert score_histogram(np.array([np.nan, np.inf]), NONE, None, "Scores") == ""


@pytest.mark.parametrize("threshold", [None, 0.5, 0.1, float("nan")])
def test_one_score_is_one_bar(threshold):
    assert [images for _, images in bars(drawn([0.3], threshold=threshold))] == [1]


def test_every_image_stands_in_one_bar_and_alarms_above_the_threshold():
    scores = np.random.default_rng(0).gamma(9, 0.05, 5000).astype(np.float32)
    found = bars(drawn(scores, threshold=0.61))
    assert sum(images for _, images in found) == 5000
    assert sum(images for kind, images in found if kind == "bar alarm") == (scores > np.float32(0.61)).sum()


def test_a_score_equal_to_the_threshold_is_no_alarm():
    assert bars(drawn([0.5, 0.5, 0.5], threshold=0.5)) == [("bar", 3)]


def test_equal_scores_are_one_bar():
    assert bars(drawn([0.0] * 7, threshold=None)) == [("bar", 7)]


@examples(50)
@given(st.lists(FINITE, min_size=1, max_size=40), st.lists(FINITE, max_size=40), st.none() | FINITE)
@example([1.0, 1.0 + 2e-16], [], None)
@example([1.0, np.nextafter(1.0, 2)], [1.0], 1.0)
@example([0.0, 5e-324], [2.2e-309], None)
@example([1.7e308, -1.7e308], [], 1.7e308)
@example([9e307, 9e307], [9e307, 9e307], None)
def test_any_finite_scores_stand_in_one_bar_on_the_right_side(scores, normals, threshold):
    scores, normals = np.array(scores), np.array(normals)
    svg = ElementTree.fromstring(score_histogram(scores, normals, threshold, "t"))
    assert sum(images for _, images in bars(svg)) == len(scores)
    if threshold is not None and abs(threshold) < 1e300:
        alarms = sum(images for kind, images in bars(svg) if kind == "bar alarm")
        assert alarms == (scores > threshold).sum()
    labelled = ElementTree.fromstring(score_histogram(scores, normals, threshold, "t", mirrored=True))
    for bar in [*svg.iter("rect"), *labelled.iter("rect")]:
        assert all(0 <= float(bar.attrib[name]) <= 520 for name in ("x", "y", "width", "height"))


def test_a_few_far_scores_do_not_flatten_the_rest():
    svg = drawn(np.append(np.random.default_rng(0).normal(0.3, 0.02, 500), [900.0]))
    assert len(bars(svg)) > 8
    last = list(svg.iter("rect"))[-1].findtext("title")
    assert last.startswith("1 image (")
    assert "scores above" in last
    assert "and above →" in [text.text for text in svg.iter("text")]


def test_bars_stay_inside_the_drawing():
    svg = drawn(np.random.default_rng(0).normal(0.3, 0.1, 400), np.random.default_rng(1).normal(0.2, 0.1, 30))
    _, _, width, height = map(float, svg.attrib["viewBox"].split())
    for bar in svg.iter("rect"):
        x, y, w, h = (float(bar.attrib[name]) for name in ("x", "y", "width", "height"))
        assert x >= 0
        assert x + w <= width
        assert y >= 0
        assert y + h <= height


def test_the_threshold_stands_where_it_belongs():
    svg = drawn([0.0, 1.0], threshold=0.5)
    line = next(element for element in svg.iter("line") if element.attrib["class"] == "threshold")
    ticks = {text.text: float(text.attrib["x"]) for text in svg.iter("text")}
    assert float(line.attrib["x1"]) == pytest.approx((ticks["0"] + ticks["1"]) / 2, abs=1)


def test_normals_are_a_line_and_only_if_there_are_any():
    assert list(drawn([0.3]).iter("polyline")) == []
    (line,) = drawn([], np.array([0.2, 0.3, 0.4])).iter("polyline")
    heights = [float(point.split(",")[1]) for point in line.attrib["points"].split()]
    assert max(heights) - min(heights) > 100


def test_readers_without_eyes_get_the_figures_in_words():
    svg = drawn([0.2, 0.4, 0.9], np.array([0.1, 0.3]), threshold=0.5, title='Scores of <b>"x"')
    assert svg.attrib["role"] == "img"
    assert svg.findtext("title") == 'Scores of <b>"x"'
    assert svg.findtext("desc") == (
        "3 images with scores from 0.2 to 0.9, median 0.4, 1 above the threshold 0.5; "
        "2 held-out good images with scores from 0.1 to 0.3, median 0.2, 0 above the threshold 0.5."
    )
