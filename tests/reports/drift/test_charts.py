"""Charts of drift: what is drawn lies where it should, says what it is, and is well-formed."""

import re
from dataclasses import replace
from datetime import timedelta
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reports.drift.charts import chart_by_day, chart_of_shifts
from reports.drift.words import BY_DAY
from tests.examples import FINITE
from tests.reports.drift_builders import FIRST, day_figure

WORDS = BY_DAY["brightness"]
REAL = st.floats(-1e6, 1e6).map(lambda value: round(value, 3)) | FINITE


def parsed(svg: str) -> ElementTree.Element:
    return ElementTree.fromstring(svg)


def coordinates(svg: str) -> list[float]:
    found = re.findall(r'points="([^"]*)"', svg)
    return [float(n) for points in found for n in re.split("[ ,]", points) if n]


@given(st.lists(st.tuples(REAL, REAL, REAL, st.booleans()), min_size=1, max_size=12), st.sampled_from(sorted(BY_DAY)))
def test_any_figures_are_drawn_inside_the_picture(values: list[tuple], name: str) -> None:
    if BY_DAY[name].is_share:
        values = [(*(min(abs(v), 1.0) for v in three), outside) for *three, outside in values]
    figures = [
        day_figure(3 * n, value=v, band_low=None if n % 3 == 0 else min(a, b), band_high=max(a, b), outside=outside)
        for n, (v, a, b, outside) in enumerate(values)
    ]
    svg = str(chart_by_day([figures], BY_DAY[name], "t"))
    root = parsed(svg)
    assert len(root.findall("g")) == len(figures)
    assert "nan" not in svg and "inf" not in svg
    assert all(0 <= n <= 520 for n in coordinates(svg))
    shifts = [replace(figure, name="quantile_0.5") for figure in figures]
    drawn = re.findall(r'\b(?:x|x1|x2|width)="([^"]*)"', str(chart_of_shifts(shifts, "t")))
    assert all(0 <= float(n) <= 520 for n in drawn)


def test_days_outside_are_diamonds_and_every_day_has_a_text() -> None:
    figures = [day_figure(0), day_figure(1, value=0.7, outside=True), day_figure(2)]
    root = parsed(str(chart_by_day([figures], WORDS, "Brightness of cloth")))
    points = root.findall("g")
    assert [one.find("path") is not None for one in points] == [False, True, False]
    assert points[1].find("title").text == "2026-03-02: brightness 0.7, expected range 0.4 to 0.6; 80 images; outside"
    assert root.find("title").text == "Brightness of cloth"
    assert "Outside on 1 day: 2026-03-02." in root.find("desc").text
    few = parsed(str(chart_by_day([figures], WORDS, "t", hover_all=False)))
    assert len(few.findall("g")) == 1


def test_higher_values_and_later_days_lie_higher_and_further_right() -> None:
    svg = str(chart_by_day([[day_figure(0, value=0.45), day_figure(4, value=0.58)]], WORDS, "t"))
    line = next(one for one in parsed(svg).findall("polyline") if one.get("class") == "series")
    (x1, y1), (x2, y2) = (tuple(map(float, point.split(","))) for point in line.get("points").split())
    assert x2 > x1 and y2 < y1


def test_a_band_of_a_day_without_neighbours_has_a_width_and_a_gap_stays_open() -> None:
    single = parsed(str(chart_by_day([[day_figure(0)]], WORDS, "t"))).find("polygon").get("points").split()
    assert float(single[1].split(",")[0]) - float(single[0].split(",")[0]) > 100
    gap = parsed(str(chart_by_day([[day_figure(0), day_figure(10)]], WORDS, "t"))).find("polygon")
    xs = [float(point.split(",")[0]) for point in gap.get("points").split()]
    assert xs[1] - xs[0] < 60


def test_two_models_have_a_line_a_band_each_and_a_border_between() -> None:
    segments = [[day_figure(0), day_figure(1)], [], [day_figure(4), day_figure(5)]]
    root = parsed(str(chart_by_day(segments, WORDS, "t")))
    assert len([one for one in root.findall("polyline") if one.get("class") == "series"]) == 2
    assert len(root.findall("polygon")) == 2
    border = [one for one in root.findall("line") if one.get("class") == "change"]
    dots = [float(one.find("circle").get("cx")) for one in root.findall("g")]
    assert len(border) == 1
    assert dots[1] < float(border[0].get("x1")) < dots[2]


@given(st.integers(1, 400))
def test_no_more_than_six_days_are_named(days: int) -> None:
    figures = [day_figure(n) for n in (0, days - 1)] if days > 1 else [day_figure(0)]
    root = parsed(str(chart_by_day([figures], WORDS, "t", hover_all=False)))
    named = [one.text for one in root.findall("text") if re.fullmatch(r"\d\d \w{3}", one.text)]
    assert 1 <= len(named) <= 6
    assert named[0] == f"{FIRST:%d %b}"


def test_shares_are_told_in_per_cent_and_sums_begin_at_zero() -> None:
    svg = str(chart_by_day([[day_figure(0, value=0.05, band_low=0.0, band_high=0.1)]], BY_DAY["alarm_rate"], "t"))
    assert "alarms 5\u202f%, expected range 0\u202f% to 10\u202f%" in svg
    total = str(chart_by_day([[day_figure(0, value=1.0, band_low=None, band_high=5.0)]], BY_DAY["bulk_sum"], "t"))
    assert "sum 1, expected range up to 5" in total


@pytest.mark.parametrize("text", ["</title><script>alert(1)</script>", 'a"b<c>&d'])
def test_titles_are_escaped(text: str) -> None:
    assert parsed(str(chart_by_day([[day_figure()]], WORDS, text))).find("title").text == text
    assert parsed(str(chart_of_shifts([day_figure(name="quantile_0.5")], text))).find("title").text == text


def test_shifts_lie_beside_their_bands() -> None:
    last = FIRST + timedelta(days=9)
    figures = [
        day_figure(name="quantile_0.5", last_day=last, value=0.0, band_low=-0.5, band_high=0.5),
        day_figure(name="quantile_0.95", last_day=last, value=3.0, band_low=-0.5, band_high=1.0, outside=True),
    ]
    root = parsed(str(chart_of_shifts(figures, "t")))
    rows = root.findall("g")
    assert [row.find("text").text for row in rows] == ["median", "95 % quantile"]
    assert "moved by +3 interquartile ranges, expected range -0.5 to +1; outside" in rows[1].find("title").text
    band = rows[1].find("rect")
    diamond = float(re.match(r"M([\d.]+)", rows[1].find("path").get("d")).group(1))
    assert diamond > float(band.get("x")) + float(band.get("width"))
    mark = float(rows[0].find("line").get("x1"))
    inside = rows[0].find("rect")
    assert float(inside.get("x")) < mark < float(inside.get("x")) + float(inside.get("width"))
    assert chart_of_shifts([], "t") == chart_by_day([], WORDS, "t") == ""
