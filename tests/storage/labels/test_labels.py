"""Labels from files of people and of ours; the latest word holds, and no word is lost."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage import layout
from storage.errors import CorruptObject, InvalidKey, StorageError, TransientFault
from storage.filesystem import LocalStore, Store, open_store
from storage.labels import labels
from storage.labels.labels import (
    Label,
    append_label,
    contradictions,
    normal_image_keys,
    read_label_history,
    read_labels,
    undo,
    write_labels,
)
from storage.stores import parquet
from tests.object_stores import Bucket
from tests.storage.faulty_store import FaultyStore

NOW = datetime(2026, 3, 3, 2, 0, tzinfo=UTC)
GOOD = Label("images/c/1.png", "normal", None, "ann", NOW)
BAD = Label("images/c/2.png", "anomalous", "labels/c/masks/2.png", "ann", NOW, kind="scratch")


def test_labels_are_read_as_written(local: LocalStore) -> None:
    assert write_labels(local, "c", [BAD, GOOD], "first") == "labels/c/first.parquet"
    table = read_labels(local, "c")
    assert table.schema.equals(labels.SCHEMA)
    assert [Label(**row) for row in table.to_pylist()] == [GOOD, BAD]
    assert normal_image_keys(local, "c") == ["images/c/1.png"]
    assert labels.list_label_categories(local) == ["c"]


def test_no_labels(local: LocalStore) -> None:
    assert read_labels(local, "c").schema.equals(labels.SCHEMA)
    assert normal_image_keys(local, "c") == []
    write_labels(local, "c", [], "none")
    assert len(read_labels(local, "c")) == 0


def test_the_latest_word_holds_whichever_file_has_it(local: LocalStore) -> None:
    later = replace(GOOD, label="anomalous", labelled_at=NOW + timedelta(hours=1))
    latest = replace(GOOD, label="normal", labelled_at=NOW + timedelta(hours=2), labelled_by="bob")
    write_labels(local, "c", [later], "z")
    write_labels(local, "c", [GOOD, latest], "a")
    [row] = read_labels(local, "c").to_pylist()
    assert Label(**row) == latest


def test_a_csv_of_a_spreadsheet(local: LocalStore) -> None:
    text = (
        "\ufeffimage_key, label ,kind,labelled_at,comment\r\n"
        "images/c/1.png,normal,,2026-03-03T04:00:00+02:00,fine\r\n"
        '"images/c/a, b.png", anomalous ,dent,2026-03-03,\r\n'
    ).replace(" label ", "label")
    local.write("labels/c/by hand.csv", text.encode())
    local.write("labels/c/masks/2026-03-02/x.csv", b"no labels")
    local.write("labels/c/readme.txt", b"no labels")
    rows = read_labels(local, "c").to_pylist()
    assert [(row["image_key"], row["label"], row["kind"]) for row in rows] == [
        ("images/c/1.png", "normal", None),
        ("images/c/a, b.png", "anomalous", "dent"),
    ]
    assert rows[0]["labelled_at"] == NOW
    assert rows[1]["labelled_at"] == datetime(2026, 3, 3, tzinfo=UTC)


def test_a_label_without_a_time_is_as_old_as_its_file(local: LocalStore) -> None:
    local.write("labels/c/a.csv", b"image_key,label\nimages/c/1.png,anomalous\n")
    write_labels(local, "c", [GOOD], "b")  # months before the file was written
    [row] = read_labels(local, "c").to_pylist()
    assert row["label"] == "anomalous"
    assert datetime.now(UTC) - row["labelled_at"] < timedelta(minutes=5)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("image_key,label\na,normal\nb,okay\n", r"bad.csv, line 3: the label 'okay' is unknown.*normal or anomalous"),
        ("image_key,verdict\na,normal\n", r"bad.csv has no column label .*verdict.*image_key and label"),
        ("", r"bad.csv is empty, so no label was read"),
        ("image_key,label\n,normal\n", r"line 2: image_key is empty"),
        ("image_key,label,labelled_at\na,normal,last week\n", r"line 2: labelled_at 'last week'"),
    ],
)
def test_a_mistake_in_a_csv_is_named(local: LocalStore, text: str, words: str) -> None:
    local.write("labels/c/bad.csv", text.encode())
    with pytest.raises(StorageError, match=words):
        read_labels(local, "c")


def test_files_that_are_not_what_they_are_called(local: LocalStore) -> None:
    local.write("labels/c/bad.csv", "image_key,label\nübel,normal\n".encode("latin-1"))
    with pytest.raises(StorageError, match="UTF-8"):
        read_labels(local, "c")
    local.write("labels/d/bad.parquet", b"PAR1 no")
    with pytest.raises(CorruptObject, match=r"bad\.parquet"):
        read_labels(local, "d")
    local.write("labels/e/bad.parquet", parquet.to_bytes(pa.table({"image_key": ["a"]})))
    with pytest.raises(StorageError, match="no column label"):
        read_labels(local, "e")


def test_wrong_labels_are_not_written(local: LocalStore) -> None:
    for wrong in (replace(GOOD, label="good"), replace(GOOD, labelled_at=NOW.replace(tzinfo=None))):
        with pytest.raises(StorageError, match="row 2"):
            write_labels(local, "c", [GOOD, wrong], "x")
    with pytest.raises(InvalidKey):
        write_labels(local, "c", [GOOD], "../x")
    assert list(local.list("")) == []


def said(word: str, minutes: float = 0, image: str = "1", **fields: object) -> Label:
    return replace(
        GOOD, image_key=f"images/c/{image}.png", label=word, labelled_at=NOW + timedelta(minutes=minutes), **fields
    )


def held(store: Store) -> dict[str, str]:
    return {row["image_key"][9:-4]: row["label"] for row in read_labels(store, "c").to_pylist()}


@pytest.mark.parametrize("word", ["unsure", "withdrawn"])
def test_an_image_whose_latest_word_is_undecided_has_no_label(local: LocalStore, word: str) -> None:
    write_labels(local, "c", [said("normal"), said(word, 1), said("anomalous", image="2"), said(word, -1, "2")], "x")
    assert held(local) == {"2": "anomalous"}
    assert normal_image_keys(local, "c") == []


def test_the_history_keeps_every_word_with_its_model_and_score(local: LocalStore) -> None:
    seen = said("anomalous", 5, model_version="v1", score=1.25)
    append_label(local, "c", seen, reviewer="bob")
    write_labels(local, "c", [BAD, GOOD], "first")
    local.write("labels/c/hand.csv", b"image_key,label,labelled_at,score\nimages/c/1.png,unsure,2026-03-04,\n")
    history = read_label_history(local, "c")
    assert history.schema.equals(labels.HISTORY_SCHEMA)
    assert labels.SCHEMA.names == history.schema.names[: len(labels.SCHEMA)]
    words = labels.to_labels(history)
    assert words[:3] == [BAD, GOOD, replace(seen, labelled_by="bob")]
    assert (words[3].label, words[3].score, words[3].model_version, words[3].labelled_by) == ("unsure", *[None] * 3)
    assert all(a.labelled_at <= b.labelled_at for a, b in pairwise(words))
    assert read_labels(local, "c").schema.equals(labels.SCHEMA)


def test_files_of_before_the_newer_columns_are_read_and_appended_to(local: LocalStore) -> None:
    key = layout.review_labels_key("c", "bob", NOW.date())
    local.write(key, parquet.to_bytes(labels.to_table([GOOD]).select(labels.SCHEMA.names)))
    assert append_label(local, "c", said("anomalous", 1, model_version="v1", score=2.0), reviewer="bob") == key
    words = labels.to_labels(read_label_history(local, "c"))
    assert [(word.label, word.model_version, word.score) for word in words] == [
        ("normal", None, None),
        ("anomalous", "v1", 2.0),
    ]


def test_a_score_that_is_no_number_is_named(local: LocalStore) -> None:
    local.write("labels/c/bad.csv", b"image_key,label,score\na,normal,high\n")
    with pytest.raises(StorageError, match=r"bad\.csv, line 2: score 'high'"):
        read_label_history(local, "c")


@pytest.mark.parametrize("place", ["local", "moto_s3"])
def test_a_hundred_labels_at_once_of_two_reviewers_are_all_kept(request: pytest.FixtureRequest, place: str) -> None:
    where = request.getfixturevalue(place)
    store = open_store(where.uri) if isinstance(where, Bucket) else where
    with ThreadPoolExecutor(4) as pool:
        list(
            pool.map(
                lambda i: append_label(store, "c", said("normal", i / 60, f"{i:03}"), reviewer=("ann", "bob")[i % 2]),
                range(100),
            )
        )
    assert sorted(held(store)) == [f"{i:03}" for i in range(100)]
    assert len(labels.label_files(store, "c")) == 2


def test_a_label_whose_answer_was_lost_is_kept_once(local: LocalStore) -> None:
    for number, after in enumerate((True, False)):
        store = FaultyStore(local.root, fails_at=1, after=after)
        label = said("anomalous", image=str(number))
        with pytest.raises(TransientFault):
            append_label(store, "c", label, reviewer="ann")
        append_label(store, "c", label, reviewer="ann")
    assert [word.image_key for word in labels.to_labels(read_label_history(local, "c"))] == [
        "images/c/0.png",
        "images/c/1.png",
    ]


def test_a_file_an_append_and_a_day(local: LocalStore) -> None:
    late = NOW.astimezone(UTC).replace(hour=23)
    first = append_label(local, "c", replace(GOOD, labelled_at=late), reviewer="Ann B.")
    second = append_label(local, "c", replace(GOOD, labelled_at=late + timedelta(hours=2)), reviewer="Ann B.")
    assert first.startswith("labels/c/review-ann-b-") and first.endswith("-2026-03-03.parquet")
    assert second == first.replace("03-03", "03-04")


@pytest.mark.parametrize("wrong", [{"label": "good"}, {"image_key": ""}, {"labelled_at": NOW.replace(tzinfo=None)}])
def test_wrong_labels_are_not_appended(local: LocalStore, wrong: dict) -> None:
    with pytest.raises(StorageError):
        append_label(local, "c", replace(GOOD, **wrong), reviewer="ann")
    for nobody in ("", " \t"):
        with pytest.raises(InvalidKey, match="no name"):
            append_label(local, "c", GOOD, reviewer=nobody)
    assert list(local.list("")) == []


NAMES = st.one_of(
    st.text(min_size=1, max_size=80),
    st.sampled_from(["../../x", "a/b", "A b", "a b", "a-b", "Jürgen", "Jurgen", "李", "\x00", "." * 60, "\ud800"]),
).filter(str.strip)


@given(NAMES, NAMES)
def test_reviewers_names_make_plain_keys_that_never_meet(one: str, other: str) -> None:
    first, second = (layout.review_labels_key("c", name, NOW.date()) for name in (one, other))
    assert layout.why_key_is_unsafe(first) is None
    assert first.count("/") == 2
    assert first.isascii()
    assert len(first) < 120
    assert (first == second) == (one == other)


@pytest.mark.parametrize(
    "names", [("A b", "a-b"), ("Jürgen", "Jurgen"), ("a" * 60, "a" * 61), ("李", "王"), ("e\u0301", "\u00e9")]
)
def test_names_that_look_alike_as_keys_stay_apart(names: tuple[str, str]) -> None:
    assert len({layout.reviewer_segment(name) for name in names}) == 2


def test_undo_brings_back_what_held_before(local: LocalStore) -> None:
    write_labels(local, "c", [replace(BAD, image_key="images/c/1.png")], "ann")
    first, second = said("normal", 1, labelled_by="bob"), said("unsure", 2, labelled_by="bob")
    for word in (first, second):
        append_label(local, "c", word, reviewer="bob")
    assert held(local) == {}
    back = undo(local, "c", second, reviewer="bob", now=NOW + timedelta(minutes=3))
    assert (back.label, back.labelled_by, held(local)) == ("normal", "bob", {"1": "normal"})
    back = undo(local, "c", first, reviewer="bob", now=NOW + timedelta(minutes=4))
    assert (back.label, back.mask_key, back.kind) == ("anomalous", BAD.mask_key, "scratch")
    assert held(local) == {"1": "anomalous"}
    assert [word.label for word in labels.to_labels(read_label_history(local, "c"))] == [
        "anomalous", "normal", "unsure", "normal", "anomalous",
    ]  # fmt: skip


def test_undo_of_an_only_word_withdraws_it(local: LocalStore) -> None:
    word = said("anomalous", purpose="evaluation", model_version="v1")
    append_label(local, "c", word, reviewer="bob")
    back = undo(local, "c", word, reviewer="bob", now=NOW)  # a clock that stands still
    assert (back.label, back.purpose, back.labelled_by) == ("withdrawn", "evaluation", "bob")
    assert back.labelled_at > NOW
    assert held(local) == {}


def test_undo_leaves_what_others_said_since(local: LocalStore) -> None:
    mine = said("anomalous")
    append_label(local, "c", mine, reviewer="bob")
    append_label(local, "c", said("normal", 1), reviewer="ann")
    append_label(local, "c", said("anomalous", 1, "2"), reviewer="bob")
    undo(local, "c", mine, reviewer="bob", now=NOW + timedelta(minutes=2))
    assert held(local) == {"1": "normal", "2": "anomalous"}


def test_contradictions_are_between_the_latest_words_of_different_people() -> None:
    rows = [
        *(said("normal", 0, "1", labelled_by="ann"), said("anomalous", 1, "1", labelled_by="bob")),
        *(said("normal", 3, "2", labelled_by="ann"), said("anomalous", 1, "2", labelled_by="ann")),
        *(said("normal", 0, "3", labelled_by="ann"), said("unsure", 1, "3", labelled_by="bob")),
        *(said("normal", 0, "4", labelled_by="ann"), said("anomalous", 1, "4", labelled_by="bob")),
        said("withdrawn", 2, "4", labelled_by="bob"),
        *(said("anomalous", 5, "5", labelled_by="ann"), said("normal", 1, "5", labelled_by=None)),
    ]
    found = contradictions(labels.to_table(rows))
    assert [one.image_key for one in found] == ["images/c/1.png", "images/c/5.png"]
    assert found[1].words == (
        (None, "normal", NOW + timedelta(minutes=1)),
        ("ann", "anomalous", NOW + timedelta(minutes=5)),
    )
    assert contradictions(labels.to_table([])) == []
