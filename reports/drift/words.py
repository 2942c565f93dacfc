"""What the figures of a drift report mean and what to do, for the HTML and the Markdown report."""

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
    RECALIBRATE: "Recalibrate: the scale of the scores has shifted, the images have not changed. A new threshold, "
    "without a training, corrects it.",
    RETRAIN: "Retrain: the images have changed since the model was trained. If light, camera or process is the "
    "cause, correct it. If the change is permanent, label good images of these days as normal and run "
    "rd-inspect retrain.",
    STOP_THE_LINE: "Stop the line: do not trust parts or decisions until the cause below is found.",
}
TONES = {HOLD: "good", RECALIBRATE: "warn", RETRAIN: "warn", STOP_THE_LINE: "bad", None: "plain"}
WINDOW_FIGURES = ("quantile_0.5", "quantile_0.9", "quantile_0.95", "quantile_0.99")
EFFECT_SIZES = {
    "kolmogorov_smirnov": "Kolmogorov-Smirnov: the largest gap between the distribution functions",
    "wasserstein": "Wasserstein: the mean shift of the scores, in interquartile ranges",
    "population_stability": "Population stability index over ten bins",
}


@dataclass(frozen=True)
class FigureWords:
    """Title, unit, meaning and cure of one figure by day."""

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
        "Share of images above the threshold. The band is the expected range for good parts and ordinary defects.",
        "Look at the highest scores of those days: do they share a fault, or do all images look different?",
        is_share=True,
        from_zero=True,
    ),
    "bulk_average": FigureWords(
        "Ordinary parts, moving average (EWMA)",
        "average",
        "Deviation of the scores of ordinary parts from the prediction of the days before, in standard deviations; "
        "newer days weigh more. Finds sudden changes, up and down.",
        "If image statistics below have moved too, begin there; if not, compare material and process.",
    ),
    "bulk_sum": FigureWords(
        "Ordinary parts, cumulative sum (CUSUM)",
        "sum",
        "Sum of how far each day lies above its prediction. Finds small, lasting changes.",
        "A small change has lasted: see which image statistics below have moved too.",
        from_zero=True,
    ),
    "alarm_sum": FigureWords(
        "Alarms, cumulative sum (CUSUM)",
        "sum",
        "Sum of each day's alarms above the predicted number.",
        "There have been more alarms for days: look for a common fault in the newest ones.",
        from_zero=True,
    ),
    "brightness": FigureWords(
        "Brightness by day",
        "brightness",
        "Median of the images' mean luma; black is 0, white is 1.",
        "Check lamps, exposure and stray light.",
    ),
    "contrast": FigureWords(
        "Contrast by day",
        "contrast",
        "Median of the luma's standard deviation within an image.",
        "Check lamps and reflections, clean the lens.",
    ),
    "sharpness": FigureWords(
        "Sharpness by day",
        "sharpness",
        "Median of the luma's mean curvature over its mean gradient; light does not change it.",
        "Check the focus, clean the lens, look for vibration.",
    ),
    "edge_centre_x": FigureWords(
        "Horizontal position by day",
        "position",
        "Median of the mean column of the images' edges; left is 0, right is 1.",
        "If light and focus are steady, check the fixture, its stops and the camera mount.",
    ),
    "edge_centre_y": FigureWords(
        "Vertical position by day",
        "position",
        "Median of the mean row of the images' edges; top is 0, bottom is 1.",
        "If light and focus are steady, check the fixture, its stops and the camera mount.",
    ),
    "offset_x": FigureWords(
        "Horizontal offset by day",
        "pixels",
        "Median of how far parts lie to the right of the median training normal, before images are aligned.",
        "Check the fixture, its stops and the camera mount.",
    ),
    "offset_y": FigureWords(
        "Vertical offset by day",
        "pixels",
        "Median of how far parts lie below the median training normal, before images are aligned.",
        "Check the fixture, its stops and the camera mount.",
    ),
    "rotation": FigureWords(
        "Rotation by day",
        "degrees",
        "Median of how far parts are turned clockwise against the median training normal, before images are aligned.",
        "Check the fixture, its stops and the camera mount.",
    ),
    "feature_distance": FigureWords(
        "Feature distance by day",
        "distance",
        "Median distance of the images' mean features from those of the training images; alarms are left out.",
        "If light, focus and position are steady, check tooling and material.",
    ),
}


def worst_action(report: DriftReport) -> str | None:
    """The most severe verdict in force, or None if no category has one."""
    actions = [section.current.action for section in report.categories if section.current.action]
    return max(actions, key=ACTIONS.index, default=None)


def headline(report: DriftReport) -> str:
    """The verdicts in a sentence or two, most severe first."""
    if not report.categories and not report.failed:
        return "No category has a complete day in this window."
    parts = []
    for action in reversed(ACTIONS[1:]):
        names = [section.category for section in report.categories if section.current.action == action]
        if names:
            parts.append(f"{action.capitalize()}: {', '.join(names)}.")
    holding = sum(section.current.action == HOLD for section in report.categories)
    if holding:
        parts.append(f"Hold, no drift: {count(holding)} {'category' if holding == 1 else 'categories'}.")
    silent = [section.category for section in report.categories if section.current.action is None]
    if silent:
        parts.append(f"No verdict: {', '.join(silent)}.")
    if report.failed:
        parts.append(f"Failed with an error: {', '.join(name for name, _ in report.failed)}.")
    return " ".join(parts)


def steps(section: CategorySection) -> list[str]:
    """What to do about a category and why, the verdict first."""
    current = section.current
    if current.action is None:
        return [current.message or "There is no verdict."]
    sentences = [WHAT_TO_DO[current.action], *current.reasons]
    if current.action == RECALIBRATE:
        sentences.insert(1, _recalibration(section))
    if current.unscored:
        sentences.append(
            f"{count(current.unscored)} of {counted(current.images, 'image')} have no score and are in no figure: "
            "nobody has judged these parts."
        )
    return sentences


def _recalibration(section: CategorySection) -> str:
    since = f" --from {section.current.changed_since}" if section.current.changed_since else ""
    command = f"rd-inspect recalibrate --category {section.category}{since}"
    return f"Label good images of these days as normal, then: {command}. Without labels: {command} --unlabelled."


def model_change(section: CategorySection) -> list[str]:
    """One line for each model version, if the window has more than one."""
    if len(section.models) < 2:
        return []
    return [_days_of_model(model) for model in section.models]


def in_words(figures: list[DriftFigure], words: FigureWords) -> str:
    """Meaning, state and cure of one figure over all days."""
    outside = [figure for figure in figures if figure.outside]
    if not outside:
        return f"{words.meaning} All {counted(len(figures), 'day')} within the expected range."
    return (
        f"{words.meaning} {count(len(outside))} of {counted(len(figures), 'day')} outside the expected range, last "
        f"on {outside[-1].last_day.isoformat()}. {words.cure}"
    )


def shifts_in_words(figures: list[DriftFigure]) -> str:
    """Meaning, state and cure of the quantile shifts."""
    meaning = (
        "Shift of the score quantiles, in interquartile ranges of held-out good images; bars: the expected range."
    )
    outside = [figure for figure in figures if figure.outside]
    if not outside:
        return f"{meaning} All are within the expected range."
    if outside[0].name == "quantile_0.5":
        return (
            f"{meaning} The median has moved: the scores of all parts have changed. Check light, focus and material."
        )
    return f"{meaning} Only the upper scores have moved: more parts are anomalous. Look at the highest scores."


def discovery(model: ModelSection, tested: int) -> str:
    """What the p-value means among `tested` tests."""
    if model.p_value is None or model.stands is None:
        return ""
    among = "" if tested == 1 else f", corrected for {count(tested)} models tested at once"
    differs = "differ" if model.stands else "do not differ"
    return f"the scores {differs} significantly from those of held-out good images{among}"


def _days_of_model(model: ModelSection) -> str:
    verdict = f"verdict {model.action}" if model.action else model.message
    if model.first_day is None or model.last_day is None:
        return f"{model.model_version}: {verdict}"
    return (
        f"{model.first_day.isoformat()} to {model.last_day.isoformat()}: {model.model_version} ({model.method}), "
        f"{counted(model.images, 'image')}, {verdict}. It has a baseline of its own."
    )


def shares(model: ModelSection) -> str:
    """The alarm rate with its interval."""
    alarms = model.alarms
    if alarms is None:
        return ""
    return (
        f"{count(alarms.alarms)} of {count(alarms.images)}: {percent(alarms.rate)} ({percent(alarms.low)} to "
        f"{percent(alarms.high)} with 95 % confidence)"
    )
