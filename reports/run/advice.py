"""What the figures of a run mean, and what to do next: one sentence each, used by every form of the report."""

import math

import numpy as np

from reports.number_format import count, counted, percent
from reports.run.outcome import CategoryRun, RunReport

_ENOUGH_IMAGES = 20
"""below this a shift of the whole distribution is not worth a word"""
_SHIFTED_SHARE = 0.85
"""share of the night's scores above the median normal from which more than defects must be at work"""


def outcome_in_words(report: RunReport) -> str:
    """What the run's outcome means."""
    lost = sum(run.unreadable + run.rejected for run in report.categories)
    silent = ", ".join(run.category for run in report.categories if run.state == "silent camera")
    return {
        "completed": "Every image was read and scored, and every category is complete.",
        "completed with rejects": (
            f"Every readable image was scored. {counted(lost, 'file')} could not be: they are listed below with "
            "their error, and nobody has judged those parts."
        ),
        "cameras silent": (
            f"Nothing came of {silent}, though their models are in force: look at the cameras and at what copies "
            "their images. What came was scored and is complete."
        ),
        "failed": (
            "At least one category was not finished, and what is not complete must not be used. Follow the advice "
            "below and start the same run again: finished batches are kept."
        ),
        "nothing to do": "There were no new images: none for this day, or everything was complete before.",
    }.get(report.outcome, report.outcome)


def next_steps(run: CategoryRun) -> list[str]:
    """What somebody should look at or do about this category, the most urgent first; empty if nothing."""
    steps = [
        _state(run),
        run.message,
        _blank(run),
        _shift(run),
        _alarms(run),
        _rejects(run),
        _tail(run),
        _duplicates(run),
    ]
    return list(dict.fromkeys(step for step in steps if step))


def _state(run: CategoryRun) -> str | None:
    if run.message:
        return None
    if run.state == "failed":
        return "This category failed. Read the run's log, mend the cause and start the same run again."
    if run.state == "no champion":
        return f"There is no model in force. Train one: rd-inspect train --category {run.category}"
    return None


def _alarms(run: CategoryRun) -> str | None:
    if not run.ok or run.alpha is None:
        return None
    expected = run.alpha * run.ok
    chance = f"about {expected:.1f} would be expected by chance from good parts, with {percent(run.alpha)} promised"
    if run.anomalous > expected + 3 * math.sqrt(expected) + 1:
        return (
            f"{counted(run.anomalous, 'alarm')}; {chance}. Look at the images with the highest scores below: real "
            "defects, or something new about the light, the camera or the material."
        )
    if run.anomalous:
        return f"{counted(run.anomalous, 'alarm')}; {chance}. Look at each before parts are taken out."
    return None


def _shift(run: CategoryRun) -> str | None:
    scores = np.asarray(run.scores, np.float64)
    calibration = np.asarray(run.calibration_scores, np.float64)
    if len(scores) < _ENOUGH_IMAGES or not len(calibration):
        return None
    above = float((scores > np.median(calibration)).mean())
    if above < _SHIFTED_SHARE:
        return None
    return (
        f"{percent(above)} of the images score above the median of held-out good images (half would be usual), so "
        "the whole night has moved, not single parts. Compare light and camera with the days before; if the change "
        "is to stay, label good images of it and train again."
    )


def _rejects(run: CategoryRun) -> str | None:
    lost = run.unreadable + run.rejected
    if not lost:
        return None
    return (
        f"{counted(lost, 'file')} without a score: find out from the errors below whether the camera or the transfer "
        "is at fault, put whole files in their place and inspect the day again."
    )


def _tail(run: CategoryRun) -> str | None:
    if not run.threshold_extrapolated or not run.alpha:
        return None
    needed = math.ceil(1 / run.alpha - 1 - 1e-9)
    return (
        f"The threshold is extrapolated: {counted(len(run.calibration_scores), 'held-out good image')} cannot show a "
        f"false-alarm rate of {percent(run.alpha)} directly. At least {count(needed)} are needed; label more good "
        "images and train again, or promise more false alarms (the setting alpha)."
    )


def _blank(run: CategoryRun) -> str | None:
    """They were scored like any other, and need not be above the threshold."""
    return blank_in_words(run.blank, run.ok) if run.blank else None


def blank_in_words(blank: int, scored: int) -> str:
    """Of a category some of whose images show nothing."""
    return (
        f"{count(blank)} of {counted(scored, 'image')} show nothing but one value, such as black, so nobody has seen "
        "those parts: look at lamp, lens cap, camera and transfer, and inspect the day again."
    )


def _duplicates(run: CategoryRun) -> str | None:
    if not run.duplicates:
        return None
    return (
        f"{counted(run.duplicates, 'image')} with the same bytes as another one of the night. Each was scored; if "
        "the camera stood still or a file was copied, the counts above count it twice."
    )
