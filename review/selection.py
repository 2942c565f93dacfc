"""The images of a page and their order, as given by its address (see reports.review_address)."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from datetime import date
from urllib.parse import urlencode

from reports.plain_text import shown
from review.plain_words import day_in_words

TO_LABEL = "to-label"
SHOWS = {
    TO_LABEL: "to label: flagged or borderline, not labelled by you",
    "look": "look at these first: flagged or borderline",
    "flagged": "flagged",
    "band": "in the review band",
    "not-flagged": "not flagged",
    "unreadable": "unreadable",
    "rejected": "rejected",
    "all": "all images",
}
"""value in the address, and its name on the page"""
LABELS = {
    "": "with any label or none",
    "none": "without a label",
    "normal": "labelled normal",
    "anomalous": "labelled anomalous",
    "unsure": "labelled unsure",
    "differ": "with labels that disagree",
}
SORTS = {
    "first": "nearest to the threshold",
    "highest": "highest score",
    "lowest": "lowest score",
    "name": "by name",
}
_LONGEST_NAME = 200


class WrongSelection(Exception):
    """An address with a wrong parameter."""


@dataclass(frozen=True)
class Selection:
    """A list of images: filters and order."""

    show: str = TO_LABEL
    """one of SHOWS"""
    category: str | None = None
    """None: all"""
    day: date | None = None
    """production day; None: all"""
    lowest: float | None = None
    """scores below it are left out"""
    highest: float | None = None
    """scores above it are left out"""
    label: str = ""
    """one of LABELS"""
    by: str | None = None
    """person whose latest label is meant; without `label`: all images this person labelled"""
    sort: str = "first"
    """one of SORTS"""

    @classmethod
    def from_address(cls, query: Mapping[str, str]) -> "Selection":
        """The list of these parameters; unknown ones are ignored. Raises WrongSelection, which names the value."""
        return cls(
            show=_one_of(query, "show", SHOWS, TO_LABEL),
            category=query.get("category") or None,
            day=_day(query.get("day", "")),
            lowest=_score(query, "from"),
            highest=_score(query, "to"),
            label=_one_of(query, "label", LABELS, ""),
            by=" ".join(query.get("by", "").split())[:_LONGEST_NAME] or None,
            sort=_one_of(query, "sort", SORTS, "first"),
        )

    @property
    def shrinks(self) -> bool:
        """Whether a new label may remove an image from the list."""
        return self.show == TO_LABEL or bool(self.label) or self.by is not None

    @property
    def counts_down(self) -> bool:
        """Whether every label removes its image from the list."""
        return self.show == TO_LABEL or (self.label == "none" and self.by is None)

    def address(self, **more: str | int) -> str:
        """The query string of this list, and `more`; empty for the default list."""
        given: dict[str, str | int] = {
            "show": "" if self.show == TO_LABEL else self.show,
            "category": self.category or "",
            "day": self.day.isoformat() if self.day else "",
            "from": "" if self.lowest is None else f"{self.lowest:.9g}",
            "to": "" if self.highest is None else f"{self.highest:.9g}",
            "label": self.label,
            "by": self.by or "",
            "sort": "" if self.sort == "first" else self.sort,
        }
        parameters = {name: value for name, value in (given | more).items() if value != ""}
        return f"?{urlencode(parameters)}" if parameters else ""

    def but(self, **changes: object) -> "Selection":
        """A copy with other values of some fields."""
        assert set(changes) <= {field.name for field in fields(self)}
        return replace(self, **changes)  # type: ignore[arg-type]

    def in_words(self) -> str:
        """Such as 'cloth, 14 January 2026, flagged, score from 1.2, highest score first'."""
        parts = [
            shown(self.category) if self.category else "all categories",
            day_in_words(self.day) if self.day else "all days",
            SHOWS[self.show].partition(":")[0],
            f"score from {self.lowest:.9g}" if self.lowest is not None else "",
            f"score to {self.highest:.9g}" if self.highest is not None else "",
            LABELS[self.label] if self.label else "",
            f"by {shown(self.by)}" if self.by else "",
            {"first": "", "name": SORTS["name"]}.get(self.sort, f"{SORTS[self.sort]} first"),
        ]
        return ", ".join(part for part in parts if part)


def _one_of(query: Mapping[str, str], name: str, known: Mapping[str, str], otherwise: str) -> str:
    value = query.get(name, "") or otherwise
    if value not in known:
        offered = ", ".join(name for name in known if name)
        raise WrongSelection(
            f"{name}={value!r} in the address is unknown, so no list was made. Use one of: {offered}."
        )
    return value


def _day(text: str) -> date | None:
    if not text:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError as e:
        raise WrongSelection(
            f"day={text!r} in the address is not a day, so no list was made. Write it as 2026-01-14."
        ) from e


def _score(query: Mapping[str, str], name: str) -> float | None:
    text = query.get(name, "").strip().replace(",", ".")
    if not text:
        return None
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise WrongSelection(f"{name}={text!r} in the address is not a number, so no list was made.")
    return value
