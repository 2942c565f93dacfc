"""Title, meaning and advice of each figure of an evaluation, for the HTML and the Markdown report."""

from dataclasses import dataclass

from reports.evaluation.measures import EvaluatedCategory, Measure
from reports.number_format import counted, percent


@dataclass(frozen=True)
class Words:
    """Title, meaning and advice of one figure."""

    title: str
    meaning: str
    action: str
    is_share: bool = False
    """written in per cent; others are written as 0.987"""


WORDS = {
    "image_auroc": Words(
        "Image AUROC",
        "Probability that an anomalous image scores above a normal one; 0.5 is guessing. Needs no threshold.",
        "Low: the model does not see these defects; look at the misses and train on more normal images. High with a "
        "low recall: the threshold is at fault, not the model.",
    ),
    "image_average_precision": Words(
        "Image AP",
        "Mean precision over all thresholds. Guessing reaches the share of anomalous images, so compare it only on "
        "the same images.",
        "Low with a high AUROC: a few normal images score above most anomalous ones; look at the false alarms.",
    ),
    "image_f1_max": Words(
        "Best F1 (oracle)",
        "F1 at the best threshold, chosen with these labels: the upper bound for any threshold.",
        "Only for comparison with papers. Do not promise it.",
    ),
    "recall": Words(
        "Recall",
        "Share of the anomalous images above the threshold in force.",
        "Low: look at the misses. If the AUROC is high, promise a higher false-alarm rate (setting alpha) and "
        "recalibrate; if not, train on more normal images.",
        is_share=True,
    ),
    "false_alarm_rate": Words(
        "False-alarm rate",
        "Share of the normal images above the threshold in force.",
        "Whole interval above the promised rate: the line has changed; label good images of these days and "
        "recalibrate.",
        is_share=True,
    ),
    "precision": Words(
        "Precision",
        "Share of the alarms that are real defects among the images labelled here.",
        "Defects are rarer on the line, so fewer alarms are real there. Use it to plan how many alarms to check.",
        is_share=True,
    ),
    "pixel_auroc": Words(
        "Pixel AUROC",
        "Probability that a defect pixel has a higher map value than a defect-free one. Large defects dominate it.",
        "Near 1 even for poor maps: read AUPRO too.",
    ),
    "pixel_average_precision": Words(
        "Pixel AP",
        "Mean precision of pixels over all thresholds. Guessing reaches the share of defect pixels.",
        "Low with a high AUROC: maps are high beside the defects too; look at the overlays.",
    ),
    "aupro_30": Words(
        "AUPRO, FPR up to 0.3",
        "Mean share of a defect that the map covers, over pixel false-positive rates up to 30 %. Every defect weighs "
        "the same, whatever its size.",
        "Low: maps miss the defects. Train at a larger image size or on more normal images.",
    ),
    "aupro_05": Words(
        "AUPRO, FPR up to 0.05",
        "The same up to 5 %: stricter, because a map with 30 % false pixels is useless.",
        "Low with a high AUPRO at 0.3: defects are found, but with noise around them; small defects suffer first.",
    ),
    "aupimo": Words(
        "AUPIMO, mean",
        "Share of an image's defect found at very low pixel false-positive rates (1e-5 to 1e-4), where normal images "
        "look clean.",
        "0 is common for hard defects. Compare models image by image, not only by means.",
    ),
    "aupimo_median": Words(
        "AUPIMO, median",
        "Half of the images with a mask reach at least this.",
        "Far from the mean: some defects are found, others not at all; see recall by kind.",
    ),
    "defect_recall": Words(
        "Defects found",
        "Share of single defects with at least 30 % of their pixels above the threshold in force.",
        "Below the image recall: some images are flagged for only one of their defects, or for its core.",
        is_share=True,
    ),
}
GLANCE = ("image_auroc", "recall", "false_alarm_rate", "aupro_30", "aupro_05")
"""figures of the table of categories"""
DASH = "–"
_FEW = 30
"""fewest images of a label for intervals that are narrow enough for most decisions"""


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
    """What to do about this category, most urgent first; empty if nothing stands out."""
    steps = [
        _problems(evaluated),
        _alarms(evaluated),
        _recall(evaluated),
        recommended_step(evaluated),
        _blind(evaluated),
        _few(evaluated),
        _masks(evaluated),
        _trained(evaluated),
        _chose(evaluated),
        *evaluated.notes,
    ]
    return [step for step in steps if step]


def _problems(evaluated: EvaluatedCategory) -> str | None:
    left_out = evaluated.counts.left_out + evaluated.counts.unreadable
    if not left_out:
        return None
    return f"{counted(left_out, 'labelled image')} could not be used: the problems below name the cures."


def _alarms(evaluated: EvaluatedCategory) -> str | None:
    rate = evaluated.measure("false_alarm_rate")
    if evaluated.alpha is None or rate.value is None or rate.low is None or rate.low <= evaluated.alpha:
        return None
    return (
        f"More false alarms than promised: {percent(rate.value)} of {counted(rate.n, 'normal image')} "
        f"({interval_in_digits(rate)}), promised {percent(evaluated.alpha)}. Light, camera or material have changed. "
        "Look at the false alarms; if they are good parts, label them for training and recalibrate."
    )


def _recall(evaluated: EvaluatedCategory) -> str | None:
    recall, auroc = evaluated.measure("recall"), evaluated.measure("image_auroc")
    if recall.value is None or recall.value >= 0.9 or auroc.value is None:
        return None
    missed = recall.n - round(recall.value * recall.n)
    start = f"{missed} of {counted(recall.n, 'anomalous image')} missed."
    if auroc.value >= 0.95:
        return f"{start} The AUROC is high, so a higher promised false-alarm rate (setting alpha) would find more."
    return f"{start} The AUROC is low too, so another threshold does not help: look at the misses and train again."


def recommended_step(evaluated: EvaluatedCategory) -> str | None:
    """To set the alpha that is recommended; None if it is in force, for another version, or there is none."""
    chosen = evaluated.recommended
    if chosen is None or chosen.alpha is None or chosen.in_force or not evaluated.in_mean:
        return None
    best = {"cheapest": "the cheapest", "wanted recall": "the one with the fewest false alarms"}[chosen.name]
    return f"Set alpha = {chosen.alpha:g} and recalibrate: its threshold is {best}, for {chosen.goal}."


def _blind(evaluated: EvaluatedCategory) -> str | None:
    kinds = [row.name for row in evaluated.by_kind if row.total and not row.hits]
    if not kinds:
        return None
    return f"The model found no image of: {', '.join(kinds)}. Do not rely on it for these defects."


def _few(evaluated: EvaluatedCategory) -> str | None:
    few = {"normal": evaluated.counts.normal, "anomalous": evaluated.counts.anomalous}
    words = [f"{n} {label}" for label, n in few.items() if n < _FEW]
    if not words:
        return None
    return (
        f"Only {' and '.join(words)} images are labelled: read the intervals, not the values. Label more images for "
        "evaluation, or evaluate more days together."
    )


def _masks(evaluated: EvaluatedCategory) -> str | None:
    if not evaluated.counts.unmasked:
        return None
    return (
        f"{counted(evaluated.counts.unmasked, 'anomalous image')} without a mask: not in the pixel figures. Draw "
        "masks for these, or read the pixel figures as those of the others."
    )


def _trained(evaluated: EvaluatedCategory) -> str | None:
    if not evaluated.counts.trained_on:
        return None
    return (
        f"{counted(evaluated.counts.trained_on, 'image')} labelled for evaluation trained this model, or show "
        "good parts that did, and would flatter it: in no figure."
    )


def _chose(evaluated: EvaluatedCategory) -> str | None:
    if not evaluated.counts.chose:
        return None
    return (
        f"{counted(evaluated.counts.chose, 'image')} labelled for evaluation helped to choose this model's method "
        "and would flatter it: in no figure."
    )
