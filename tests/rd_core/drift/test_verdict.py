import pytest

from rd_core.drift.causes import Cause
from rd_core.drift.settings import DriftSettings
from rd_core.drift.shift import Shift
from rd_core.drift.verdict import Reason, verdict

SIGN = Reason("bulk_average", "The scores have gone up.")


def cause(name):
    return Cause(name, 2.0, "figure", 1.0, 0.5, f"Because of {name}.")


def score(shift, moved=True):
    return Shift("score", 1.0, 1.0, shift, shift - 0.1, shift + 0.1, 0.3, moved)


@pytest.mark.parametrize(
    ("signs", "causes", "shift", "action"),
    [
        ([], [], score(0.0, False), "hold"),
        ([], ["light or camera"], score(0.0, False), "hold"),
        ([], ["model or software"], score(0.0, False), "stop the line"),
        ([SIGN], ["model or software", "light or camera"], score(2.0), "stop the line"),
        ([SIGN], ["light or camera"], score(0.5), "retrain"),
        ([SIGN], ["focus or camera", "more defects"], score(0.5), "retrain"),
        ([SIGN], ["wear or process"], score(0.5), "retrain"),
        ([SIGN], ["more defects"], score(0.1, False), "stop the line"),
        ([SIGN], ["not seen in the images"], score(1.2), "retrain"),
        ([SIGN], ["not seen in the images"], score(-1.2), "retrain"),
        ([SIGN], ["not seen in the images"], score(0.6), "recalibrate"),
        ([SIGN], [], score(1.2, False), "recalibrate"),
        ([SIGN], [], None, "recalibrate"),
    ],
)
def test_what_to_do(signs, causes, shift, action):
    result = verdict(signs, [cause(c) for c in causes], shift, DriftSettings())
    assert result.action == action
    sentences = [r.sentence for r in result.reasons]
    assert sentences
    assert {f"Because of {c}." for c in causes} | {s.sentence for s in signs} <= set(sentences)


def test_a_hold_says_that_all_is_within_chance():
    assert "within what chance" in verdict([], [], None, DriftSettings()).reasons[0].sentence
