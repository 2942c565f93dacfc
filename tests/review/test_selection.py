"""What may stand in an address, and what it says."""

from datetime import date

import pytest

from review.selection import Selection, WrongSelection

DAY = date(2026, 1, 14)
FULL = Selection("band", "cloth", DAY, 1.2, 3.5, "normal", "Zoë & Co", "highest")


def test_an_address_leads_to_the_same_list() -> None:
    query = "?show=band&category=cloth&day=2026-01-14&from=1.2&to=3.5&label=normal&by=Zo%C3%AB+%26+Co&sort=highest"
    assert FULL.address() == query
    sent = {"show": "band", "category": "cloth", "day": "2026-01-14", "label": "normal", "by": " Zoë  & Co "}
    assert Selection.from_address({**sent, "from": "1,2", "to": "3.5", "sort": "highest", "page": "2"}) == FULL
    assert Selection.from_address({}) == Selection.from_address({"show": "", "from": "", "by": " "}) == Selection()
    assert (Selection().address(), Selection().address(key="ü/a b")) == ("", "?key=%C3%BC%2Fa+b")
    exact = Selection(show="all", lowest=1.0500001)
    assert exact.address() == "?show=all&from=1.0500001"


def test_an_address_in_words() -> None:
    assert FULL.in_words() == (
        "cloth, 14 January 2026, in the review band, score from 1.2, score to 3.5, labelled normal, by Zoë & Co, "
        "highest score first"
    )
    assert Selection().in_words() == "all categories, all days, to label"
    assert Selection(show="look", sort="name").in_words() == "all categories, all days, look at these first, by name"


@pytest.mark.parametrize(
    "wrong", [{"show": "flaged"}, {"label": "good"}, {"sort": "date"}, {"day": "14.1."}, {"from": "x"}, {"to": "nan"}]
)
def test_what_asks_for_no_list_is_named(wrong: dict[str, str]) -> None:
    [(name, value)] = wrong.items()
    with pytest.raises(WrongSelection, match=f"{name}='{value}'"):
        Selection.from_address(wrong)


@pytest.mark.parametrize(
    ("selection", "shrinks", "counts_down"),
    [
        (Selection(), True, True),
        (Selection("look"), False, False),
        (Selection("all", label="none"), True, True),
        (Selection("all", label="none", by="ann"), True, False),
        (Selection("all", label="normal"), True, False),
        (Selection("flagged", by="ann"), True, False),
    ],
)
def test_what_labels_do_to_a_list(selection: Selection, shrinks: bool, counts_down: bool) -> None:
    assert (selection.shrinks, selection.counts_down) == (shrinks, counts_down)
