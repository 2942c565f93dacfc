"""Any image of any day: which are in a list, and in which order."""

from collections.abc import Callable, Iterator
from datetime import date, timedelta
from typing import Any

import pytest

from review import sealed_rows
from review.desk import Desk, WrongRequest
from review.selection import Selection
from storage.errors import KeyNotFound, UnreadableImage
from storage.filesystem import LocalStore
from storage.labels.labels import Label, append_label, read_label_history, to_labels, write_labels
from storage.partitions import scores
from storage.partitions.first_looks import first_looks
from tests.review.night import DAY, NOW, Scored, put_night

CUT = f"images/cloth/{DAY}/cut.png"
NEXT = DAY + timedelta(days=1)
NIGHT = {
    "sub/über.png": Scored(3.0, 0.01, "reject"),
    "near.png": Scored(1.05, 0.02, "review"),
    "under.png": Scored(0.9, 0.4, "review"),
    "ordinary.png": Scored(0.5, 0.6, "accept"),
    "cut.png": Scored(0.0, 0.0, status="unreadable"),
    "black.png": Scored(0.0, 0.0, status="rejected"),
}
LATER = {"tomorrow.png": Scored(1.5, 0.01, "reject"), "calm.png": Scored(0.2, 0.9, "accept")}


def put_plant(store: LocalStore) -> dict[str, str]:
    keys = put_night(store, found=NIGHT) | put_night(store, found=LATER, day=NEXT, version="v2")
    return keys | put_night(store, "metal", {"m.png": Scored(2.0, 0.01, "reject")})


@pytest.fixture
def plant(store: LocalStore) -> dict[str, str]:
    return put_plant(store)


@pytest.fixture
def desk(store: LocalStore, plant: dict[str, str], desk_of: Callable[..., Desk]) -> Desk:
    return desk_of(store, store)


@pytest.fixture(scope="module")
def read_only(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """A desk that nobody labels at, shared by tests that look alone."""
    store = LocalStore(tmp_path_factory.mktemp("plant"))
    put_plant(store)
    desk = Desk(store, store)
    yield desk
    desk.close()


def listed(desk: Desk, reviewer: str = "ann", **selection: Any) -> list[str]:
    """Names of the images in a list."""
    found = desk.page(Selection(**{"show": "all", "category": "cloth", **selection}), reviewer, 20, 0)
    assert found["count"] == len(found["rows"])
    return [row["short_name"] for row in found["rows"]]


@pytest.mark.parametrize(
    ("selection", "names"),
    [
        ({"day": DAY}, ["near.png", "under.png", "ordinary.png", "sub/über.png", "black.png", "cut.png"]),
        ({"day": DAY, "sort": "name"}, [
            "black.png", "cut.png", "near.png", "ordinary.png", "sub/über.png", "under.png",
        ]),
        ({"day": DAY, "show": "not-flagged", "sort": "lowest"}, ["ordinary.png", "under.png"]),
        ({"day": DAY, "show": "flagged", "sort": "highest"}, ["sub/über.png", "near.png"]),
        ({"day": DAY, "show": "band"}, ["near.png", "under.png"]),
        ({"show": "look"}, ["near.png", "under.png", "tomorrow.png", "sub/über.png"]),
        ({"show": "unreadable"}, ["cut.png"]),
        ({"show": "rejected", "day": DAY}, ["black.png"]),
        ({"show": "not-flagged"}, ["under.png", "ordinary.png", "calm.png"]),
        ({"day": DAY, "lowest": 0.9, "highest": 1.05}, ["near.png", "under.png"]),
        ({"day": NEXT, "sort": "highest"}, ["tomorrow.png", "calm.png"]),
        ({"day": date(2026, 3, 5)}, []),
        ({"category": None, "show": "flagged", "sort": "highest"}, [
            "sub/über.png", "m.png", "tomorrow.png", "near.png",
        ]),
    ],
)  # fmt: skip
def test_images_of_a_list(read_only: Desk, selection: dict[str, Any], names: list[str]) -> None:
    assert listed(read_only, **selection) == names


def test_lists_by_label_and_by_who_said_it(desk: Desk, store: LocalStore, plant: dict[str, str]) -> None:
    def said(name: str, word: str, who: str, minutes: int) -> None:
        label = Label(plant[name], word, None, None, NOW + timedelta(minutes=minutes))
        append_label(store, "cloth", label, reviewer=who)

    said("near.png", "normal", "ann", 0)
    said("near.png", "anomalous", "Bob", 1)
    said("ordinary.png", "normal", "Bob", 2)
    said("under.png", "unsure", "ann", 3)
    said("calm.png", "normal", "Bob", 4)
    said("calm.png", "withdrawn", "Bob", 5)
    assert listed(desk, label="normal") == ["ordinary.png"]
    assert listed(desk, label="anomalous") == ["near.png"]
    assert listed(desk, label="unsure") == ["under.png"]
    assert listed(desk, label="differ") == ["near.png"]
    assert listed(desk, label="none", sort="name") == [
        "black.png", "cut.png", "sub/über.png", "calm.png", "tomorrow.png",
    ]  # fmt: skip
    assert listed(desk, by="BOB") == ["near.png", "ordinary.png"]
    assert listed(desk, by="ann", label="normal") == ["near.png"]
    assert listed(desk, by="Bob", label="none", day=DAY, lowest=0.0) == ["under.png", "sub/über.png"]
    assert listed(desk, show="to-label") == ["tomorrow.png", "sub/über.png"]
    assert listed(desk, by="nobody") == []
    assert desk.people("cloth") == ["ann", "Bob"]


def test_what_to_look_at_first_is_the_reports_list(read_only: Desk) -> None:
    store = read_only._store
    [part] = store.list(f"scores/run_date={DAY}/category=cloth/")
    report = first_looks(scores.read_part(store, part.key), 0.05, 12)["image_key"].to_pylist()
    assert report == [row["key"] for row in read_only.page(Selection("look", "cloth", DAY), "ann", 20, 0)["rows"]]
    assert len(report) == 3


def test_a_page_begins_shortly_before_the_image_that_is_asked_for(read_only: Desk) -> None:
    every = Selection("all", "cloth", DAY, sort="name")
    page = read_only.page(every, "ann", 2, 0, at=f"images/cloth/{DAY}/sub/über.png")
    assert ([row["short_name"] for row in page["rows"]], page["offset"]) == (["ordinary.png", "sub/über.png"], 3)
    assert read_only.page(every, "ann", 2, 1, at="images/cloth/2026-03-02/nowhere.png")["offset"] == 1


def test_days_the_latest_first(read_only: Desk) -> None:
    assert (read_only.days("cloth"), read_only.days("metal")) == ([NEXT, DAY], [DAY])


def test_only_some_days_are_held(read_only: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sealed_rows, "_DAYS_KEPT", 1)
    assert [len(listed(read_only, day=day)) for day in (DAY, NEXT, DAY)] == [6, 2, 6]


def test_a_file_that_does_not_read_is_shown_as_such(read_only: Desk) -> None:
    row = read_only.image(CUT, "ann")
    assert (row["state"], row["error"], row["score"], row["flagged"]) == (
        "unreadable", "the file is cut off", "none", False,
    )  # fmt: skip
    with pytest.raises(UnreadableImage, match="cut off"):
        read_only.pictures.picture(read_only.row(CUT))
    with pytest.raises(WrongRequest, match="cut off"):
        read_only.add_label({"key": CUT, "etag": row["etag"], "word": "normal"}, "ann")


def test_an_image_that_is_gone_is_named_as_gone(desk: Desk, store: LocalStore, plant: dict[str, str]) -> None:
    store.root.joinpath(plant["near.png"]).unlink()
    with pytest.raises(KeyNotFound, match="is missing"):
        desk.pictures.picture(desk.row(plant["near.png"]))


def test_a_label_is_for_what_the_reviewer_chose(desk: Desk, store: LocalStore, plant: dict[str, str]) -> None:
    key = plant["near.png"]
    sent = {"key": key, "etag": desk.row(key).etag, "word": "normal"}
    assert desk.image(key, "ann")["purpose"] == "training"
    for purpose in ("evaluation", "", "training", None, "evaluation"):
        told = desk.add_label({**sent, "purpose": purpose}, "ann")
        assert told["row"]["purpose"] == told["purpose"] == (purpose or told["purpose"])
    with pytest.raises(WrongRequest, match="testing"):
        desk.add_label({**sent, "purpose": "testing"}, "ann")
    said = to_labels(read_label_history(store, "cloth"))
    assert [label.purpose for label in said] == ["evaluation", "training", "evaluation"]


def test_words_of_nobody_name_their_file(
    store: LocalStore, plant: dict[str, str], desk_of: Callable[..., Desk]
) -> None:
    desk = desk_of(store, store, clock=lambda: NOW)
    words = [Label(plant["near.png"], "normal", None, by, NOW, purpose="evaluation") for by in (None, "Eva")]
    write_labels(store, "cloth", words, "old")
    assert desk.image(plant["near.png"], "ann")["words"] == [
        "Eva labelled it normal on 3 March at 02:00, for evaluation",
        "Somebody without a name (in labels/cloth/old.parquet) labelled it normal on 3 March at 02:00, for "
        "evaluation",
    ]
