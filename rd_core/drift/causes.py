"""Probable causes of drift, from the images' statistics."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rd_core.drift.alarm_rate import AlarmRate
from rd_core.drift.golden import GoldenReplay
from rd_core.drift.shift import Shift
from rd_core.pictures.alignment import OFFSET_COLUMNS

SCORE = "score"
BRIGHTNESS, CONTRAST, SHARPNESS = "brightness", "contrast", "sharpness"
EDGE_CENTRE_X, EDGE_CENTRE_Y = "edge_centre_x", "edge_centre_y"
OFFSET_X, OFFSET_Y, ROTATION = OFFSET_COLUMNS
FEATURE_DISTANCE = "feature_distance"
STATISTICS = (BRIGHTNESS, CONTRAST, SHARPNESS, EDGE_CENTRE_X, EDGE_CENTRE_Y, FEATURE_DISTANCE)
"""columns of the score rows: those of `ImageStatistics` in its order, then the feature distance"""
OF_ROWS = (*STATISTICS, *OFFSET_COLUMNS)
"""columns of the score rows that are compared; the offsets where the model aligns images"""

MODEL_OR_SOFTWARE = "model or software"
LIGHT_OR_CAMERA = "light or camera"
FOCUS_OR_CAMERA = "focus or camera"
POSITION_OR_FIXTURE = "position or fixture"
WEAR_OR_PROCESS = "wear or process"
MORE_DEFECTS = "more defects"
UNEXPLAINED = "not seen in the images"

IN_THE_IMAGES = (LIGHT_OR_CAMERA, FOCUS_OR_CAMERA, POSITION_OR_FIXTURE, WEAR_OR_PROCESS)
_PLACES = {
    EDGE_CENTRE_X: ("The images' edges lie further left", "The images' edges lie further right"),
    EDGE_CENTRE_Y: ("The images' edges lie further up", "The images' edges lie further down"),
    OFFSET_X: ("Parts lie further left", "Parts lie further right"),
    OFFSET_Y: ("Parts lie further up", "Parts lie further down"),
    ROTATION: ("Parts are turned further anticlockwise", "Parts are turned further clockwise"),
}
"""by figure of the place, what a lower and a higher one mean"""
BEYOND_LIGHT_AND_FOCUS = 6.0
"""ratio of the features' shift to those of light, focus and place from which these no longer explain it"""


@dataclass(frozen=True)
class Cause:
    """A probable cause."""

    name: str
    """one of this module's names"""
    evidence: float
    """ratio of its figure to the limit, at least 1; the strongest cause comes first"""
    figure: str
    """name of the figure behind it"""
    value: float
    """of the figure: a shift in robust standard deviations, or an alarm rate"""
    limit: float
    """that the value passed, in the same unit"""
    sentence: str
    """for the operator"""


def causes(
    shifts: Sequence[Shift], recent: AlarmRate, defects_rose: bool, golden: GoldenReplay | None
) -> tuple[Cause, ...]:
    """List the probable causes, strongest evidence first; a changed golden score precedes all.

    shifts: of the score and the image statistics since the change. recent: the alarm rate since then. defects_rose:
    whether it is above the expected range while parts without an alarm score as before. A blur lowers contrast too,
    so when sharpness moved only brightness stands for light. Light and blur shift the edges' centre slightly, and
    features follow all three, so position and wear are named only when they moved (far) more.
    """
    moved = {s.name: s for s in shifts if s.moved}
    of_light = (BRIGHTNESS,) if SHARPNESS in moved else (BRIGHTNESS, CONTRAST)
    candidates = [
        _of_shift(LIGHT_OR_CAMERA, _largest(moved, of_light)),
        _of_shift(FOCUS_OR_CAMERA, moved.get(SHARPNESS)),
    ]
    place = _largest(moved, tuple(_PLACES))
    picture = _size(_largest(moved, (BRIGHTNESS, CONTRAST, SHARPNESS)))
    if _size(place) > picture:
        candidates.append(_of_shift(POSITION_OR_FIXTURE, place))
    distance = moved.get(FEATURE_DISTANCE)
    if distance and distance.shift > BEYOND_LIGHT_AND_FOCUS * max(_size(place), picture):
        candidates.append(_of_shift(WEAR_OR_PROCESS, distance))
    if defects_rose:
        candidates.append(_more_defects(recent))
    ordered = sorted((c for c in candidates if c), key=lambda c: -c.evidence)
    if golden and golden.changed:
        return (_model_or_software(golden), *ordered)
    if not ordered and SCORE in moved:
        return (_unexplained(moved[SCORE]),)
    return tuple(ordered)


def _largest(moved: Mapping[str, Shift], names: Sequence[str]) -> Shift | None:
    return max((moved[n] for n in names if n in moved), key=lambda s: abs(s.shift), default=None)


def _size(shift: Shift | None) -> float:
    return abs(shift.shift) if shift else 0.0


def _of_shift(name: str, shift: Shift | None) -> Cause | None:
    if shift is None:
        return None
    way = "higher" if shift.shift > 0 else "lower"
    place = _PLACES.get(shift.name, ("", ""))[shift.shift > 0]
    size = f"by {abs(shift.shift):.1f} standard deviations ({shift.low:+.1f} to {shift.high:+.1f})"
    sentence = {
        LIGHT_OR_CAMERA: f"The images' {shift.name} is {way} than at calibration, {size}: check lamps, exposure "
        "and stray light.",
        FOCUS_OR_CAMERA: f"The images' sharpness is {way} than at calibration, {size}: check the focus, clean the "
        "lens, look for vibration.",
        POSITION_OR_FIXTURE: f"{place} than at calibration, {size}, more than light "
        "and focus have changed: check the fixture, its stops and the camera's mount.",
        WEAR_OR_PROCESS: f"Parts without alarm look unlike those at calibration, {size}, in steady light, focus and "
        "place: check tooling and material.",
    }[name]
    evidence = abs(shift.shift) / shift.limit if shift.limit else abs(shift.shift)
    return Cause(name, evidence, shift.name, shift.shift, shift.limit, sentence)


def _more_defects(recent: AlarmRate) -> Cause:
    limit = recent.in_control_high / recent.images
    return Cause(
        MORE_DEFECTS,
        max(recent.alarms / max(recent.in_control_high, 1), 1.0),
        "alarm rate",
        recent.rate,
        limit,
        f"{recent.alarms} of {recent.images} images raised an alarm ({recent.rate:.1%}) since {recent.first_day}, "
        "while the others score as before: look at the newest alarms for a common fault.",
    )


def _model_or_software(golden: GoldenReplay) -> Cause:
    return Cause(
        MODEL_OR_SOFTWARE,
        max(golden.largest_change / golden.tolerance if golden.tolerance else golden.largest_change, 1.0),
        "golden scores",
        golden.largest_change,
        golden.tolerance,
        f"{golden.changed} of {golden.images} golden images no longer get the score they had, though the files are "
        "the same: model, software or computer has changed.",
    )


def _unexplained(score: Shift) -> Cause:
    return Cause(
        UNEXPLAINED,
        abs(score.shift) / score.limit if score.limit else abs(score.shift),
        SCORE,
        score.shift,
        score.limit,
        f"Scores have moved by {score.shift:+.1f} standard deviations, and no measured property of the pictures "
        "with them: look at some images by eye.",
    )
