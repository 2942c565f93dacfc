"""SQL sees what is sealed, and can change nothing."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest

from storage import layout
from storage.analysis.compaction import merge_days
from storage.analysis.queries import connect, run_query
from storage.analysis.questions import remove_spilled
from storage.errors import QueryError, StorageError
from storage.filesystem import LocalStore, Store, open_store
from storage.labels.labels import Label, write_labels
from storage.partitions import scores
from storage.partitions.manifests import publish_plan
from storage.partitions.scores import ScoreRow, write_part
from storage.partitions.seals import SealedPart, SealedPlan, add_plan, last_plan_with, read_seal
from storage.records import ObjectInfo, Partition
from tests.object_stores import Bucket

NOW = datetime(2026, 3, 3, 2, 0, tzinfo=UTC)
Scored = Callable[..., None]


@pytest.fixture(params=["local", "seaweed_s3"])
def store(request: pytest.FixtureRequest) -> Store:
    place = request.getfixturevalue(request.param)
    return open_store(place.uri) if isinstance(place, Bucket) else place


def score_night(
    store: Store,
    row: ScoreRow,
    found: dict[str, float],
    *,
    version: str = "v1",
    scored_at: datetime = NOW,
    sealed_at: datetime = NOW,
    seal: bool = True,
) -> None:
    """Score these images (name: score) as one plan of one part."""
    partition = Partition("cloth", row.run_date, version)
    images = [ObjectInfo(f"images/{name}", f"{name}-{scored_at}-{sealed_at}", 1, NOW) for name in sorted(found)]
    before = last_plan_with(store, read_seal(store, partition), [image.key for image in images])
    plan = publish_plan(
        store, partition, images, preprocessing="p", batch_size=9, run_id="r", planned_at=NOW,
        supersedes=before.digest if before else None,
    )  # fmt: skip
    rows = [
        replace(
            row,
            image_key=image.key,
            etag=image.etag,
            score=found[image.key.removeprefix("images/")],
            model_version=version,
            map_store=plan.map_store,
            map_index=index,
            scored_at=scored_at,
        )
        for index, image in enumerate(images)
    ]
    key = layout.part_key("cloth", row.run_date, version, plan.digest)
    digest, count = write_part(store, key, rows)
    if seal:
        parts = (SealedPart(key, count, digest),)
        sealed = SealedPlan(
            plan.manifest, plan.digest, plan.map_store, count, count, 0, 0, count, parts, "r", sealed_at,
            supersedes=plan.supersedes,
        )  # fmt: skip
        add_plan(store, partition, sealed)


def test_only_sealed_rows_are_seen(store: Store, ok_row: ScoreRow) -> None:
    score_night(store, ok_row, {"a": 1.0, "b": 2.0})
    score_night(store, ok_row, {"c": 3.0}, seal=False)
    found = run_query(store, "SELECT * FROM scores ORDER BY image_key")
    assert found.column_names == scores.SCHEMA.names
    assert found["image_key"].to_pylist() == ["images/a", "images/b"]
    assert found["run_date"].to_pylist() == [date(2026, 3, 2)] * 2
    assert found["scored_at"].to_pylist() == [NOW] * 2
    assert run_query(store, "SELECT count(*) AS n FROM latest")["n"].to_pylist() == [2]


def test_latest_has_each_image_once(store: Store, ok_row: ScoreRow) -> None:
    score_night(store, ok_row, {"a": 1.0, "b": 2.0, "c": 3.0})
    later = {"sealed_at": NOW + timedelta(hours=3)}
    # By the seals: when a run planned what it scored says nothing.
    score_night(store, ok_row, {"a": 0.0}, version="v2", scored_at=NOW + timedelta(1), sealed_at=NOW - timedelta(1))
    score_night(store, ok_row, {"b": 20.0}, version="v2", **later)
    score_night(store, ok_row, {"c": 30.0}, version="v0", scored_at=NOW - timedelta(1), **later)
    score_night(store, ok_row, {"c": 300.0})  # of v1 once more, by a clock that runs behind
    found = run_query(store, "SELECT image_key, score FROM latest ORDER BY image_key")
    assert found["score"].to_pylist() == [1.0, 20.0, 30.0]
    assert run_query(store, "SELECT image_key FROM scores").num_rows == 7


def test_a_picture_that_was_put_back_has_the_row_it_was_sealed_with_last(local: LocalStore, ok_row: ScoreRow) -> None:
    """The third plan was made by a run that was killed before the second began, and taken up again."""
    score_night(local, ok_row, {"a": 1.0, "b": 1.0})
    score_night(local, ok_row, {"a": 2.0}, scored_at=NOW + timedelta(hours=2), sealed_at=NOW + timedelta(hours=3))
    score_night(local, ok_row, {"a": 3.0}, scored_at=NOW + timedelta(hours=1))
    asked = "SELECT score FROM latest ORDER BY image_key"
    assert run_query(local, asked)["score"].to_pylist() == [3.0, 1.0]
    merge_days(local, now=NOW)
    for info in local.list("scores/"):
        local.remove(info.key)
    assert run_query(local, asked)["score"].to_pylist() == [3.0, 1.0]


def test_a_label_file_that_does_not_read_is_told_of_and_people_are_named_in_one_way(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    for category, name in (("cloth", "Eva"), ("tile", "eva ")):
        write_labels(store, category, [Label(f"images/{category}", "normal", None, name, NOW)], "x")
    store.write("labels/cloth/bad.csv", b"image_key,label\na,okay\n")
    told: list[str] = []
    sql = "SELECT count(*) AS labels, count(DISTINCT labelled_by) AS people FROM labels"
    assert run_query(store, sql, unread=lambda key, _: told.append(key)).to_pylist() == [{"labels": 2, "people": 1}]
    assert told == ["labels/cloth/bad.csv"]
    with pytest.raises(StorageError, match=r"bad\.csv, line 2"):
        run_query(store, sql)


def test_a_seal_that_does_not_read_costs_its_own_rows(local: LocalStore, ok_row: ScoreRow) -> None:
    score_night(local, ok_row, {"a": 1.0})
    key = layout.seal_key("tile", date(2026, 3, 2), "v1")
    local.write(key, b"{}")
    told: list[str] = []
    sql = "SELECT count(*) AS n FROM latest"
    assert run_query(local, sql, unread=lambda key, _: told.append(key)).to_pylist() == [{"n": 1}]
    assert told == [key]
    with pytest.raises(StorageError, match="carries no digest"):
        run_query(local, sql)


def test_labels_and_seals_can_be_joined(store: Store, ok_row: ScoreRow) -> None:
    score_night(store, ok_row, {"a": 1.0, "b": 2.0})
    write_labels(store, "cloth", [Label("images/b", "anomalous", None, "ann", NOW, "dent")], "x")
    found = run_query(
        store,
        "SELECT image_key, label, kind, labels.category, score, seals.images FROM latest"
        " JOIN labels USING (image_key) JOIN seals USING (map_store, model_version)",
    )
    assert found.to_pylist() == [
        {
            "image_key": "images/b",
            "label": "anomalous",
            "kind": "dent",
            "category": "cloth",
            "score": 2.0,
            "images": 2,
        }
    ]
    seal = run_query(store, "SELECT * FROM seals").to_pylist()[0]
    assert (seal["category"], seal["run_date"], seal["sealed_at"], seal["parts"]) == (
        "cloth",
        date(2026, 3, 2),
        NOW,
        1,
    )


def test_an_empty_store_has_empty_views_of_the_same_columns(store: Store, ok_row: ScoreRow) -> None:
    empty = {
        view: run_query(store, f"DESCRIBE {view}").to_pylist() for view in ("scores", "latest", "labels", "seals")
    }
    for view in empty:
        assert run_query(store, f"SELECT * FROM {view}").num_rows == 0
    score_night(store, ok_row, {"a": 1.0})
    write_labels(store, "cloth", [Label("images/a", "normal", None, None, NOW)], "x")
    for view, columns in empty.items():
        assert run_query(store, f"DESCRIBE {view}").to_pylist() == columns
        assert run_query(store, f"SELECT * FROM {view}").num_rows == 1


@pytest.mark.parametrize(
    "sql", ["SELEC 1", "SELECT nothing FROM scores", "SELECT * FROM scorez", "SELECT 1/'x'", "", "SET threads = 1"]
)
def test_wrong_statements_tell_what_duckdb_says(local: LocalStore, sql: str) -> None:
    with pytest.raises(QueryError, match=r"(?s)DuckDB refuses .*scores, latest, labels and seals|asks nothing"):
        run_query(local, sql)
    if "scorez" in sql:
        with pytest.raises(QueryError, match=r'scorez does not exist!\nDid you mean "scores"\?.*\nThe views'):
            run_query(local, sql)


ATTACKS = [
    "COPY scores TO '{out}/x.csv'",
    "COPY scores TO '{out}/store/scores/x.parquet'",
    "COPY (SELECT 1) TO '{copy}' (USE_TMP_FILE false)",
    "SELECT 1; COPY (SELECT 1) TO '{copy}' (USE_TMP_FILE false)",
    "COPY (PIVOT latest ON category USING count(*)) TO '{copy}' (USE_TMP_FILE false)",
    "PIVOT latest ON category USING count(*)) x; COPY (SELECT 1) TO '{copy}' (USE_TMP_FILE false); FROM (SELECT 1",
    "EXPLAIN ANALYZE COPY (SELECT 1) TO '{copy}' (USE_TMP_FILE false)",
    "EXPLAIN ANALYZE COPY (PIVOT latest ON category USING count(*)) TO '{copy}' (USE_TMP_FILE false)",
    "EXPLAIN (ANALYZE) COPY (SELECT 1) TO '{copy}' (USE_TMP_FILE false)",
    "EXPLAIN /* */ ANALYZE COPY (SELECT 1) TO '{copy}' (USE_TMP_FILE false)",
    "PREPARE x AS COPY (SELECT 1) TO '{copy}' (USE_TMP_FILE false)",
    "WITH x AS (COPY (SELECT 1) TO '{copy}' (USE_TMP_FILE false)) FROM x",
    "EXPLAIN ANALYZE WITH x AS (COPY (SELECT 1) TO '{copy}' (USE_TMP_FILE false)) FROM x; -- of x",
    "WITH x AS (copy (SELECT 1) TO '{copy}' (USE_TMP_FILE false)) PIVOT latest ON category USING count(*)",
    "PIVOT latest ON category IN (WITH x AS (COPY (SELECT 1) TO '{copy}' (USE_TMP_FILE false)) FROM x)",
    "PIVOT (FROM query($$WITH x AS (COPY (SELECT 1) TO '{copy}' (USE_TMP_FILE false)) FROM x$$)) ON Count",
    "EXPLAIN ANALYZE CREATE TABLE x AS SELECT 1",
    "CREATE TABLE x AS PIVOT latest ON category USING count(*)",
    "WITH p AS (PIVOT latest ON category USING count(*)) DELETE FROM scores",
    "CREATE MACRO m() AS 1",
    "CREATE SECRET s (TYPE s3)",
    "ATTACH '{out}/x.db'",
    "EXPORT DATABASE '{out}/dump'",
    "IMPORT DATABASE '{out}'",
    "INSTALL httpfs",
    "LOAD httpfs",
    "UPDATE EXTENSIONS",
    "CHECKPOINT",
    "PRAGMA enable_profiling = 'json'",
    "CALL enable_logging(storage := 'file', storage_path := '{out}/log')",
    "SELECT * FROM enable_logging(storage := 'file', storage_path := '{out}/log')",
    "SELECT * FROM enable_profiling(save_location := '{out}/profile')",
    "SELECT * FROM read_text('{out}/secret')",
    "SELECT * FROM read_csv('{out}/secret')",
    "SELECT * FROM query('FROM read_blob(''{out}/secret'')')",
    "SELECT * FROM sniff_csv('{out}/secret')",
    "SELECT * FROM glob('{out}/*')",
    "PIVOT read_csv('{out}/secret') ON column0 USING count(*)",
    "SELECT getenv('HOME')",
    "SELECT * FROM '{out}/store/labels/cloth/x.parquet'",
    "SET enable_external_access = true",
    "SET temp_directory = '{out}/tmp'",
    "INSERT INTO scores SELECT * FROM scores",
    "DELETE FROM scores",
]


@pytest.fixture
def merged(local: LocalStore, ok_row: ScoreRow) -> LocalStore:
    score_night(local, ok_row, {"a": 1.0})
    assert merge_days(local, now=NOW).days == 1
    return local


def test_nothing_else_is_read_or_written(merged: LocalStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The bytes of every file, in the store and around it, are what they were after all of them."""
    (tmp_path / "secret").write_text("secret")
    monkeypatch.chdir(tmp_path)
    copy = merged.duckdb_uri(next(info.key for info in merged.list(f"{layout.MERGED_PREFIX}2026")))
    before = _files(tmp_path)
    for sql in ATTACKS:
        with pytest.raises(QueryError):
            run_query(merged, sql.format(out=tmp_path, copy=copy))
        assert _files(tmp_path) == before, sql


def _files(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.mark.parametrize(
    "sql",
    [
        "FROM latest",
        "VALUES (1), (2)",
        "EXPLAIN SELECT * FROM latest",
        "EXPLAIN ANALYZE SELECT * FROM latest",
        "EXPLAIN (FORMAT json) SELECT * FROM latest",
        "EXPLAIN PIVOT latest ON category USING count(*)",
        "DESCRIBE scores",
        "SUMMARIZE latest",
        "SHOW TABLES",
        "PIVOT latest ON category USING count(*) -- by category",
        "PIVOT latest ON category USING count(*);",
        "SELECT 'ü;' AS x; -- all; of it",
        """PIVOT (SELECT 'copy' AS "copy") ON "copy" -- no copy is made""",
        "DESCRIBE (PIVOT latest ON category USING count(*))",
        "UNPIVOT (SELECT score, p_value FROM latest) ON score, p_value",
        "WITH x AS (PIVOT latest ON category USING count(*)) SELECT * FROM x ORDER BY ALL",
        "WITH x AS (FROM latest) SELECT count(*) FROM x",
        "SELECT count(*) FROM query('SELECT * FROM lab' || 'els')",
    ],
)
def test_what_asks_is_answered(merged: LocalStore, sql: str) -> None:
    assert run_query(merged, sql).num_rows > 0


def test_a_pivot_keeps_its_order(local: LocalStore) -> None:
    sql = "PIVOT (VALUES ('a', 1), ('b', 3), ('c', 2)) t(k, x) ON k USING sum(x) GROUP BY x ORDER BY x DESC"
    assert run_query(local, sql)["x"].to_pylist() == [3, 2, 1]


def test_what_a_select_may_do_cannot_be_widened(merged: LocalStore) -> None:
    """Whatever came past the look at the statement would meet a connection that opens no other file."""
    with connect(merged) as questions:
        for setting in ("enable_external_access = true", "allowed_paths = ['/etc/passwd']", "threads = 1"):
            with pytest.raises(duckdb.Error, match="locked"):
                questions._connection.execute(f"SET {setting}")
        with pytest.raises(duckdb.PermissionException):
            questions._connection.execute("SELECT * FROM read_text('/etc/passwd')")


def test_what_is_larger_than_memory_spills_aside(
    local: LocalStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with connect(local) as questions:
        spill = Path(questions.rows("SELECT current_setting('temp_directory')")[0][0])
        assert (spill.is_dir(), spill.stat().st_mode & 0o777) == (True, 0o700)
        remove_spilled()  # at the end of a process that closes nothing
        assert not spill.exists()
    with connect(local) as questions:
        spill = Path(questions.rows("SELECT current_setting('temp_directory')")[0][0])
    assert not spill.exists()
    assert list(tmp_path.iterdir()) == [tmp_path / "store"]


def test_columns_of_one_name_are_told_apart(local: LocalStore) -> None:
    found = run_query(local, "SELECT 1 AS x, 2 AS x_1, 3 AS x, 4 AS x, 5 AS y")
    assert dict(zip(found.column_names, found.to_pylist()[0].values(), strict=True)) == {
        "x": 1, "x_1": 2, "x_2": 3, "x_3": 4, "y": 5,
    }  # fmt: skip


def test_a_sealed_part_that_is_gone_is_not_passed_over(local: LocalStore, ok_row: ScoreRow) -> None:
    score_night(local, ok_row, {"a": 1.0})
    [part] = [info.key for info in local.list("scores/")]
    (local.root / part).unlink()
    with pytest.raises(QueryError, match="part-"):
        run_query(local, "SELECT count(score) FROM scores")


def test_tables_of_the_calling_program_are_not_seen(local: LocalStore) -> None:
    mine = pa.table({"x": [1]})
    for name in ("mine", "store", "plans"):
        with connect(local) as questions, pytest.raises(duckdb.Error, match="does not exist"):
            questions.rows(f"SELECT * FROM {name}")
    assert len(mine) == 1


def test_a_connection_answers_many_questions(local: LocalStore, ok_row: ScoreRow) -> None:
    score_night(local, ok_row, {"a": 1.0, "b": 2.0})
    with connect(local) as questions:
        assert questions.rows("SELECT max(score) FROM scores WHERE score < $1", [2]) == [(1.0,)]
        assert questions.rows("SELECT count(*) FROM scores WHERE run_date = '2026-03-02'") == [(2,)]
