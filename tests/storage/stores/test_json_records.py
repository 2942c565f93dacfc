"""Records of a store as JSON: what comes back is what was kept, or it is refused by the field's name."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

import pytest

from storage.stores.json_records import from_json, to_json


@dataclass(frozen=True)
class Sheet:
    number: int
    width: float
    kind: str | None


@dataclass(frozen=True)
class Pile:
    sheets: tuple[Sheet, ...]
    sold: bool
    day: date
    made_at: datetime
    weights: Mapping[str, tuple[float, ...]]
    told: Mapping[str, Any]


PILE = Pile(
    (Sheet(0, 1.5, None), Sheet(7, 2.0, "thin")), True, date(2026, 3, 2), datetime(2026, 3, 2, 1, tzinfo=UTC),
    {"a": (1.0, 0.1)}, {"any": [1, {"deep": None}]},
)  # fmt: skip


def test_a_record_comes_back_as_it_was() -> None:
    kept = json.loads(json.dumps(to_json(PILE)))
    assert from_json(Pile, kept) == PILE
    assert to_json(from_json(Pile, kept)) == kept


@pytest.mark.parametrize(
    "change, told",
    {
        "lacks a field": (lambda kept: kept.pop("sold"), "Pile lacks 'sold'"),
        "has another field": (lambda kept: kept.update(price=3), "Pile has 'price', which is unknown"),
        "text for a number": (lambda kept: kept["sheets"][1].update(width="2"), r"Pile.sheets\[1\].width is '2'"),
        "a truth for a number": (lambda kept: kept["sheets"][0].update(number=True), "number is True"),
        "a share for a count": (lambda kept: kept["sheets"][0].update(number=1.0), "number is 1.0"),
        "below 0": (lambda kept: kept["sheets"][0].update(number=-1), "number is -1"),
        "null": (lambda kept: kept.update(sold=None), "Pile.sold is None"),
        "an object for a list": (lambda kept: kept.update(sheets={}), "Pile.sheets is {}"),
        "a list for an object": (lambda kept: kept["sheets"].append([]), r"Pile.sheets\[2\] is \[\]"),
        "a bad value by name": (lambda kept: kept["weights"]["a"].append(None), r"weights\['a'\]\[2\] is None"),
        "no day": (lambda kept: kept.update(day="soon"), "soon"),
        "a time of no zone": (
            lambda kept: kept.update(made_at="2026-03-02T01:00"),
            "made_at is .*, a time of no zone",
        ),
    }.values(),
)
def test_what_is_not_so_is_named(change: Callable[[Any], Any], told: str) -> None:
    kept = json.loads(json.dumps(to_json(PILE)))
    change(kept)
    with pytest.raises(ValueError, match=told):
        from_json(Pile, kept)
    with pytest.raises(ValueError, match="Pile is 3"):
        from_json(Pile, 3)


def test_what_json_has_no_word_for_is_refused() -> None:
    with pytest.raises(TypeError, match="no JSON value"):
        to_json(Sheet(1, 1.0, b"thin"))  # type: ignore[arg-type]
