import pytest

from rd_core.drift.alarm_rate import AlarmRate
from rd_core.drift.causes import causes
from rd_core.drift.golden import GoldenReplay
from rd_core.drift.shift import Shift

RATE = AlarmRate("2026-03-01", "2026-03-04", 800, 40, 0.05, 0.04, 0.06, 0.01, 0, 20, "above")


def moved(name, shift, limit=0.5):
    return Shift(name, 1.0, 1.0, shift, shift - 0.1, shift + 0.1, limit, abs(shift) >= limit)


def named(*shifts, rose=False, golden=None):
    return [c.name for c in causes(shifts, RATE, rose, golden)]


@pytest.mark.parametrize(
    ("shifts", "expected"),
    [
        ((moved("brightness", -1.0),), ["light or camera"]),
        ((moved("contrast", 0.8),), ["light or camera"]),
        ((moved("sharpness", -1.0), moved("feature_distance", 2.0)), ["focus or camera"]),
        ((moved("feature_distance", 1.0), moved("brightness", 0.1)), ["wear or process"]),
        ((moved("feature_distance", -1.0),), []),
        ((moved("feature_distance", 3.0), moved("brightness", 1.0)), ["light or camera"]),
        ((moved("brightness", -0.6), moved("sharpness", -2.0)), ["focus or camera", "light or camera"]),
        ((moved("brightness", -2.0), moved("sharpness", -0.6)), ["light or camera", "focus or camera"]),
        (
            (moved("contrast", -7.4), moved("sharpness", -5.2), moved("feature_distance", 26.0)),  # a blur
            ["focus or camera"],
        ),
        (
            (moved("contrast", -0.7), moved("sharpness", -0.6), moved("feature_distance", 6.3)),  # a part that moved
            ["wear or process", "focus or camera"],
        ),
        (
            (moved("edge_centre_x", -5.1), moved("contrast", -0.9), moved("feature_distance", 6.3)),
            ["position or fixture", "light or camera"],
        ),
        ((moved("edge_centre_x", 0.6), moved("edge_centre_y", 3.6)), ["position or fixture"]),
        ((moved("edge_centre_y", 1.0), moved("feature_distance", 7.0)), ["wear or process", "position or fixture"]),
        ((moved("edge_centre_x", -1.6), moved("brightness", -27.0)), ["light or camera"]),  # a lamp that moved
        ((moved("edge_centre_y", 1.9), moved("sharpness", -6.9)), ["focus or camera"]),
        ((moved("edge_centre_x", 0.4),), []),
        ((moved("offset_x", -2.0), moved("brightness", 0.6)), ["position or fixture", "light or camera"]),
        ((moved("rotation", 1.0), moved("offset_y", 0.4)), ["position or fixture"]),
        ((moved("score", 0.6, 0.3),), ["not seen in the images"]),
        ((moved("score", 0.6, 0.3), moved("brightness", 1.0)), ["light or camera"]),
        ((moved("brightness", 0.2), moved("score", 0.1, 0.3)), []),
    ],
)
def test_what_moved_names_the_cause_strongest_first(shifts, expected):
    assert named(*shifts) == expected


def test_more_defects_explain_a_score_that_moved():
    assert named(rose=True) == ["more defects"]
    assert named(moved("score", 0.4, 0.3), rose=True) == ["more defects"]
    assert named(moved("score", 0.4, 0.3), rose=False) == ["not seen in the images"]


def test_a_changed_golden_score_comes_first_whatever_else_moved():
    result = causes([moved("brightness", 50.0)], RATE, False, GoldenReplay(20, 1, 0.02, 0.01))
    assert [c.name for c in result] == ["model or software", "light or camera"]
    assert "1 of 20 golden images" in result[0].sentence
    assert named(golden=GoldenReplay(20, 0, 0.005, 0.01)) == []


def test_a_cause_carries_its_figures():
    result = causes([moved("contrast", 1.0), moved("brightness", -2.0)], RATE, True, None)
    light, defects = result
    assert (light.figure, light.value, light.limit, light.evidence) == ("brightness", -2.0, 0.5, 4.0)
    assert "brightness is lower than at calibration, by 2.0 standard deviations (-2.1 to -1.9)" in light.sentence
    assert (defects.value, defects.limit, defects.evidence) == (0.05, 0.025, 2.0)
    assert "40 of 800 images raised an alarm (5.0%) since 2026-03-01" in defects.sentence


@pytest.mark.parametrize(
    ("figure", "shift", "words"),
    [
        ("offset_x", 1.0, "Parts lie further right than at calibration, by 1.0"),
        ("offset_y", -1.0, "Parts lie further up than"),
        ("rotation", 1.0, "Parts are turned further clockwise than"),
        ("edge_centre_x", -1.0, "The images' edges lie further left than"),
    ],
)
def test_the_way_that_parts_moved_is_told(figure, shift, words):
    [cause] = causes([moved(figure, shift)], RATE, False, None)
    assert cause.sentence.startswith(words)
