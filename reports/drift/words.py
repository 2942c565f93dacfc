"""What the figures of a drift report mean, and what to do: used by every form of the report."""

from dataclasses import dataclass

from reports.drift.verdicts import (
    ACTIONS,
    HOLD,
    RECALIBRATE,
    RETRAIN,
    STOP_THE_LINE,
    CategorySection,
    DriftFigure,
    DriftReport,
    ModelSection,
)
from reports.number_format import count, counted, percent

WHAT_TO_DO = {
    HOLD: "Hold: go on as before.",
    RECALIBRATE: "Recalibrate: the scale of the scores has moved and the pictures have not. Have good images of "
    "these days labelled normal and train: the new version brings a new threshold, and needs to be promoted.",
    RETRAIN: "Retrain: the pictures are no longer those the model learned. Put light, camera or process right if "
    "that is the cause; if the change is to stay, have good images of these days labelled normal, train and promote.",
    STOP_THE_LINE: "Stop the line: until the cause below is found, parts or decisions are not to be trusted.",
}
TONES = {HOLD: "good", RECALIBRATE: "warn", RETRAIN: "warn", STOP_THE_LINE: "bad", None: "plain"}
WINDOW_FIGURES = ("quantile_0.5", "quantile_0.9", "quantile_0.95", "quantile_0.99")
EFFECT_SIZES = {
    "kolmogorov_smirnov": "Kolmogorov-Smirnov: the largest gap between the two distribution functions",
    "wasserstein": "Wasserstein: how far scores have moved on average, in interquartile ranges",
    "population_stability": "Population stability index over ten bins",
}


@dataclass(frozen=True)
class FigureWords:
    """How one figure by day is called and read."""

    title: str
    unit: str
    meaning: str
    cure: str
    """what to do when it is outside"""
    is_share: bool = False
    from_zero: bool = False


BY_DAY = {
    "alarm_rate": FigureWords(
        "Alarms by day",
        "alarms",
        "Share of images above the threshold. The band is what good parts and ordinary defects give by chance.",
        "Look at the highest scores of those days. Have they a fault in common, or do all pictures look otherwise?",
        is_share=True,
        from_zero=True,
    ),
    "bulk_average": FigureWords(
        "Ordinary parts, moving average (EWMA)",
        "average",
        "How far the scores of ordinary parts lie from what the days before foretold, in standard deviations; newer "
        "days weigh more. It finds sudden changes, up and down.",
        "If image statistics below have moved with it, begin there; if not, compare material and process.",
    ),
    "bulk_sum": FigureWords(
        "Ordinary parts, cumulative sum (CUSUM)",
        "sum",
        "Adds up what each day lies above its prediction. It finds small changes that last.",
        "A small change has lasted: see in the image statistics below what moved with it.",
        from_zero=True,
    ),
    "alarm_sum": FigureWords(
        "Alarms, cumulative sum (CUSUM)",
        "sum",
        "Adds up what each day has in alarms above the number foretold.",
        "Alarms have come more often for days: look at the newest ones for a common fault.",
        from_zero=True,
    ),
    "brightness": FigureWords(
        "Brightness by day",
        "brightness",
        "Median of the pictures' mean luma; black is 0, white is 1.",
        "Check lamps, exposure and stray light.",
    ),
    "contrast": FigureWords(
        "Contrast by day",
        "contrast",
        "Median of the luma's standard deviation within a picture.",
        "Check lamps and reflections, clean the lens.",
    ),
    "sharpness": FigureWords(
        "Sharpness by day",
        "sharpness",
        "Median of the mean curvature of the luma over its mean gradient, which light does not change.",
        "Check the focus, clean the lens, look for vibration.",
    ),
    "edge_centre_x": FigureWords(
        "Place by day, sideways",
        "place",
        "Median of the mean column of the pictures' edges; the left side is 0, the right side is 1.",
        "If light and focus are steady: check the fixture, its stops and the camera's mount.",
    ),
    "edge_centre_y": FigureWords(
        "Place by day, up and down",
        "place",
        "Median of the mean row of the pictures' edges; the top is 0, the bottom is 1.",
        "If light and focus are steady: check the fixture, its stops and the camera's mount.",
    ),
    "feature_distance": FigureWords(
        "Feature distance by day",
        "distance",
        "Median distance of the pictures' mean features from those of the training normals, without alarms.",
        "In steady light, focus and place: check tooling and material.",
    ),
}


def worst_action(report: DriftReport) -> str | None:
    """The most severe verdict in force, or None if no category has one."""
    actions = [section.current.action for section in report.categories if section.current.action]
    return max(actions, key=ACTIONS.index, default=None)


def headline(report: DriftReport) -> str:
    """The verdicts in a sentence or two, the most severe first."""
    if not report.categories and not report.failed:
        return "No category has a complete day in this window, so there is nothing to judge."
    parts = []
    for action in reversed(ACTIONS[1:]):
        names = [section.category for section in report.categories if section.current.action == action]
        if names:
            parts.append(f"{action.capitalize()}: {', '.join(names)}.")
    holding = sum(section.current.action == HOLD for section in report.categories)
    if holding:
        parts.append(f"{count(holding)} on hold: no drift.")
    silent = [section.category for section in report.categories if section.current.action is None]
    if silent:
        parts.append(f"Nothing can be said of {', '.join(silent)}.")
    if report.failed:
        parts.append(f"Not assessed, by an error: {', '.join(name for name, _ in report.failed)}.")
    return " ".join(parts)


def steps(section: CategorySection) -> list[str]:
    """What to do about a category and why, the verdict first."""
    current = section.current
    if current.action is None:
        return [current.message or "Nothing can be said."]
    told = [WHAT_TO_DO[current.action], *current.reasons]
    if current.unscored:
        told.append(
            f"{count(current.unscored)} of {counted(current.images, 'image')} could not be scored and stand outside "
            "of all figures here: nobody has judged these parts."
        )
    return told


def model_change(section: CategorySection) -> list[str]:
    """A line a model version, if there is more than one in the window."""
    if len(section.models) < 2:
        return []
    return [_days_of_model(model) for model in section.models]


def in_words(figures: list[DriftFigure], words: FigureWords) -> str:
    """What the figures of all days of one name say, and what to do."""
    outside = [figure for figure in figures if figure.outside]
    if not outside:
        return f"{words.meaning} All {counted(len(figures), 'day')} inside: nothing to do."
    return (
        f"{words.meaning} {count(len(outside))} of {counted(len(figures), 'day')} outside, last on "
        f"{outside[-1].last_day.isoformat()}. {words.cure}"
    )


def shifts_in_words(figures: list[DriftFigure]) -> str:
    """What the quantile shifts say, and what to do."""
    meaning = (
        "How far quantiles of the scores have moved, in interquartile ranges of held-out good images; the bars are "
        "what chance and ordinary defects give."
    )
    outside = [figure for figure in figures if figure.outside]
    if not outside:
        return f"{meaning} All inside: nothing to do."
    if outside[0].name == "quantile_0.5":
        return f"{meaning} The median has moved: all parts score otherwise, so look at light, focus and material."
    return (
        f"{meaning} The upper scores alone have moved: more parts are conspicuous, so look at the highest scores of "
        "the window."
    )


def discovery(model: ModelSection, tested: int) -> str:
    """What the p-value is worth among so many tests."""
    if model.p_value is None or model.stands is None:
        return ""
    among = "by itself" if tested == 1 else f"among {count(tested)} models tested at once"
    if model.stands:
        return f"the scores' distribution differs from that of held-out good images, also {among}"
    return f"no difference between the scores' distribution and that of held-out good images stands {among}"


def _days_of_model(model: ModelSection) -> str:
    verdict = f"verdict {model.action}" if model.action else model.message
    if model.first_day is None or model.last_day is None:
        return f"{model.model_version}: {verdict}"
    return (
        f"{model.first_day.isoformat()} to {model.last_day.isoformat()}: {model.model_version} ({model.method}), "
        f"{counted(model.images, 'image')}, {verdict}. It has a baseline of its own."
    )


def shares(model: ModelSection) -> str:
    """Alarms against what was promised."""
    alarms = model.alarms
    if alarms is None:
        return ""
    return (
        f"{count(alarms.alarms)} of {count(alarms.images)}: {percent(alarms.rate)} ({percent(alarms.low)} to "
        f"{percent(alarms.high)} with 95 % confidence)"
    )
