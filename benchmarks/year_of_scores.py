"""A year of scores, and five questions that analysts ask of it.

    python -m benchmarks.year_of_scores [--rows 10000000] [--categories 50] [--days 365] [--parts] [--folder FOLDER]

Generates the year (see benchmarks.year_store), then asks as `rd-inspect query` does: by
storage.analysis.queries.run_query, with a connection of its own each time. With `--parts` the store has its parts
too, and every question is asked
twice: with the copies of merged days, and without them. Seconds are wall time; processor seconds beside them say
what the wall time could be on two idle cores: no less than half of them.
"""

import argparse
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from unittest import mock

import pyarrow as pa

from benchmarks.record import Record, Values, add_results_option
from benchmarks.year_store import Year, write_year
from storage import layout
from storage.analysis.queries import connect, run_query
from storage.filesystem import Store, open_store

QUESTIONS = {
    "false alarms by week": """
        SELECT date_trunc('week', run_date) AS week, category,
               avg(is_anomalous::INT) AS alarm_rate, count(*) AS images
        FROM latest WHERE status = 'ok' GROUP BY ALL ORDER BY ALL""",
    "worst images": """
        SELECT image_key, category, run_date, score, threshold, map_store, map_index
        FROM latest WHERE status = 'ok' ORDER BY score DESC LIMIT 50""",
    "drift of a quantile": """
        SELECT category, date_trunc('month', run_date) AS month, quantile_cont(score, 0.99) AS q99
        FROM latest WHERE status = 'ok' GROUP BY ALL ORDER BY ALL""",
    "two models": """
        SELECT a.category, count(*) AS images, corr(a.score, b.score) AS correlation,
               count(*) FILTER (a.is_anomalous AND NOT b.is_anomalous) AS only_v1,
               count(*) FILTER (b.is_anomalous AND NOT a.is_anomalous) AS only_v2
        FROM scores a JOIN scores b USING (image_key, run_date)
        WHERE a.model_version = 'v1' AND b.model_version = 'v2' GROUP BY ALL ORDER BY ALL""",
    "beside the labels": """
        SELECT category, count(*) FILTER (label = 'normal') AS normals,
               count(*) FILTER (label = 'normal' AND is_anomalous) AS false_alarms,
               count(*) FILTER (label = 'anomalous' AND NOT is_anomalous) AS missed
        FROM latest JOIN labels USING (image_key, category) GROUP BY ALL ORDER BY ALL""",
}
ROUNDS = 3


def main() -> None:
    """Generate, ask, record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--categories", type=int, default=50)
    parser.add_argument("--days", type=int, default=365)
    parser.add_argument("--parts", action="store_true")
    parser.add_argument(
        "--folder", help="of the store; kept, and gone on with if it is there; default a temporary one"
    )
    add_results_option(parser)
    arguments = parser.parse_args()
    record = Record.begin("year_of_scores")
    with tempfile.TemporaryDirectory() as temporary:
        store = open_store(arguments.folder or temporary, create=True)
        with mock.patch.object(os, "fsync", lambda _: None):  # 40,000 flushes, of a store for an hour
            write_year(store, Year(arguments.rows, arguments.categories, arguments.days, arguments.parts))
        rows = _sizes(store) | _times(store)
        if arguments.parts:
            with tempfile.TemporaryDirectory(dir=Path(store.uri).parent) as aside:
                shutil.move(Path(store.uri) / layout.MERGED_PREFIX, aside)
                rows |= {f"{question}, without copies": of for question, of in _times(store).items()}
                shutil.move(Path(aside) / layout.MERGED_PREFIX, store.uri)
    about = {name: getattr(arguments, name) for name in ("rows", "categories", "days")}
    record.write(arguments.results / "year_of_scores.json", rows, about)


def _sizes(store: Store) -> dict[str, dict[str, Values]]:
    rows: dict[str, dict[str, Values]] = {}
    for name in (layout.MERGED_PREFIX, f"{layout.SCORES}/", f"{layout.SEALS}/"):
        sizes = [info.size for info in store.list(name)]
        rows[name] = {"files": len(sizes), "mb": sum(sizes) / 1e6}
    return rows


def _times(store: Store) -> dict[str, dict[str, Values]]:
    """By question, asked by `run_query` and of a connection that is held open."""
    rows = {"none": _seconds(lambda: run_query(store, "SELECT 1"), "query")}
    for question, sql in QUESTIONS.items():
        with connect(store) as questions:
            rows[question] = _seconds(partial(questions.table, sql), "held")
        rows[question] |= _seconds(partial(run_query, store, sql), "query")
    return rows


def _seconds(work: Callable[[], pa.Table], how: str) -> dict[str, Values]:
    walls, cpus = [], []
    for _ in range(ROUNDS):
        wall, cpu = time.perf_counter(), sum(os.times()[:2])
        table = work()
        walls.append(time.perf_counter() - wall)
        cpus.append(sum(os.times()[:2]) - cpu)
    return {f"{how} s": walls, f"{how} processor s": cpus, "rows": len(table)}


if __name__ == "__main__":
    main()
