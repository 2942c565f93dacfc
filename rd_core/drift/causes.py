"""What may lie behind a drift, told from the images' own statistics."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rd_core.drift.alarm_rate import AlarmRate
from rd_core.drift.golden import GoldenReplay
from rd_core.drift.shift import Shift

SCORE = "score"
BRIGHTNESS, CONTRAST, SHARPNESS = "brightness", "contrast", "sharpness"
EDGE_CENTRE_X, EDGE_CENTRE_Y = "edge_centre_x", "edge_centre_y"
FEATURE_DISTANCE = "feature_distance"
STATISTICS = (BRIGHTNESS, CONTRAST, SHARPNESS, EDGE_CENTRE_X, EDGE_CENTRE_Y, FEATURE_DISTANCE)
"""columns of the score rows: those of `ImageStatistics` in its order, then the features'"""

MODEL_OR_SOFTWARE = "model or software"
LIGHT_OR_CAMERA = "light or camera"
FOCUS_OR_CAMERA = "focus or camera"
POSITION_OR_FIXTURE = "position or fixture"
WEAR_OR_PROCESS = "wear or process"
MORE_DEFECTS = "more defects"
UNEXPLAINED = "not seen in the images"

IN_THE_IMAGES = (LIGHT_OR_CAMERA, FOCUS_OR_CAMERA, POSITION_OR_FIXTURE, WEAR_OR_PROCESS)
BEYOND_LIGHT_AND_FOCUS = 6.0
"""times that the features move as far as light, focus and place before these no longer explain it: on drawn parts a
dimmed lamp gave 0.5, a blur 3.5"""


@dataclass(frozen=True)
class Cause:
    """One possible cause."""

    name: str
    """one of this module's names"""
    evidence: float
    """how many times its figure is beyond what matters; at least 1, the strongest comes first"""
    figure: str
    """the figure behind it"""
    value: float
    """of the figure: a shift in robust standard deviations, or an alarm rate"""
    limit: float
    """that it passed, in the same unit"""
    sentence: str
    """for the operator"""


def causes(
    shifts: Sequence[Shift], recent: AlarmRate, defects_rose: bool, golden: GoldenReplay | None
) -> tuple[Cause, ...]:
    """All that the figures speak for, by evidence.

    shifts: of the score and the image statistics since the change. recent: the alarm rate since then;
    defects_rose: whether it is above what is in control while parts without one score as ever. A changed golden score
    comes first, whatever else moved: it makes every other score doubtful. A blur takes contrast too, so with the
    sharpness moved only brightness tells of light. A lamp that moves draws the edges' centre along a little (on
    drawn parts by a fourteenth of what the light moves, a blur by a sixth), a part that moves takes it further than
    anything else: only then is its place named. Features follow all three, so wear is named only if they are steady
    or move far less.
    """
    moved = {s.name: s for s in shifts if s.moved}
    of_light = (BRIGHTNESS,) if SHARPNESS in moved else (BRIGHTNESS, CONTRAST)
    found = [
        _of_shift(LIGHT_OR_CAMERA, _largest(moved, of_light)),
        _of_shift(FOCUS_OR_CAMERA, moved.get(SHARPNESS)),
    ]
    place = _largest(moved, (EDGE_CENTRE_X, EDGE_CENTRE_Y))
    picture = _size(_largest(moved, (BRIGHTNESS, CONTRAST, SHARPNESS)))
    if _size(place) > picture:
        found.append(_of_shift(POSITION_OR_FIXTURE, place))
    distance = moved.get(FEATURE_DISTANCE)
    if distance and distance.shift > BEYOND_LIGHT_AND_FOCUS * max(_size(place), picture):
        found.append(_of_shift(WEAR_OR_PROCESS, distance))
    if defects_rose:
        found.append(_more_defects(recent))
    ordered = sorted((c for c in found if c), key=lambda c: -c.evidence)
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
    side = {EDGE_CENTRE_X: ("left", "right"), EDGE_CENTRE_Y: ("up", "down")}.get(shift.name, ("", ""))[
        shift.shift > 0
    ]
    size = f"by {abs(shift.shift):.1f} standard deviations ({shift.low:+.1f} to {shift.high:+.1f})"
    sentence = {
        LIGHT_OR_CAMERA: f"The pictures' {shift.name} is {way} than at calibration, {size}: check lamps, exposure "
        "and stray light.",
        FOCUS_OR_CAMERA: f"The pictures' sharpness is {way} than at calibration, {size}: check the focus, clean the "
        "lens, look for vibration.",
        POSITION_OR_FIXTURE: f"The pictures' edges lie further {side} than at calibration, {size}, more than light "
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
        "while those without one score as ever: look at the newest alarms for a common fault.",
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
