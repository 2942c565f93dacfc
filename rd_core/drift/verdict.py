"""The drift verdict. The first rule that fits decides:

- A golden image's score changed: *stop the line*, decisions are worthless until the software is checked.
- Nothing is significant: *hold*; a moved image statistic is named as a reason.
- Light, focus, place or features moved: *retrain*, a new threshold would hide what the model cannot see.
- Alarms rose and parts without an alarm score as before: *stop the line*, more parts are defective.
- Scores moved by more than a new threshold corrects: *retrain*.
- Otherwise: *recalibrate*.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from rd_core.drift.causes import IN_THE_IMAGES, MODEL_OR_SOFTWARE, MORE_DEFECTS, Cause
from rd_core.drift.settings import DriftSettings
from rd_core.drift.shift import Shift

HOLD = "hold"
RECALIBRATE = "recalibrate"
RETRAIN = "retrain"
STOP_THE_LINE = "stop the line"


@dataclass(frozen=True)
class Reason:
    """A reason for a verdict."""

    finding: str
    """name of the figure or cause behind it"""
    sentence: str
    """for the operator"""


@dataclass(frozen=True)
class Verdict:
    """What to do, and why."""

    action: str
    """hold, recalibrate, retrain or stop the line"""
    reasons: tuple[Reason, ...]
    """the significant findings, then their causes; at least one"""


def verdict(
    signs: Sequence[Reason], causes: Sequence[Cause], score: Shift | None, settings: DriftSettings
) -> Verdict:
    """Decide. signs: significant findings of drift. score: the shift of the scores' median."""
    explained = tuple(Reason(c.name, c.sentence) for c in causes)
    names = {c.name for c in causes}
    if MODEL_OR_SOFTWARE in names:
        return Verdict(STOP_THE_LINE, (*explained, *signs))
    if not signs:
        calm = Reason("no drift", "Alarms and scores are within what chance and ordinary defects bring.")
        return Verdict(HOLD, (calm, *explained))
    if names & set(IN_THE_IMAGES):
        action = RETRAIN
    elif MORE_DEFECTS in names:
        action = STOP_THE_LINE
    elif score and score.moved and abs(score.shift) >= settings.retrain_shift:
        action = RETRAIN
    else:
        action = RECALIBRATE
    return Verdict(action, (*signs, *explained))
