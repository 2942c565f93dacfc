"""What each figure of an evaluation is called, what it means and what to do about it: one place for every form."""

from dataclasses import dataclass

from reports.evaluation.measures import EvaluatedCategory, Measure
from reports.number_format import counted, percent


@dataclass(frozen=True)
class Words:
    """One figure in words."""

    title: str
    meaning: str
    action: str
    is_share: bool = False
    """written in per cent; others are written as 0.987"""


WORDS = {
    "image_auroc": Words(
        "Image AUROC",
        "Chance that an anomalous image scores above a normal one; 0.5 is guessing. No threshold is involved.",
        "Low: the model does not see these defects; look at the misses, train on more normals. High with a low "
        "recall: the threshold is at fault, not the model.",
    ),
    "image_average_precision": Words(
        "Image AP",
        "Mean precision over all thresholds. Chance reaches the share of anomalous images, so compare only on the "
        "same images.",
        "Low with a high AUROC: a few normal images score above most defects; look at the false alarms.",
    ),
    "image_f1_max": Words(
        "Best F1 (oracle)",
        "F1 at the best threshold, chosen with these labels: no threshold set beforehand can beat it.",
        "For comparison with papers only. Never promise it.",
    ),
    "recall": Words(
        "Recall",
        "Share of the anomalous images that were flagged at the threshold in force.",
        "Low: look at the misses. If the AUROC is high, promise more false alarms (the setting alpha) and train; "
        "else train on more normals.",
        is_share=True,
    ),
    "false_alarm_rate": Words(
        "False-alarm rate",
        "Share of the normal images that were flagged at the threshold in force.",
        "Above the promised rate with its whole interval: the line has changed; label good images of these days and "
        "train again.",
        is_share=True,
    ),
    "precision": Words(
        "Precision",
        "Share of the alarms that are real defects, with as many anomalous images as are labelled here.",
        "On the line defects are rarer, so fewer alarms will be real. Use it to plan who looks at alarms.",
        is_share=True,
    ),
    "pixel_auroc": Words(
        "Pixel AUROC",
        "Chance that a defect pixel has a higher map value than a defect-free one. Large defects rule it.",
        "Near 1 for poor maps too: read AUPRO beside it.",
    ),
    "pixel_average_precision": Words(
        "Pixel AP",
        "Mean precision of pixels over all thresholds. Chance reaches the share of defect pixels.",
        "Low with a high AUROC: maps light up beside the defects; look at the overlays.",
    ),
    "aupro_30": Words(
        "AUPRO, FPR up to 0.3",
        "Mean share of a defect that its map covers, over pixel false-positive rates up to 30 %. Every defect weighs "
        "the same, whatever its size.",
        "Low: maps miss the defects' place. Train at a larger image size, or with more normals.",
    ),
    "aupro_05": Words(
        "AUPRO, FPR up to 0.05",
        "The same up to 5 %: stricter, since a map with 30 % false pixels is of no use to anybody.",
        "Low with a high AUPRO at 0.3: defects are found, but amid noise; small defects suffer first.",
    ),
    "aupimo": Words(
        "AUPIMO, mean",
        "Share of an image's defect found at pixel false-positive rates so low (1e-5 to 1e-4) that normal images "
        "look clean.",
        "0 is common for hard defects. Compare models image by image, not means alone.",
    ),
    "aupimo_median": Words(
        "AUPIMO, median",
        "Half of the masked images reach at least this.",
        "Far from the mean: some defects are found cleanly and others not at all; see recall by kind.",
    ),
    "defect_recall": Words(
        "Defects found",
        "Share of single defects, of which at least 30 % of the pixels lie above the threshold in force.",
        "Below the image recall: an image is flagged for one of its defects, or only for the core of it.",
        is_share=True,
    ),
}
GLANCE = ("image_auroc", "recall", "false_alarm_rate", "aupro_30", "aupro_05")
"""figures of the plant's table"""
DASH = "–"
_FEW = 30
"""images of a kind below which an interval is wider than most decisions allow"""


def in_digits(measure: Measure) -> str:
    """The value as people read it, or a dash."""
    return _number(measure.value, WORDS[measure.name].is_share)


def interval_in_digits(measure: Measure) -> str | None:
    """Such as '0.912 to 0.987'; None without an interval."""
    if measure.low is None or measure.high is None:
        return None
    share = WORDS[measure.name].is_share
    return f"{_number(measure.low, share)} to {_number(measure.high, share)}"


def _number(value: float | None, is_share: bool) -> str:
    if value is None:
        return DASH
    return percent(value) if is_share else f"{value:.3f}"


def next_steps(evaluated: EvaluatedCategory) -> list[str]:
    """What somebody should do about this category, the most urgent first; empty if nothing stands out."""
    steps = [
        _problems(evaluated),
        _alarms(evaluated),
        _recall(evaluated),
        _blind(evaluated),
        _few(evaluated),
        _masks(evaluated),
        _trained(evaluated),
        *evaluated.notes,
    ]
    return [step for step in steps if step]


def _problems(evaluated: EvaluatedCategory) -> str | None:
    left_out = evaluated.counts.left_out + evaluated.counts.unreadable
    if not left_out:
        return None
    return (
        f"{counted(left_out, 'labelled image')} could not be counted whole: see the problems below and their cures."
    )


def _alarms(evaluated: EvaluatedCategory) -> str | None:
    rate = evaluated.measure("false_alarm_rate")
    if evaluated.alpha is None or rate.value is None or rate.low is None or rate.low <= evaluated.alpha:
        return None
    return (
        f"More false alarms than promised: {percent(rate.value)} of {counted(rate.n, 'normal image')} "
        f"({interval_in_digits(rate)}), set for {percent(evaluated.alpha)}. Light, camera or material have changed. "
        "Look at the false alarms; if they are good parts, label them for training and train again."
    )


def _recall(evaluated: EvaluatedCategory) -> str | None:
    recall, auroc = evaluated.measure("recall"), evaluated.measure("image_auroc")
    if recall.value is None or recall.value >= 0.9 or auroc.value is None:
        return None
    missed = recall.n - round(recall.value * recall.n)
    start = f"{counted(missed, 'anomalous image')} of {recall.n} passed unseen."
    if auroc.value >= 0.95:
        return f"{start} The ranking is good, so more promised false alarms (the setting alpha) would find more."
    return f"{start} The ranking is weak too: another threshold will not do; look at the misses and train again."


def _blind(evaluated: EvaluatedCategory) -> str | None:
    kinds = [row.name for row in evaluated.by_kind if row.total and not row.hits]
    if not kinds:
        return None
    return f"Not one image was found of: {', '.join(kinds)}. Nobody should rely on the model for these."


def _few(evaluated: EvaluatedCategory) -> str | None:
    few = {"normal": evaluated.counts.normal, "anomalous": evaluated.counts.anomalous}
    words = [f"{n} {label}" for label, n in few.items() if n < _FEW]
    if not words:
        return None
    return (
        f"Only {' and '.join(words)} labelled: read the intervals, not the values. Label more images for evaluation, "
        "or evaluate more days together."
    )


def _masks(evaluated: EvaluatedCategory) -> str | None:
    if not evaluated.counts.unmasked:
        return None
    return (
        f"{counted(evaluated.counts.unmasked, 'anomalous image')} without a mask: in no figure of pixels, since a "
        "missing mask is no mask of zeros. Draw masks for these, or read the pixel figures as of the others alone."
    )


def _trained(evaluated: EvaluatedCategory) -> str | None:
    if not evaluated.counts.trained_on:
        return None
    return (
        f"{counted(evaluated.counts.trained_on, 'image')} labelled for evaluation trained this very model, and would "
        "flatter it: left out of every figure."
    )
