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
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from unittest import mock

import pyarrow as pa

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
    """Generate, ask, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--categories", type=int, default=50)
    parser.add_argument("--days", type=int, default=365)
    parser.add_argument("--parts", action="store_true")
    parser.add_argument(
        "--folder", help="of the store; kept, and gone on with if it is there; default a temporary one"
    )
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        store = open_store(arguments.folder or temporary, create=True)
        with mock.patch.object(os, "fsync", lambda _: None):  # 40,000 flushes, of a store for an hour
            write_year(store, Year(arguments.rows, arguments.categories, arguments.days, arguments.parts))
        for question, sql in QUESTIONS.items():
            print(f"{question}:{sql}\n")
        _print_sizes(store)
        _print_times("with the copies of merged days", store)
        if arguments.parts:
            with tempfile.TemporaryDirectory(dir=Path(store.uri).parent) as aside:
                shutil.move(Path(store.uri) / layout.MERGED_PREFIX, aside)
                _print_times("without them", store)
                shutil.move(Path(aside) / layout.MERGED_PREFIX, store.uri)


def _print_sizes(store: Store) -> None:
    for name in (layout.MERGED_PREFIX, f"{layout.SCORES}/", f"{layout.SEALS}/"):
        sizes = [info.size for info in store.list(name)]
        print(f"{name:8} {len(sizes):8,} files {sum(sizes) / 1e6:9,.0f} MB")


def _print_times(how: str, store: Store) -> None:
    print(f"\n{how}; load {os.getloadavg()[0]:.1f}\n")
    print("| question | asked of an open connection, s (processor s) | by run_query, s (processor s) | rows |")
    print("|---|---|---|---|")
    empty, _ = _measured(lambda: run_query(store, "SELECT 1"))
    print(f"| none: finding what is sealed | | {empty} | |")
    for question, sql in QUESTIONS.items():
        with connect(store) as questions:
            held, _ = _measured(partial(questions.table, sql))
        whole, rows = _measured(partial(run_query, store, sql))
        print(f"| {question} | {held} | {whole} | {rows:,} |", flush=True)


def _measured(work: Callable[[], pa.Table]) -> tuple[str, int]:
    """(median seconds with median processor seconds, rows)."""
    times = []
    for _ in range(ROUNDS):
        wall, cpu = time.perf_counter(), sum(os.times()[:2])
        found = work()
        times.append((time.perf_counter() - wall, sum(os.times()[:2]) - cpu))
    walls, cpus = zip(*times, strict=True)
    return f"{statistics.median(walls):.2f} ({statistics.median(cpus):.2f})", len(found)


if __name__ == "__main__":
    main()
