"""What the figures of a run mean and what to do next, in sentences for the HTML and the Markdown report."""

import math

import numpy as np

from reports.number_format import count, counted, percent
from reports.run.outcome import CategoryRun, RunReport

_ENOUGH_IMAGES = 20
"""fewest scored images for which a shift of the whole distribution is reported"""
_SHIFTED_SHARE = 0.85
"""share of scores above the median of held-out normals from which defects alone do not explain the night"""


def outcome_in_words(report: RunReport) -> str:
    """What the run's outcome means."""
    lost = sum(run.unreadable + run.rejected for run in report.categories)
    silent = ", ".join(run.category for run in report.categories if run.state == "silent camera")
    return {
        "completed": "Every image was read and scored. Every category is complete.",
        "completed with rejects": (
            f"Every readable image was scored. {counted(lost, 'file')} could not be read; the errors are listed "
            "below. Nobody has judged those parts."
        ),
        "cameras silent": (
            f"No image of {silent}, although a model is in force. Check the cameras and the transfer of their "
            "images. All other categories were scored and are complete."
        ),
        "failed": (
            "At least one category was not finished. Do not use a category that is not complete. Follow the advice "
            "below and start the same run again; finished batches are kept."
        ),
        "nothing to do": "No new images: there are none for this day, or every category was already complete.",
    }.get(report.outcome, report.outcome)


def next_steps(run: CategoryRun) -> list[str]:
    """What to check or do about this category, most urgent first; empty if nothing."""
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
        return "This category failed. Read the run's log, remove the cause and start the same run again."
    if run.state == "no champion":
        return f"No model is in force. Train one: rd-inspect train --category {run.category}"
    return None


def _alarms(run: CategoryRun) -> str | None:
    if not run.ok or run.alpha is None:
        return None
    expected = run.alpha * run.ok
    chance = f"good parts alone would give about {expected:.1f} ({percent(run.alpha)} promised)"
    if run.anomalous > expected + 3 * math.sqrt(expected) + 1:
        return (
            f"{counted(run.anomalous, 'alarm')}; {chance}. Look at the highest scores below: they are real defects, "
            "or light, camera or material have changed."
        )
    if run.anomalous:
        return f"{counted(run.anomalous, 'alarm')}; {chance}. Look at each before you take parts out."
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
        f"{percent(above)} of the images score above the median of the held-out good images (about 50\u202f% is "
        "usual): the whole night has shifted, not single parts. Compare light and camera with the days before. If "
        "the change is permanent, label good images of this day and train again."
    )


def _rejects(run: CategoryRun) -> str | None:
    lost = run.unreadable + run.rejected
    if not lost:
        return None
    return (
        f"{counted(lost, 'file')} without a score. Read the errors below to see whether camera or transfer is at "
        "fault, replace the files with whole ones and inspect the day again."
    )


def _tail(run: CategoryRun) -> str | None:
    promise = run.promise
    if promise is None or not promise.extrapolated:
        return None
    return (
        f"The threshold is extrapolated: {counted(promise.n, 'held-out score')} cannot show a false-alarm rate of "
        f"{percent(promise.alpha)}; at least {count(promise.needed)} are needed. Label more good images and "
        "recalibrate or train again, or promise a higher false-alarm rate (setting alpha)."
    )


def _blank(run: CategoryRun) -> str | None:
    """Blank images are scored like any other and need not be above the threshold."""
    return blank_in_words(run.blank, run.ok) if run.blank else None


def blank_in_words(blank: int, scored: int) -> str:
    """Advice about a category with `blank` images among its `scored` ones."""
    return (
        f"{count(blank)} of {counted(scored, 'image')} are blank: one value throughout, such as black. Nobody has "
        "seen those parts. Check lamp, lens cap, camera and transfer, then inspect the day again."
    )


def _duplicates(run: CategoryRun) -> str | None:
    if not run.duplicates:
        return None
    return (
        f"{counted(run.duplicates, 'image')} with the same bytes as another image of the day. Each was scored and "
        "counted. Check whether the camera stood still or a file was copied."
    )
