"""What needs attention in the plant today, in plain words, most urgent first."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import chain

from reports.drift.verdicts import RECALIBRATE, RETRAIN, STOP_THE_LINE
from reports.index.plant import DAMAGED, SEALED, UNSEALED, CategoryDay, PlantCategory, PlantDay, PlantIndex
from reports.number_format import count, counted
from reports.plain_text import shown

UNREADABLE_DAYS = 7
"""days up to the last night whose files without a score are reported: older parts are gone"""
_MOST_NAMES = 12
_MOST_WORDS = 300
"""characters of an error in a sentence; the linked report has all of it"""
_DRIFT_ADVICE = {
    STOP_THE_LINE: "do not trust parts or decisions until the cause is found",
    RETRAIN: "the images have changed; correct the cause, or retrain the model on these days",
    RECALIBRATE: "the scale of the scores has shifted, the images have not changed; set a new threshold: "
    "rd-inspect recalibrate",
}


@dataclass(frozen=True)
class Need:
    """One item to act on."""

    title: str
    """such as 'Stop the line'"""
    text: str
    """one sentence, safe to show"""
    tone: str
    """bad | warn"""
    report: str | None = None
    """path of the report to open, from the index page"""
    command: str = ""
    """the command at the end of the text"""

    def __str__(self) -> str:
        return f"{self.title}: {self.text} {self.command}".rstrip()


def needs(index: PlantIndex) -> tuple[Need, ...]:
    """Silent cameras, drift verdicts, missing nights, then categories without a model or a score, then failures."""
    every = chain(
        _silent(index),
        *(_drifting(index, action) for action in (STOP_THE_LINE, RETRAIN, RECALIBRATE)),
        _not_inspected(index),
        _damaged_seals(index.nights),
        _without_model(index),
        _without_score(index.nights),
        _not_assessed(index),
        _unreadable(index),
    )
    return tuple(every)


def of_earlier_model(category: PlantCategory) -> bool:
    """Whether the drift verdict is about a version that is no longer in force."""
    return bool(category.drift and category.champion and category.drift.model_version != category.champion.version)


def day_ranges(days: Sequence[date]) -> str:
    """Such as '2026-03-01, 2026-03-04 to 2026-03-07'. `days` rise."""
    runs: list[list[date]] = []
    for day in days:
        if runs and day - runs[-1][-1] == timedelta(days=1):
            runs[-1].append(day)
        else:
            runs.append([day])
    return ", ".join(run[0].isoformat() if len(run) == 1 else f"{run[0]} to {run[-1]}" for run in runs)


def _silent(index: PlantIndex) -> Iterator[Need]:
    """One line for the categories with the same last day."""
    together: defaultdict[date | None, list[str]] = defaultdict(list)
    for category, last in index.silent:
        together[last].append(category)
    for last, names in sorted(together.items(), key=lambda pair: pair[0] or date.min):
        since = f"the last image is of {last}" if last else "there never was one"
        text = (
            f"{_names(names)}: no image of {index.last_night}, although a model is in force; {since}. Check the "
            "camera and the transfer of its images. Set every_day = false in categories.toml if it is not made daily."
        )
        yield Need("Silent camera" if len(names) == 1 else "Silent cameras", shown(text), "bad")


def _drifting(index: PlantIndex, action: str) -> Iterator[Need]:
    for category in index.categories:
        if category.drift is None or category.drift.action != action:
            continue
        if action != STOP_THE_LINE and of_earlier_model(category):
            continue  # the next drift report assesses the new model
        causes = ", ".join(category.drift.causes) or "unknown"
        since = f", since {category.drift.since}" if category.drift.since else ""
        text = shown(f"{category.category}: likely cause {causes}{since}; {_DRIFT_ADVICE[action]}.")
        yield Need(action.capitalize(), text, "bad" if action == STOP_THE_LINE else "warn", category.drift.report)


def _not_inspected(index: PlantIndex) -> Iterator[Need]:
    """One line for the days that miss the same categories. Categories without a model have a line of their own."""
    able = {category.category for category in index.categories if category.champion or category.champion_damaged}
    together: defaultdict[tuple[str, ...], list[date]] = defaultdict(list)
    for night in reversed(index.nights):
        missing = tuple(
            category.category
            for category in night.categories
            if category.state == UNSEALED and category.category in able
        )
        if missing:
            together[missing].append(night.day)
    for categories, days in sorted(together.items(), key=lambda pair: pair[1][-1], reverse=True):
        text = (
            f"{_names(categories)} of {day_ranges(days)}: not complete, so some parts have not been judged. Inspect "
            f"{'the day' if len(days) == 1 else 'these days'}:"
        )
        yield Need(
            "Missing night" if len(days) == 1 else "Missing nights", shown(text), "bad", command=_command(days)
        )


def _damaged_seals(nights: Sequence[PlantDay]) -> Iterator[Need]:
    together: defaultdict[tuple[str, ...], list[date]] = defaultdict(list)
    for night in reversed(nights):
        names = tuple(category.category for category in night.categories if category.state == DAMAGED)
        if names:
            together[names].append(night.day)
    for names, days in together.items():
        text = (
            f"{_names(names)} of {day_ranges(days)}: the seal, which says that the day is complete, cannot be read, "
            "so nobody knows which images are scored. The files are listed below."
        )
        yield Need("Damaged seal" if len(days) == 1 else "Damaged seals", shown(text), "bad")


def _without_model(index: PlantIndex) -> Iterator[Need]:
    damaged = [category.category for category in index.categories if category.champion_damaged]
    if damaged:
        text = f"{_names(damaged)}: champion.json, which names the model in force, cannot be read. Nothing is scored."
        yield Need("Damaged champion", shown(text), "bad")
    none = [
        category.category
        for category in index.categories
        if category.champion is None and not category.champion_damaged
    ]
    if none:
        text = f"{_names(none)}: there are images, but no model is in force. Train one:"
        yield Need("No model", shown(text), "warn", command=f"rd-inspect train --category {none[0]}")


def _without_score(nights: Sequence[PlantDay]) -> Iterator[Need]:
    """One line for the categories that miss scores on the same of the last days."""
    if not nights:
        return
    oldest = nights[0].day - timedelta(days=UNREADABLE_DAYS - 1)
    lost: defaultdict[str, list[tuple[PlantDay, CategoryDay]]] = defaultdict(list)
    for night in reversed(nights):
        for row in night.categories:
            if night.day >= oldest and row.state == SEALED and row.unscored > 0:
                lost[row.category].append((night, row))
    together: defaultdict[tuple[date, ...], list[str]] = defaultdict(list)
    for category in sorted(lost):
        together[tuple(night.day for night, _ in lost[category])].append(category)
    for days, names in sorted(together.items(), key=lambda pair: pair[0][-1], reverse=True):
        night = lost[names[0]][-1][0]
        newest = [lost[name][-1][1] for name in names]
        missing, images = sum(row.unscored for row in newest), sum(row.images for row in newest)
        more = f"; also some of {day_ranges(days[:-1])}" if days[:-1] else ""
        text = (
            f"{_names(names)}: {count(missing)} of {counted(images, 'image')} of {night.day} have no score{more}. "
            "Nobody has judged these parts. The report says why: replace damaged files; where the crop or the "
            "alignment does not fit, correct it and train. Then inspect again:"
        )
        only = names[0] if len(names) == 1 else None
        report = night.reports[0] if night.reports else None
        yield Need("Partly unreadable", shown(text), "warn", report, _command(days, only))


def _not_assessed(index: PlantIndex) -> Iterator[Need]:
    for report, what, why in index.not_assessed:
        short = why if len(why) <= _MOST_WORDS else f"{why[:_MOST_WORDS]}…"
        yield Need("Not assessed", shown(f"{what}: {short}"), "warn", report)


def _unreadable(index: PlantIndex) -> Iterator[Need]:
    if index.unreadable:
        text = f"{counted(len(index.unreadable), 'file')} of the store could not be read. They are listed below."
        yield Need("Damaged files", text, "warn")


def _command(days: Sequence[date], category: str | None = None) -> str:
    """The command that inspects these rising days; complete days are left alone."""
    only = f" --category {category}" if category else ""
    if len(days) == 1:
        return f"rd-inspect inspect --run-date {days[0]}{only}"
    return f"rd-inspect backfill --from {days[0]} --to {days[-1]}{only}"


def _names(names: Sequence[str]) -> str:
    shown_names = ", ".join(names[:_MOST_NAMES])
    left = len(names) - _MOST_NAMES
    return f"{shown_names} and {count(left)} more" if left > 0 else shown_names
