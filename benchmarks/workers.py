"""What more workers bring: images a second of two and one that score, and of sixteen and one that only wait.

    python -m benchmarks.workers [--rounds 2] [--images 6144] [--waiting-rounds 1]

Scoring workers: nights of the same images by embedded clusters of one and of two processes, one thread each, taking
turns. Waiting workers: `benchmarks.waiting_scorer` in place of the networks, so that two cores serve sixteen; each
worker has the same number of full batches, sixteen times as many in all. Rates are from the run's beginning to its
seal, planning included, with the workers warm.
"""

import argparse
import logging
import statistics
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, timedelta

from distributed import LocalCluster

from benchmarks.night_sizes import put_links
from benchmarks.throughput import CATEGORY, VERSION, night, put_model, put_pictures
from flows.machinery.dask_cluster import dask_cluster
from flows.machinery.prefect_server import prefect_server
from flows.settings import load_settings
from storage.stores.filesystem import open_store
from tasks.night.plan_batches import LARGEST_BATCH
from tests import factories

FIRST_DAY = date(2026, 1, 1)
WARM_UP = 64
"""images a worker, for imports and the model"""


def main() -> None:
    """Print the rates of each round and their ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--waiting-rounds", type=int, default=1, help="of five minutes each")
    parser.add_argument("--images", type=int, default=6144, help="of a night that is scored")
    parser.add_argument("--waiting", type=int, default=16, help="workers that wait")
    parser.add_argument("--waiting-batches", type=int, default=12, help="of 256 images, for each worker that waits")
    arguments = parser.parse_args()
    with prefect_server():
        _print("that score", 2, [_scoring_round(number, arguments.images) for number in range(arguments.rounds)])
        many = arguments.waiting
        waited = [_waiting_round(many, arguments.waiting_batches) for _ in range(arguments.waiting_rounds)]
        _print("that wait", many, waited)


def _print(kind: str, many: int, rounds: list[tuple[float, float]]) -> None:
    """rounds: (images/s of one worker, of `many`)."""
    ratios = sorted(more / one for one, more in rounds)
    spread = f"{statistics.median(ratios):.2f}  (from {ratios[0]:.2f} to {ratios[-1]:.2f})"
    print(f"workers {kind}: {many} to 1: {spread}", flush=True)
    for one, more in rounds:
        print(f"  {one:8.1f} images/s of one, {more:8.1f} of {many}", flush=True)


def _scoring_round(number: int, images: int) -> tuple[float, float]:
    """One worker and two in turn, the other first in every second round, each with a store of its own."""
    rates = {}
    for workers in (1, 2) if number % 2 == 0 else (2, 1):
        with tempfile.TemporaryDirectory() as folder:
            store = open_store(folder)
            put_model(store, CATEGORY, 256)
            for day, count in enumerate((WARM_UP * workers, images)):
                put_pictures(store, CATEGORY, FIRST_DAY + timedelta(days=day), count, 256)
            with dask_cluster(load_settings(folder, options={"workers": workers})) as scheduler:
                night(store, scheduler, CATEGORY, FIRST_DAY)
                rates[workers], _ = night(store, scheduler, CATEGORY, FIRST_DAY + timedelta(days=1))
    return rates[1], rates[2]


def _waiting_round(many: int, batches: int) -> tuple[float, float]:
    found = []
    for workers in (1, many):
        with tempfile.TemporaryDirectory() as folder, _waiting_cluster(workers) as scheduler:
            store = open_store(folder)
            factories.put_model(store, CATEGORY, VERSION)
            for day, count in enumerate((WARM_UP * workers, batches * workers * LARGEST_BATCH)):
                put_links(folder, count, FIRST_DAY + timedelta(days=day))
                rate, _ = night(store, scheduler, CATEGORY, FIRST_DAY + timedelta(days=day))
            found.append(rate)
    return found[0], found[1]


@contextmanager
def _waiting_cluster(workers: int) -> Iterator[str]:
    with LocalCluster(
        n_workers=workers,
        threads_per_worker=1,
        host="127.0.0.1",
        dashboard_address="127.0.0.1:0",
        silence_logs=logging.ERROR,
        preload=["benchmarks.waiting_scorer"],
    ) as cluster:
        yield cluster.scheduler_address


if __name__ == "__main__":
    main()
