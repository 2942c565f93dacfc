"""Tables of labels as people make them: what is taken, and what is refused with the line and the cure."""

import os
import unicodedata
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.errors import StorageError
from storage.filesystem import LocalStore
from storage.labels import annotators, labels
from storage.labels.findings import label_findings
from storage.labels.labels import Label, contradictions, read_label_history, read_labels, rows_in, write_labels
from storage.labels.parquet_rows import _cells
from storage.labels.reading import table_reading
from storage.stores import parquet

NOW = datetime(2026, 3, 3, 2, 0, tzinfo=UTC)
HEADER = "image_key,label,kind\n"


def csv_words(data: str | bytes, name: str = "t.csv") -> list[tuple[str, str, str | None]]:
    found = rows_in(data if isinstance(data, bytes) else data.encode(), name)
    return [(cells["image_key"], cells["label"], cells["kind"]) for _, cells in found]


ROWS = [("a.png", "normal", None), ("b.png", "anomalous", "hole, deep")]


@pytest.mark.parametrize(
    "encoded",
    [
        b'image_key,label,kind\na.png,normal,\nb.png,anomalous,"hole, deep"\n',
        b'\xef\xbb\xbf"image_key";"label";"kind"\r\na.png;Normal;\r\nb.png;ANOMALOUS;hole, deep\r\n;;\r\n',
        "image_key\tlabel\tkind\na.png\tnormal\t\nb.png\tanomalous\thole, deep\n".encode("utf-16"),
        "image_key\tlabel\tkind\na.png\tnormal\t\nb.png\tanomalous\thole, deep\n".encode("utf-32"),
        b"sep=;\r\nimage_key;label;kind\r\na.png;normal;\r\nb.png;anomalous;hole, deep\r\n",
        b"\r\nImage Key | LABEL | Kind\r\na.png|normal|\r\n\r\nb.png|anomalous|hole, deep\r\n",
        b'image_key,label,kind\ra.png,normal,,,\rb.png, anomalous, "hole, deep",\r',
        b'image-key,note,label,kind\na.png,"look,\nagain",normal,\nb.png,,anomalous,"hole, deep"\n',
    ],
)
def test_tables_as_spreadsheets_write_them(encoded: bytes) -> None:
    assert csv_words(encoded) == ROWS


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            'a,normal,\nb,anomalous,"5 mm\nc,anomalous,hole\n',
            r"line 3: a quote opens.*seen by line 4.*Close the quote",
        ),
        ('a,normal,\nb,anomalous,"5 mm\nc,anomalous,7 mm"\nd,normal,\n', "line 3: a quote .* closes 1 lines below"),
        ('a,normal,"\nb,anomalous,"\nc,normal,\n', "line 2: a quote .*'kind' holds 2 lines"),
        ('a,normal,"5 mm" deep\n', "line 2: a quote opens a cell"),
        ('"a\nb",normal,\n', "line 2: a quote .*'image_key'"),
        ("a,normal\n", "line 2: the row has 2 cells and the header 3"),
        ("a, normal,deep, hole\n", "line 2: the row has 4 cells and the header 3"),
        (f"a,normal,{'x' * 131_073}\n", "line 2: a cell has more than 131,072 characters"),
        ("a,normal,\nb,norm\0al,\n", "line 3: there is a character of value 0"),
        ("a,normal,x\x1by\n", "line 2: kind .*control character"),
        (",normal,\n", "line 2: image_key is empty"),
        ("a,,\n", "line 2: the label '' is unknown"),
    ],
)
def test_a_row_that_could_be_lost_is_named(text: str, told: str) -> None:
    with pytest.raises(StorageError, match=f"t.csv, {told}"):
        csv_words(HEADER + text)


def test_a_quote_left_open_in_a_remark_swallows_no_row() -> None:
    with pytest.raises(StorageError, match=r"line 2: a quote .*number 3 holds 2 lines"):
        csv_words('image_key,label,note\na,normal,"5 mm\nb,anomalous,7 mm"\nc,normal,\n')


def test_a_decimal_comma_is_read_where_no_comma_parts_cells() -> None:
    for one in (";", "\t", "|"):
        [(_, cells)] = rows_in(f"image_key{one}label{one}score\na{one}normal{one}0,53\n".encode(), "t.csv")
        assert cells["score"] == 0.53


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"", "is empty, so no label"),
        (b"image_key,kind\n", "no column label"),
        (b'image_key,label,score\na,normal,"1,250"\n', "line 2: score '1,250' is not a number"),
        (b"image_key,label,Label\na,normal,normal\n", "the column label 2 times"),
        (b"image_key,label,labeled_by\na,normal,eva\n", "'labeled_by', which is not known: if it is labelled_by"),
        ("image_key,label\nä,normal\n".encode("cp1252"), "line 2: the byte 0xe4 is not UTF-8"),
        ("image_key,label\na,normal\n".encode("utf-16-le"), "line 1: there is a character of value 0"),
        (b"PK\x03\x04...", "an Excel workbook"),
        (b"PAR1...", "call it .parquet"),
        (b'[{"id": 1}]', "is JSON"),
        (b"image_key,label,labelled_at\na,normal,0001-01-01T00:00:00+05:00\n", "line 2: labelled_at .* is no time"),
        (b"image_key,label,labelled_at\na,normal,1763791200\n", "line 2: labelled_at '1763791200' is no time"),
        (b"image_key,label,score\na,normal,inf\n", "line 2: score 'inf' is larger than"),
        (b"image_key,label,purpose\na,normal,test\n", "line 2: the purpose 'test' is unknown"),
    ],
)
def test_a_file_that_cannot_be_read_rightly_is_refused(data: bytes, told: str) -> None:
    with pytest.raises(StorageError, match=told):
        csv_words(data)


# What a person says of a table that does not say it itself


def told(data: bytes, name: str = "t.csv", **reading: Any) -> list[tuple[str, str, str | None]]:
    found = rows_in(data, name, table_reading(**reading))
    return [(cells["image_key"], cells["label"], cells["labelled_by"]) for _, cells in found]


FOREIGN = "Datei;Befund;Prüfer;label\na.png;i.O.;Jörg;x\nb.png;n.i.O.;;\n"
HEADINGS = {"image": "Datei", "label": "befund", "labelled-by": "Prüfer"}
MEANINGS = {"i.O.": "normal", "N.I.O. ": "anomalous"}


@pytest.mark.parametrize(
    ("data", "more"),
    [
        (FOREIGN.encode(), {}),
        (FOREIGN.encode("cp1252"), {"encoding": "cp1252"}),
        (FOREIGN.encode("utf-16-le"), {"encoding": "utf-16-le"}),
        (FOREIGN.encode("utf-16"), {"encoding": "utf-16-le", "delimiter": "semicolon"}),
        (FOREIGN.replace(";", "~").encode("utf-8-sig"), {"encoding": "utf8", "delimiter": "~"}),
        (FOREIGN.replace(";", "\t").encode(), {"delimiter": "\\t"}),
        (b"sep=~\n" + FOREIGN.replace(";", "~").encode(), {}),
    ],
)
def test_a_foreign_table_is_read_as_told(data: bytes, more: dict[str, str]) -> None:
    assert told(data, columns=HEADINGS, words=MEANINGS, **more) == [
        ("a.png", "normal", "Jörg"),
        ("b.png", "anomalous", None),
    ]
    assert labels.other_columns(data, "t.csv", table_reading(columns=HEADINGS, **more)) == ["label"]


def test_signs_of_a_label_count_and_parquet_is_told_of_too() -> None:
    columns = {"Datei": pa.array(["a", "b"]), "y": pa.array([1, -1]), "bad": pa.array([False, True])}
    data = parquet.to_bytes(pa.table(columns))
    for heading, words in (("y", {"1": "normal", "-1": "anomalous"}), ("bad", {"False": "normal", "true": "unsure"})):
        found = told(data, "t.parquet", columns={"image": "Datei", "label": heading}, words=words)
        assert [label for _, label, _ in found] == list(words.values())


@pytest.mark.parametrize(
    ("name", "data", "reading", "why"),
    [
        (
            "t.csv",
            b"a;b;c\n",
            {},
            "it has, with the delimiter semicolon: a, b, c.*--column image=HEADING --column label",
        ),
        ("t.csv", b"image_key;label\na;normal;x\n", {}, "with the delimiter semicolon"),
        (
            "t.csv",
            b"a,b\n",
            {"columns": {"image": "c"}},
            "no heading 'c' .it has, with the delimiter comma: a, b., so --column image=c ",
        ),
        ("t.csv", b"b,B,label\n", {"columns": {"image": "_b"}}, "has 2 headings '_b'"),
        ("t.csv", b"a\n", {"columns": {"image": "a", "label": "a"}}, "heading 'a' is given for 2 columns"),
        ("t.csv", b"a\n", {"columns": {"image": "a", "image_key": "b"}}, "image_key is given twice"),
        ("t.csv", b"a\n", {"columns": {"picture": "a"}}, "no column 'picture'"),
        ("t.csv", b"a\n", {"delimiter": ";;"}, "cannot separate cells"),
        ("t.csv", b"a\n", {"delimiter": "x"}, "cannot separate cells"),
        ("t.csv", b"sep=;\na;b\n", {"delimiter": ","}, "is semicolon, and --delimiter says comma"),
        ("t.csv", b"a\n", {"encoding": "rot13"}, "'rot13' is not a text encoding"),
        ("t.csv", b"a\n", {"encoding": "windows-europe"}, "is not a text encoding"),
        ("t.csv", b"\xef\xbb\xbfa\n", {"encoding": "cp1252"}, "the mark of UTF-8, and --encoding says cp1252"),
        ("t.csv", b"\x81\n", {"encoding": "cp1252"}, "0x81 is not CP1252 text.*another --encoding"),
        ("t.csv", b"\xe4\n", {}, "0xe4 is not UTF-8 text.*--encoding cp1252"),
        ("t.csv", "a\n".encode("utf-16-be"), {}, "--encoding utf-16-be"),
        ("t.csv", b"a\n", {"words": {"OK": "good"}}, "'good' is no label"),
        ("t.csv", b"image_key,label\na,OK\n", {}, "label 'OK' is unknown.*--word OK=normal"),
        ("t.parquet", b"", {"delimiter": ","}, "has no delimiter"),
        ("t.parquet", b"", {"encoding": "utf-8"}, "has no encoding"),
    ],
)
def test_what_is_told_and_does_not_fit_is_refused(name: str, data: bytes, reading: dict[str, Any], why: str) -> None:
    with pytest.raises(StorageError, match=why):
        told(data, name, **reading)


def table_of(**columns: pa.Array) -> bytes:
    known = {"image_key": pa.array(["a"]), "label": pa.array(["normal"]), **columns}
    return parquet.to_bytes(pa.table(known))


def first_of(**columns: pa.Array) -> dict[str, object]:
    [(_, cells)] = rows_in(table_of(**columns), "t.parquet")
    return cells


@pytest.mark.parametrize(
    ("column", "name"),
    [
        (pa.array([7]), "7"),
        (pa.array([7.0]), "7"),
        (pa.array([Decimal("7.00")]), "7"),
        (pa.array(["7.0"]), "7"),
        (pa.array([7]).dictionary_encode(), "7"),
        (pa.array([" Eva  M. "], pa.large_string()), "Eva M."),
        (pa.array([b"Eva"]), "Eva"),
        (pa.array([float("nan")]), None),
        (pa.nulls(1), None),
    ],
)
def test_annotators_of_any_type_are_text(column: pa.Array, name: str | None) -> None:
    assert first_of(labelled_by=column)["labelled_by"] == name


@pytest.mark.parametrize(
    "column",
    [
        pa.array([1767225600_123456_789], pa.timestamp("ns")),
        pa.array([1767225600_123456_789], pa.timestamp("ns", "Asia/Tokyo")),
        pa.array(["2026-01-01T09:00:00.123456789+09:00"]),
    ],
)
def test_times_are_cut_to_microseconds(column: pa.Array) -> None:
    assert first_of(labelled_at=column)["labelled_at"] == datetime(2026, 1, 1, 0, 0, 0, 123456, tzinfo=UTC)


def test_a_day_is_its_beginning() -> None:
    cells = first_of(labelled_at=pa.array([date(2026, 1, 1)]), score=pa.array([float("nan")], pa.float32()))
    assert (cells["labelled_at"], cells["score"]) == (datetime(2026, 1, 1, tzinfo=UTC), None)


@pytest.mark.parametrize(
    ("columns", "told"),
    [
        ({"label": pa.array([True])}, "row 1: the label 'true' is unknown.*--word true=normal"),
        ({"label": pa.array([1])}, "row 1: the label '1' is unknown"),
        ({"label": pa.nulls(1)}, "row 1: the label '' is unknown"),
        ({"image_key": pa.array([7])}, "row 1: image_key 7 is not text"),
        ({"labelled_by": pa.array([{"id": 7}])}, "the column labelled_by is of type struct"),
        ({"labelled_by": pa.array([7.5])}, "row 1: labelled_by 7.5 is not text"),
        ({"labelled_at": pa.array([1767225600])}, "row 1: labelled_at 1767225600 is no time"),
        (
            {"labelled_at": pa.array([1767225600_000 + 2**61], pa.timestamp("ms"))},
            "labelled_at of type timestamp.*cannot be read",
        ),
        ({"kind": pa.array([b"\xff"])}, "the column kind of type binary cannot be read"),
        ({"score": pa.array([float("inf")])}, "row 1: score inf is larger than"),
    ],
)
def test_cells_of_other_types_are_refused_in_words(columns: dict[str, pa.Array], told: str) -> None:
    with pytest.raises(StorageError, match=told):
        first_of(**columns)


def test_a_dictionary_without_the_word_of_a_row_is_refused() -> None:
    broken = pa.DictionaryArray.from_arrays(pa.array([5]), pa.array(["Eva"]), safe=False)
    with pytest.raises(StorageError, match=r"column labelled_by of type .* cannot be read"):
        _cells(pa.chunked_array([broken]), "labelled_by", "t.parquet")


def test_columns_of_somebody_elses_are_named() -> None:
    for name, data in (("t.csv", b"image_key,label,Store,Labelled At\n"), ("t.parquet", table_of(Store=pa.nulls(1)))):
        assert labels.other_columns(data, name) == ["Store"]


# Whatever a person's file holds ends in labels or in words


def mutated(draw: Callable[[st.SearchStrategy], int | bytes], data: bytes) -> bytes:
    changed = bytearray(data)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(changed) - 1))
        changed[at : at + draw(st.integers(0, 3))] = draw(st.binary(max_size=3))
    return bytes(changed) or b"x"


WELL = (
    'image_key,label,labelled_by,labelled_at,score\n"a ""1"".png",normal,Eva,2026-03-02T10:00:00Z,1.5\nb,unsure,,,\n'
)
WHOLE = parquet.to_bytes(labels.to_table([Label("a", "normal", None, "Eva", NOW, "dent", "training", "v1", 1.5)] * 3))


@given(st.data())
def test_any_bytes_are_labels_or_a_plain_refusal(data: st.DataObject) -> None:
    for name, whole in (("t.csv", WELL.encode()), ("t.parquet", WHOLE)):
        try:
            for _, cells in rows_in(mutated(data.draw, whole), name):
                assert cells["label"] in labels.WORDS
        except StorageError as e:
            assert "t." in str(e)


# One annotator, one identity


def test_one_annotator_is_one_however_spelled() -> None:
    eva = ["Eva Müller", "eva müller", " Eva  Müller", unicodedata.normalize("NFD", "Eva Müller"), "EVA M\u200bÜLLER"]
    assert len({annotators.identity(name) for name in eva}) == 1
    assert set(annotators.spellings(eva).values()) == {"Eva Müller"}
    assert annotators.identity("Eva") != annotators.identity("Eve")
    assert annotators.identity(" ") is annotators.identity(None) is None
    assert annotators.identity("7.5") != annotators.identity("7")


def test_a_person_contradicts_nobody_under_another_spelling(local: LocalStore) -> None:
    first = Label("a", "normal", None, "Eva", NOW)
    later = Label("a", "anomalous", None, "eva ", NOW + timedelta(hours=1))
    write_labels(local, "c", [first], "one")
    write_labels(local, "c", [later, Label("b", "normal", None, "EVA", NOW)], "two")
    assert contradictions(read_label_history(local, "c")) == []
    assert contradictions(labels.to_table([first, later])) == []
    assert set(read_labels(local, "c")["labelled_by"].to_pylist()) == {"Eva"}
    back = labels.undo(local, "c", later, reviewer="EVA", now=NOW + timedelta(hours=2))
    assert back.label == "normal"


# Times that cannot be true


@pytest.mark.parametrize("wrong", [timedelta(hours=2), timedelta(days=5000), -timedelta(days=20_000)])
def test_a_time_that_cannot_be_true_counts_as_none(local: LocalStore, wrong: timedelta) -> None:
    now = datetime.now(UTC)
    when = now + wrong
    local.write("labels/c/a.csv", f"image_key,label,labelled_at\n1,normal,{when.isoformat()}\n".encode())
    local.write("labels/c/b.csv", f"image_key,label,labelled_at\n1,anomalous,{now.isoformat()}\n".encode())
    for name, seconds in (("a", 60), ("b", 0)):
        os.utime(local.root / f"labels/c/{name}.csv", (now.timestamp() - seconds,) * 2)
    [row] = read_labels(local, "c").to_pylist()
    assert row["label"] == "anomalous"
    first, second = labels.label_files(local, "c")
    assert [label.labelled_at for label in labels.impossible_times(local, first)] == [when]
    assert labels.impossible_times(local, second) == []


def test_a_file_whose_own_time_was_lost_keeps_the_labels_times(local: LocalStore) -> None:
    write_labels(local, "c", [Label("1", "normal", None, None, NOW)], "x")
    os.utime(local.root / "labels/c/x.parquet", (0, 0))
    assert read_labels(local, "c")["labelled_at"].to_pylist() == [NOW]


# Files beside them


def test_litter_is_no_label_file(local: LocalStore) -> None:
    local.write("labels/c/all.CSV", b"image_key,label\n1,normal\n")
    for litter in ("c/._all.csv", "c/.DS_Store", "c/Thumbs.db", "c/desktop.ini", "c/~$labels.csv",
                   "c/.~lock.labels.csv#", "c/@eaDir/all.csv", "@eaDir/x.csv", "My things/x.csv"):  # fmt: skip
        local.write(f"labels/{litter}", b"\0\xff")
    assert labels.list_label_categories(local) == ["c"]
    assert len(read_labels(local, "c")) == 1
    local.write("labels/c/more.tsv", b"image_key\tlabel\n2\tnormal\n")
    assert len(read_labels(local, "c")) == 2
    local.write("labels/c/export.json", b"[]")
    local.write("labels/x.csv", b"image_key,label\n1,normal\n")
    assert labels.unread_label_keys(local) == ["labels/My things/x.csv", "labels/c/export.json", "labels/x.csv"]


def test_a_bad_file_is_told_of_and_the_others_count(local: LocalStore) -> None:
    local.write("labels/c/bad.csv", b"image_key,label\n1,okay\n")
    local.write("labels/c/worse.parquet", b"\0")
    write_labels(local, "c", [Label("2", "normal", None, None, NOW)], "x")
    told: list[str] = []
    assert read_labels(local, "c", unread=lambda key, _: told.append(key))["image_key"].to_pylist() == ["2"]
    assert told == ["labels/c/bad.csv", "labels/c/worse.parquet"]
    with pytest.raises(StorageError, match=r"bad\.csv, line 2"):
        read_labels(local, "c")


def test_labels_of_images_that_are_not_there_are_found(local: LocalStore) -> None:
    day = "images/c/2026-03-02"
    composed, apart = (unicodedata.normalize(form, f"{day}/prüfung.png") for form in ("NFC", "NFD"))
    for key in (composed, f"{day}/1.png"):
        local.write(key, b"an image")
    for file, keys in (("fine", [composed, f"{day}/1.png"]), ("gone", [f"{day}/2.png", "1.png"]), ("apart", [apart])):
        write_labels(local, "c", [Label(key, "normal", None, None, NOW) for key in keys], file)
    found = list(label_findings(local, local, lambda _: True, lambda *_: True))
    assert [(one.where, one.wrong) for one in found] == [
        ("labels/c/apart.parquet", True),
        ("labels/c/gone.parquet", False),
    ]
    assert "accents" in found[0].what and "2 labels are of images that are not there" in found[1].what
    [other] = label_findings(local, local, lambda _: True, lambda *_: False)
    assert "1 labels" in other.what


def test_every_file_that_is_wrong_is_found(local: LocalStore) -> None:
    for name in ("a.csv", "b.csv"):
        local.write(f"labels/c/{name}", b"image_key,label\n1,okay\n")
    local.write("labels/c/late.csv", b"image_key,label,labelled_at\nimages/c/2026-03-02/1,normal,9999-01-01\n")
    local.write("labels/c/notes.txt", b"read me")
    found = {one.where: one for one in label_findings(local, local, lambda _: True, lambda *_: False)}
    assert [(key, one.wrong) for key, one in found.items()] == [
        *((f"labels/c/{name}", True) for name in ("a.csv", "b.csv", "late.csv")),
        ("labels/c/notes.txt", False),
    ]
    assert "9999-01-01" in found["labels/c/late.csv"].what
    assert found["labels/c/a.csv"].what.startswith("labels cannot be read: line 2: the label 'okay' is unknown")
