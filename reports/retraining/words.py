"""Titles, meanings and next steps of a retraining report."""

from reports import number_format
from reports.retraining.decision import (
    CHAMPION_STAYS,
    LEFT,
    OVERTAKEN,
    PROMOTED,
    SET_ASIDE,
    GateCheck,
    RetrainingReport,
)

_RATES = ("false alarms", "promised rate", "golden images")
"""checks of the candidate's own rate of false alarms, whose bounds they give"""
_SHARES = ("recall", "defect kinds", *_RATES)
"""checks of shares of images, written in per cent"""
TONES = {PROMOTED: "good", CHAMPION_STAYS: "plain", OVERTAKEN: "warn", LEFT: "plain"}

CHECKS = {
    "AUROC": (
        "Image AUROC",
        "How well scores separate defects from good parts, at any threshold. The lower bound of the difference must "
        "not fall below the margin.",
    ),
    "AUPRO": (
        "AUPRO",
        "How well maps cover the labelled defects and nothing else. The lower bound must not fall below the margin.",
    ),
    "recall": (
        "Recall",
        "Share of anomalous images above the threshold, each model at its own. The lower bound must not fall below "
        "the margin.",
    ),
    "false alarms": (
        "False alarms",
        "Share of good images above the threshold. The candidate's must not exceed its promised rate beyond chance.",
    ),
    "promised rate": (
        "Promised rate",
        "The same share, to be shown: its upper bound must not exceed the limit, a multiple of the promised rate.",
    ),
    "defect kinds": (
        "Worst kind of defect",
        "The kind whose recall falls most, as measured: single kinds have too few images for bounds.",
    ),
    "seconds an image": (
        "Time an image",
        "Both models timed in turns on one machine. The ratio must stay below the limit unless the methods differ.",
    ),
    "size of the weights": ("Weights", "The ratio must stay below the limit unless the methods differ."),
    "golden images": (
        "Golden images",
        "False alarms on images known to be good. They must not exceed the promised rate beyond chance.",
    ),
}
"""by the gate's name: title, and what it checks"""
STATES = {
    "quarantined": (
        "Quarantined",
        "Labelled normal, but the champion's score is above its threshold and far above the other new normals of the "
        "day. Look at them and correct wrong labels. If one is normal, label more of its kind, so that it no longer "
        "stands out.",
    ),
    SET_ASIDE: (
        "Set aside",
        "A model that had not seen their parts scores them far above the other normal images, so neither the "
        "candidate nor its threshold rests on them. Look at them and correct wrong labels.",
    ),
    "contradiction": (
        "People disagree",
        "The latest labels of different people differ. One of them should look again.",
    ),
    "near-duplicate": (
        "Near-duplicates",
        "They show the same as another image that is already used or that judges models. Nothing to do.",
    ),
    "unreadable": ("Unreadable", "The file is missing or does not decode. Restore it, or remove its label."),
    "too old": (
        "Too old",
        "Older than allowed. Nothing to do; raise most_age_days if they are still typical.",
    ),
    "enough of its part": ("Enough of their part", "One part must not dominate a model. Nothing to do."),
    "enough of its day": ("Enough of their day", "One day must not dominate a model. Nothing to do."),
    "label changed": (
        "Label changed",
        "The champion was trained with them, but they are no longer labelled normal for training. Nothing to do.",
    ),
    "enough old ones": ("Enough old normals", "Old normals beyond the number to use again. Nothing to do."),
}
"""by the name in tasks.retraining.considered_normals: title and meaning"""


def title_of(check: GateCheck) -> str:
    return CHECKS.get(check.name, (check.name, ""))[0]


def meaning_of(check: GateCheck) -> str:
    return CHECKS.get(check.name, ("", ""))[1]


def verdict_of(check: GateCheck) -> tuple[str, str]:
    """(word, tone)"""
    if check.passed is None and check.name == "promised rate":
        return "cannot be shown", "warn"
    if check.passed is None:
        return "not known" if check.candidate is None else "for information", "plain"
    if not check.passed:
        return "failed", "bad"
    return ("better", "good") if check.gained else ("passed", "good")


def figure(check: GateCheck, value: float | None) -> str:
    """One of the check's numbers in its unit."""
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
    """The difference, or the ratio of times and sizes."""
    if check.difference is None:
        return "none"
    if check.name in ("seconds an image", "size of the weights"):
        ratio = check.candidate / check.champion if check.candidate is not None and check.champion else None
        return "none" if ratio is None else f"×{ratio:.2f}"
    return _signed(check, check.difference)


def bounds(check: GateCheck) -> str | None:
    """Bounds of the difference, or of the candidate's rate."""
    if check.low is None or check.high is None:
        return None
    if check.name in _RATES:
        return f"candidate {figure(check, check.low)} to {figure(check, check.high)}"
    return f"{_signed(check, check.low)} to {_signed(check, check.high)}"


def margin(check: GateCheck) -> str:
    """The limit in words."""
    if check.name == "promised rate":
        return f"up to {number_format.percent(check.margin)}"
    if check.name in _RATES:
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
        OVERTAKEN: f"{made} passed, but is not in force: another model was promoted meanwhile.",
        LEFT: f"{report.champion} stays in force; no candidate was made.",
    }[report.outcome]


def steps(report: RetrainingReport) -> list[str]:
    """What to do next, most urgent first."""
    counts = {group.state: group.count for group in report.groups}
    sentences = {
        PROMOTED: [
            "Nothing to do. From its first night on, drift is measured against this version's held-out good images.",
            f"To go back: rd-inspect rollback --category {report.category}",
        ],
        CHAMPION_STAYS: _how_to_prove(report),
        OVERTAKEN: [
            "The candidate was compared with a model that is no longer in force. Retrain to compare with the present "
            f"champion: rd-inspect retrain --category {report.category}"
        ],
        LEFT: ["Label more good images of the last days as normal for training, and retrain."],
    }[report.outcome]
    if counts.get("quarantined"):
        noun = number_format.counted(counts["quarantined"], "quarantined image")
        sentences.append(f"Look at the {noun} below and correct wrong labels.")
    if counts.get("contradiction"):
        images = number_format.counted(counts["contradiction"], "image")
        sentences.append(f"Settle the labels of {images} that people disagree on.")
    return sentences


def _how_to_show(check: GateCheck, report: RetrainingReport) -> str:
    version = report.candidate.version if report.candidate else "V"
    return (
        f"Promised rate {check.words}. Label more good images of the last days with the purpose evaluation, and "
        "retrain. Or look at the images, and if you trust the candidate, promote it by name, which keeps this "
        f"sentence: rd-inspect promote --category {report.category} --version {version}"
    )


def _how_to_prove(report: RetrainingReport) -> list[str]:
    checks = report.judgement.checks if report.judgement else ()
    ways = []
    unknown = {check.name: check for check in checks if check.passed is None}
    if {"AUROC", "recall", "false alarms"} & set(unknown):
        ways.append(
            "Too few images judge the candidate. Label more good parts and defects of the last days with the purpose "
            "evaluation, and retrain."
        )
    failed = [title_of(check) for check in checks if check.passed is False]
    if not failed and "promised rate" in unknown:
        ways.append(_how_to_show(unknown["promised rate"], report))
    if failed:
        ways.append(
            f"Failed: {', '.join(failed)}. {report.candidate.version if report.candidate else 'The candidate'} is "
            "kept for inspection; do not promote it by hand."
        )
    return ways or ["Nothing to do: training on these new normals gives no better model than the champion."]
