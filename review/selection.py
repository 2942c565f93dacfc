"""Which images a page shows and in which order: what stands in its address (see reports.review_address)."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from datetime import date
from urllib.parse import urlencode

from reports.plain_text import shown
from review.plain_words import day_in_words

TO_LABEL = "to-label"
SHOWS = {
    TO_LABEL: "to label: worth a look, and without a word of yours",
    "look": "look at these first: flagged or borderline",
    "flagged": "flagged",
    "band": "in the review band",
    "not-flagged": "not flagged",
    "unreadable": "unreadable",
    "rejected": "rejected",
    "all": "all images",
}
"""value in the address, and what it is called"""
LABELS = {
    "": "with any label or none",
    "none": "without a label",
    "normal": "labelled normal",
    "anomalous": "labelled a defect",
    "unsure": "labelled unsure",
    "differ": "on which people differ",
}
SORTS = {
    "first": "nearest to the threshold",
    "highest": "highest score",
    "lowest": "lowest score",
    "name": "by name",
}
_LONGEST_NAME = 200


class WrongSelection(Exception):
    """An address that asks for no list."""


@dataclass(frozen=True)
class Selection:
    """Images, and their order."""

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
    """whose latest word `label` means; alone: whoever of that name said anything"""
    sort: str = "first"
    """one of SORTS"""

    @classmethod
    def from_address(cls, query: Mapping[str, str]) -> "Selection":
        """The list that these parameters ask for; others than ours are left alone. WrongSelection names the value."""
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
        """Whether a new label may take an image out of the list."""
        return self.show == TO_LABEL or bool(self.label) or self.by is not None

    @property
    def counts_down(self) -> bool:
        """Whether every label takes its image out of the list."""
        return self.show == TO_LABEL or (self.label == "none" and self.by is None)

    def address(self, **more: str | int) -> str:
        """The query that leads to it, and `more`; empty where all is left out."""
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
        """The same with other values of some fields."""
        assert set(changes) <= {field.name for field in fields(self)}
        return replace(self, **changes)  # type: ignore[arg-type]

    def in_words(self) -> str:
        """Such as 'cloth, 14 January 2026, flagged, score from 1.2, highest score first'."""
        said = [
            shown(self.category) if self.category else "all categories",
            day_in_words(self.day) if self.day else "all days",
            SHOWS[self.show].partition(":")[0],
            f"score from {self.lowest:.9g}" if self.lowest is not None else "",
            f"score to {self.highest:.9g}" if self.highest is not None else "",
            LABELS[self.label] if self.label else "",
            f"by {shown(self.by)}" if self.by else "",
            {"first": "", "name": SORTS["name"]}.get(self.sort, f"{SORTS[self.sort]} first"),
        ]
        return ", ".join(part for part in said if part)


def _one_of(query: Mapping[str, str], name: str, known: Mapping[str, str], otherwise: str) -> str:
    value = query.get(name, "") or otherwise
    if value not in known:
        offered = ", ".join(name for name in known if name)
        raise WrongSelection(f"the address says {name}={value!r}, so no list was made. Use one of: {offered}.")
    return value


def _day(text: str) -> date | None:
    if not text:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError as e:
        raise WrongSelection(
            f"the address says day={text!r}, which is no day, so no list was made. Write it as 2026-01-14."
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
        raise WrongSelection(f"the address says {name}={text!r}, which is no score, so no list was made.")
    return value
