"""What a recommended threshold means and how to set it."""

import json
import re
from shlex import quote

from reports.evaluation.measures import Measure, RecommendedThreshold
from reports.evaluation.words import DASH
from reports.number_format import percent, score

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")


def setting(category: str, alpha: float) -> str:
    """The lines to copy into categories.toml."""
    name = category if _BARE_KEY.fullmatch(category) else json.dumps(category)
    return f"[categories.{name}]\nalpha = {alpha:g}"


def in_short(recommended: RecommendedThreshold, category: str) -> str:
    """One line for a terminal, with the command that sets it."""
    if recommended.alpha is None:
        return f"no alpha is recommended: {recommended.why}"
    begin = f"{recommended.name} at alpha = {recommended.alpha:g}"
    begin += ", which is in force" if recommended.in_force else f" (threshold {score(recommended.threshold)})"
    line = f"{begin}: recall {_share(recommended, 'recall')}, false alarms {_share(recommended, 'false_alarm_rate')}"
    if recommended.in_force:
        return line
    return f"{line}. Set this alpha, then: rd-inspect recalibrate --category {quote(category)} --held-out --judge"


def in_sentences(recommended: RecommendedThreshold) -> list[str]:
    """What is recommended, what it does to other images, and what is uncertain."""
    if recommended.alpha is None:
        return [f"No alpha is recommended: {recommended.why}."]
    sentences = [_choice(recommended), _effect(recommended), _cost(recommended), _flattered(recommended)]
    sentences += [recommended.caution, _extrapolated(recommended)]
    return [sentence for sentence in sentences if sentence]


def _choice(recommended: RecommendedThreshold) -> str:
    """The threshold, and for what it is best."""
    if recommended.in_force:
        better = {"cheapest": "is cheaper", "wanted recall": "finds the wanted share with fewer false alarms"}
        return (
            f"Keep the threshold in force: no other that alpha can set {better[recommended.name]}, for "
            f"{recommended.goal}."
        )
    best = {"cheapest": "is the cheapest", "wanted recall": "finds the wanted share with the fewest false alarms"}
    return (
        f"The threshold {score(recommended.threshold)} {best[recommended.name]}, for {recommended.goal}. The setting "
        f"alpha = {recommended.alpha:g} gives it."
    )


def _effect(recommended: RecommendedThreshold) -> str:
    recall, alarms = recommended.figure("recall"), recommended.figure("false_alarm_rate")
    words = "This threshold" if recommended.in_force else "On images that did not choose it, this threshold"
    return (
        f"{words} finds {percent(recall.value)} of the defects ({_interval(recall)}) and stops "
        f"{percent(alarms.value)} of the good parts ({_interval(alarms)})."
    )


def _cost(recommended: RecommendedThreshold) -> str | None:
    figures = {figure.name: figure for figure in recommended.figures}
    if "cost" not in figures:
        return None
    cost, saving = figures["cost"], figures["saving"]
    words = f"Expected cost an image: {_money(cost.value)} ({_numbers(cost)})."
    if recommended.in_force or saving.value is None or saving.low is None:
        return words
    beside = "less" if saving.value >= 0 else "more"
    words = f"{words[:-1]}, {_money(abs(saving.value))} {beside} than with the threshold in force."
    if saving.low > 0:
        return f"{words} These labels show that it is cheaper (saving {_numbers(saving)})."
    return (
        f"{words} These labels do not show that it is cheaper (saving {_numbers(saving)}): label more images, or "
        "take it as a guess."
    )


def _flattered(recommended: RecommendedThreshold) -> str | None:
    found, stopped = recommended.recall_as_chosen, recommended.false_alarm_rate_as_chosen
    same = (recommended.figure("recall").value, recommended.figure("false_alarm_rate").value)
    if (found, stopped) == same:
        return None
    return (
        f"The images that chose it show {percent(found)} and {percent(stopped)}, which flatters: so each part was "
        "decided by the threshold that the other parts choose."
    )


def _extrapolated(recommended: RecommendedThreshold) -> str | None:
    if not recommended.extrapolated or recommended.in_force:
        return None
    return "This alpha is smaller than the held-out scores can prove, so its threshold is extrapolated."


def _share(recommended: RecommendedThreshold, name: str) -> str:
    return percent(recommended.figure(name).value)


def _interval(measure: Measure) -> str:
    return f"{percent(measure.low)} to {percent(measure.high)}"


def _numbers(measure: Measure) -> str:
    return f"{_money(measure.low)} to {_money(measure.high)}"


def _money(value: float | None) -> str:
    """Two digits: more would be made up."""
    return DASH if value is None else f"{value:.2g}"
