"""What a retraining report says: titles, meanings, and what to do next."""

from reports import number_format
from reports.retraining.decision import CHAMPION_STAYS, LEFT, OVERTAKEN, PROMOTED, GateCheck, RetrainingReport

_SHARES = ("recall", "false alarms", "defect kinds", "golden images")
"""checks of shares of images, told in per cent"""
TONES = {PROMOTED: "good", CHAMPION_STAYS: "plain", OVERTAKEN: "warn", LEFT: "plain"}

CHECKS = {
    "AUROC": (
        "Image AUROC",
        "How well scores set defective images apart from good ones, whatever the threshold. The lower bound of the "
        "difference must not fall below the margin.",
    ),
    "AUPRO": (
        "AUPRO",
        "How well maps cover drawn defects while sound pixels stay dark. The lower bound must not fall below the "
        "margin.",
    ),
    "recall": (
        "Recall",
        "Share of defective images that alarm, each model at its own threshold. The lower bound must not fall below "
        "the margin.",
    ),
    "false alarms": (
        "False alarms",
        "Share of good images that alarm. The candidate's must not be above what its threshold promises, beyond "
        "chance.",
    ),
    "defect kinds": (
        "Worst kind of defect",
        "The kind whose recall falls most. As measured, for single kinds have too few images to be sure of.",
    ),
    "seconds an image": (
        "Time an image",
        "Both timed in turns on one machine; the ratio must stay below the limit, unless the methods differ.",
    ),
    "size of the weights": ("Weights", "The ratio must stay below the limit, unless the methods differ."),
    "golden images": (
        "Golden images",
        "False alarms on images that are known to be good; not above what the threshold promises beyond chance.",
    ),
}
"""by the gate's name: title, and what is asked"""
STATES = {
    "quarantined": (
        "Quarantined",
        "Labelled normal, but the champion's score is above its threshold and far above what other new normals of "
        "the day have. Look at them: wrong labels are to be corrected; if one is normal after all, have others of "
        "its sort labelled too, so that it stands out no more.",
    ),
    "contradiction": ("People disagree", "Different people's latest words differ. One of them should look again."),
    "near-duplicate": (
        "Near-duplicates",
        "They show the same as another image that is used already or that judges models. Nothing to do.",
    ),
    "unreadable": ("Unreadable", "The file is gone or does not decode. Restore it, or remove its label."),
    "too old": (
        "Too old",
        "Taken longer ago than is allowed. Nothing to do; raise most_age_days if they still hold.",
    ),
    "enough of its part": ("Enough of their part", "One part must not teach most of a model. Nothing to do."),
    "enough of its day": ("Enough of their day", "One day must not teach most of a model. Nothing to do."),
    "label changed": (
        "Label changed",
        "The champion was made with them, but their label does not allow it any more: they are not used again. "
        "Nothing to do.",
    ),
    "enough old ones": ("Enough old ones", "Old normals beyond the number that is used again. Nothing to do."),
}
"""by tasks.retraining.considered_normals' name: title, and what it means"""


def title_of(check: GateCheck) -> str:
    return CHECKS.get(check.name, (check.name, ""))[0]


def meaning_of(check: GateCheck) -> str:
    return CHECKS.get(check.name, ("", ""))[1]


def verdict_of(check: GateCheck) -> tuple[str, str]:
    """(word, tone)"""
    if check.passed is None:
        return "cannot be told" if check.candidate is None else "for information", "plain"
    if not check.passed:
        return "failed", "bad"
    return ("better", "good") if check.gained else ("passed", "good")


def figure(check: GateCheck, value: float | None) -> str:
    """One of its numbers, in the unit that people read it in."""
    if value is None:
        return "none"
    if check.name in _SHARES:
        return number_format.percent(value)
    if check.name == "seconds an image":
        return f"{1000 * value:.1f} ms"
    if check.name == "size of the weights":
        return f"{value / 1e6:.1f} MB"
    return f"{value:.3f}"


def difference(check: GateCheck) -> str:
    """With its bounds, or of the candidate's rate where the bounds are of that."""
    if check.difference is None:
        return "none"
    if check.name in ("seconds an image", "size of the weights"):
        ratio = check.candidate / check.champion if check.candidate is not None and check.champion else None
        return "none" if ratio is None else f"×{ratio:.2f}"
    return _signed(check, check.difference)


def bounds(check: GateCheck) -> str | None:
    """Of the difference, or of the candidate's rate."""
    if check.low is None or check.high is None:
        return None
    if check.name in ("false alarms", "golden images"):
        return f"candidate {figure(check, check.low)} to {figure(check, check.high)}"
    return f"{_signed(check, check.low)} to {_signed(check, check.high)}"


def margin(check: GateCheck) -> str:
    """What was allowed."""
    if check.name in ("false alarms", "golden images"):
        return f"{number_format.percent(check.margin)} promised"
    if check.name in ("seconds an image", "size of the weights"):
        return "no limit" if check.passed is None else f"up to ×{check.margin:.2f}"
    return f"loss up to {_points(check, check.margin)}"


def _signed(check: GateCheck, value: float) -> str:
    size = _points(check, abs(value))
    if not any(digit in size for digit in "123456789"):
        return f"±{size}"
    return f"{'+' if value > 0 else '−'}{size}"


def _points(check: GateCheck, value: float) -> str:
    """A difference of shares is in percentage points, not in per cent."""
    return f"{100 * value:.1f} points" if check.name in _SHARES else f"{value:.3f}"


def headline(report: RetrainingReport) -> str:
    """The decision in a sentence."""
    made = report.candidate.version if report.candidate else ""
    return {
        PROMOTED: f"{made} is in force, in place of {report.champion}.",
        CHAMPION_STAYS: f"{report.champion} stays in force.",
        OVERTAKEN: f"{made} passed, but is not in force: another model came into force meanwhile.",
        LEFT: f"{report.champion} stays in force; no candidate was made.",
    }[report.outcome]


def steps(report: RetrainingReport) -> list[str]:
    """What to do next, the most urgent first."""
    counts = {group.state: group.count for group in report.groups}
    told = {
        PROMOTED: [
            "Nothing has to be done. From its first night on drift is told against the good images held out for it.",
            f"To go back: rd-inspect rollback --category {report.category}",
        ],
        CHAMPION_STAYS: _how_to_prove(report),
        OVERTAKEN: [
            "The comparison was with a model that is not in force any more. Retrain again to compare with the one of "
            f"now: rd-inspect retrain --category {report.category}"
        ],
        LEFT: ["Have more good images of the last days labelled normal, to train on, and retrain."],
    }[report.outcome]
    if counts.get("quarantined"):
        noun = number_format.counted(counts["quarantined"], "quarantined image")
        told.append(f"Look at the {noun} below and correct wrong labels.")
    if counts.get("contradiction"):
        told.append(f"Settle {number_format.counted(counts['contradiction'], 'image')} that people disagree on.")
    return told


def _how_to_prove(report: RetrainingReport) -> list[str]:
    checks = report.judgement.checks if report.judgement else ()
    ways = []
    if any(check.passed is None and check.name in ("AUROC", "recall", "false alarms") for check in checks):
        ways.append(
            "Too few images judge: label more for evaluation (purpose evaluation), good and defective ones of the "
            "last days, and retrain."
        )
    failed = [title_of(check) for check in checks if check.passed is False]
    if failed:
        ways.append(
            f"Look at what failed ({', '.join(failed)}); {report.candidate.version if report.candidate else 'it'} is "
            "kept and can be looked into, but should not be promoted by hand."
        )
    return ways or ["Nothing has to be done: the champion is as good as what these new normals teach."]
