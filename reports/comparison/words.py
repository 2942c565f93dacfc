"""What a comparison's figures mean, in words, for the HTML and the Markdown report."""

from collections.abc import Sequence

from reports.comparison.results import ComparedMethod, ComparisonReport, Figure, Ranked, Share
from reports.number_format import count, counted, data_size, duration, percent

DASH = "–"
STANDINGS = {
    "best": ("highest AUROC", "good"),
    "not worse": ("not worse", "good"),
    "lower": ("lower, not beyond chance", "warn"),
    "worse": ("worse beyond chance", "bad"),
    "flattered": ("flattered by drawn defects", "warn"),
}
"""(words, tone) of a method's standing beside the best"""
COLUMNS = (
    ("Image AUROC", "Probability that an anomalous image scores above a normal one; the methods are chosen by it."),
    ("Image AP", "Mean precision over all thresholds. Guessing reaches the share of anomalous images."),
    ("Pixel AUROC", "The same of pixels. Large defects dominate it."),
    (
        "AUPRO 0.3",
        "Mean share of a defect that the map covers, at up to 30 % false pixels. Every defect weighs the same.",
    ),
    ("AUPRO 0.05", "The same at up to 5 %: are maps clean beside the defects?"),
    ("Recall", "Share of the anomalous images above the threshold."),
    ("False alarms", "Share of the normal images above the threshold; compare it with the promised rate."),
    ("Undecided", "Share of all images within the threshold's 95 % interval, which a person looks at."),
)
"""(title, meaning) of the table of figures"""


def tone(report: ComparisonReport) -> str:
    """good: a winner; plain: the cheapest of those not worse; warn: none is named."""
    if report.named is None:
        return "warn"
    return "good" if report.beyond_chance else "plain"


def headline(report: ComparisonReport) -> str:
    """A few words."""
    if report.named is None:
        return "no method is named"
    if report.beyond_chance:
        return f"{report.named}, beyond chance"
    near = [one.method for one in report.methods if one.standing in ("best", "not worse")]
    return f"{report.named}, {'cheapest of those not worse' if near[1:] else 'highest, but not beyond chance'}"


def drawn_words(report: ComparisonReport) -> str | None:
    """What drawn defects mean for the reader; None without one."""
    drawn, anomalous = report.counts.drawn, report.counts.anomalous
    if not drawn:
        return None
    which = "All defects here are" if drawn == anomalous else f"{count(drawn)} of {count(anomalous)} defects here are"
    return (
        f"{which} drawn into normal images, because real ones were not labelled. Real defects may look different and "
        "rank the methods otherwise: label some for evaluation and compare again."
    )


def steps(report: ComparisonReport) -> list[str]:
    """What to do next, most urgent first."""
    promised = [one.method for one in report.methods if _breaks_promise(one, report.alpha)]
    failed = counted(len(report.failed), "training")
    found = [
        drawn_words(report),
        f"Not in these figures: {failed} that failed, listed below." if report.failed else None,
        _otherwise(report),
        _once(report),
        f"More false alarms than the promised {percent(report.alpha)} with {', '.join(promised)}: recalibrate on "
        "newer normals before one of these is put in force." if promised else None,
        *report.notes,
    ]  # fmt: skip
    return [step for step in found if step]


def _breaks_promise(method: ComparedMethod, alpha: float) -> bool:
    low = method.false_alarms.figure.low
    return low is not None and low > alpha


def _otherwise(report: ComparisonReport) -> str | None:
    """Where the images that report contradict the choice beyond chance."""
    leads = [(one.method, one.auroc.ahead) for one in report.methods if one.auroc and one.auroc.ahead]
    ahead = [method for method, lead in leads if lead.high is not None and lead.high < 0]
    if not ahead or report.named is None:
        return None
    return (
        f"On the images that report, {', '.join(ahead)} had a higher image AUROC than {report.named}, beyond chance. "
        "The choice stands, because these images did not choose; label more images and compare again."
    )


def _once(report: ComparisonReport) -> str | None:
    """That one training says nothing of another."""
    once = [one.method for one in report.methods if len(one.seeds) == 1]
    if not once:
        return None
    which = "Every method" if len(once) == len(report.methods) else ", ".join(once)
    return f"{which} was trained once, and another seed may rank close methods otherwise: compare with --seeds 3."


def figure(value: Figure | float | None) -> str:
    """Three decimals, or a dash."""
    number = value.value if isinstance(value, Figure) else value
    return DASH if number is None else f"{number:.3f}"


def interval(value: Figure | None) -> str | None:
    """Such as '0.912 to 0.987'; None without one."""
    if value is None or value.low is None or value.high is None:
        return None
    return f"{value.low:.3f} to {value.high:.3f}"


def spread(ranked: Ranked, seeds: Sequence[int]) -> str | None:
    """The range over seeds; None for one seed."""
    if len(seeds) < 2 or ranked.lowest is None or ranked.highest is None:
        return None
    return f"{len(seeds)} seeds: {ranked.lowest:.3f} to {ranked.highest:.3f}"


def share(one: Share) -> str:
    """Per cent, or a dash without images."""
    return DASH if one.figure.value is None else percent(one.figure.value)


def share_counts(one: Share) -> tuple[str, ...]:
    """Such as ('3 of 4', '19.4 % to 99.4 %'); empty without images."""
    if not one.total or one.figure.low is None or one.figure.high is None:
        return ()
    return f"{one.flagged} of {one.total}", f"{percent(one.figure.low)} to {percent(one.figure.high)}"


def difference(ranked: Ranked) -> str:
    """Such as '+0.042 (+0.010 to +0.070), p = 0.004'; a dash for the reference."""
    ahead = ranked.ahead
    if ahead is None or ahead.value is None:
        return DASH
    ends = "" if ahead.low is None or ahead.high is None else f" ({signed(ahead.low)} to {signed(ahead.high)})"
    return signed(ahead.value) + ends + (f", {chance(ranked.p_value)}" if ranked.p_value is not None else "")


def chance(p_value: float) -> str:
    """A p-value in words."""
    return "p < 0.001" if p_value < 0.001 else f"p = {p_value:.3f}"


def signed(value: float) -> str:
    """Three decimals with a sign, a minus as typographers have it."""
    return f"{value:+.3f}".replace("-", "\N{MINUS SIGN}")


def costs(method: ComparedMethod) -> list[tuple[str, str]]:
    """(title, value) of a method's costs."""
    return [
        ("Training", duration(method.training_seconds)),
        ("Images a processor second", f"{method.images_per_second:.3g}"),
        ("Peak memory", data_size(method.peak_memory) if method.peak_memory else DASH),
        ("Model", data_size(method.model_bytes)),
    ]
