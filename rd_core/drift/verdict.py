"""What to do: hold, recalibrate, retrain or stop the line.

In this order, the first that fits:

- a golden image's score changed: *stop the line*. No decision since then is worth anything until the software is
  checked, and a new threshold or model would only bury the fault.
- nothing significant: *hold*, even if an image statistic moved: it is named as a reason, but does no harm yet.
- light, focus, place or features moved: *retrain*. A new threshold would hide what the model cannot see in such
  images. Better still what moved is put right, which the cause's sentence says.
- alarms rose and parts without one score as ever: *stop the line*, for more parts are bad.
- scores moved by more than a new threshold puts right: *retrain*.
- otherwise, the images being steady: *recalibrate*.
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
    """One reason for a verdict."""

    finding: str
    """the figure or cause it rests on"""
    sentence: str
    """for the operator"""


@dataclass(frozen=True)
class Verdict:
    """What to do, and why."""

    action: str
    """hold, recalibrate, retrain or stop the line"""
    reasons: tuple[Reason, ...]
    """the signs that drift was told by, then its causes; at least one"""


def verdict(
    signs: Sequence[Reason], causes: Sequence[Cause], score: Shift | None, settings: DriftSettings
) -> Verdict:
    """signs: significant findings of drift, none if there is none. score: how the scores' median moved."""
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
