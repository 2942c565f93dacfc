"""Servers, cluster, stores and cameras shared by all rounds of the storm."""

import os
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from urllib.parse import urlsplit

from flows.prefect_server import prefect_server
from proofs.seaweed import SEAWEED_BUCKET, aws_settings, running_seaweed
from proofs.storm import examination, weather
from proofs.storm.faulty_proxy import FaultyProxy
from proofs.storm.plant import CATEGORIES, DAYS, Line, furnish
from proofs.storm.processes import Cluster, Command, end_all
from proofs.storm.weather import Weather, write_weather
from storage.filesystem import Store, open_store
from storage.partitions.scores import ScoreRow

PATIENCE = 150
"""time limit of a command in seconds"""


@dataclass(frozen=True)
class Site:
    """Everything that a round needs."""

    folder: Path
    cluster: Cluster
    proxy: FaultyProxy
    lines: dict[str, Line]
    """by kind of store: 'local' or 's3'"""
    reference: dict[tuple[str, str], tuple[ScoreRow, bytes | None]]
    """see examination.Reference"""
    seconds: dict[str, float]
    """duration of an undisturbed command, by command: 'inspect' or 'backfill'"""
    usual_writes: dict[str, int]
    """its number of writes, likewise"""

    def new_store(self, where: str, name: str) -> Store:
        return open_store(_address(self.folder, where, name), create=True)

    def start(self, arguments: list[str], log: Path, home: str = "home") -> Command:
        return Command(arguments, _environment(self.folder, self.proxy, home), log)

    def writes(self) -> int:
        """Writes to any store begun so far."""
        return weather.writes(self.folder / "weather.json") + self.proxy.writes

    def set_weather(self, now: Weather) -> None:
        write_weather(self.folder / "weather.json", now)
        self.proxy.weather = now


@contextmanager
def open_site(folder: Path) -> Iterator[Site]:
    """Start the servers in `folder`, and make the undisturbed run for comparison."""
    with ExitStack() as stack:
        (folder / "seaweed").mkdir()
        endpoint = stack.enter_context(running_seaweed(folder / "seaweed"))
        os.environ.update(aws_settings(endpoint))
        proxy = FaultyProxy(urlsplit(endpoint).hostname or "", urlsplit(endpoint).port or 0)
        # Forked processes have the environment of this moment: they see S3 through the proxy alone.
        write_weather(folder / "weather.json", weather.CLEAR)
        os.environ.update(_environment(folder, proxy, "home"))
        stack.callback(end_all)
        cluster = Cluster(folder / "cluster.log")
        stack.enter_context(prefect_server())
        stack.callback(end_all)  # first, since the server waits for the commands that share it
        os.environ.update(aws_settings(endpoint))
        cluster.worker_pids()
        lines = {}
        for where in ("local", "s3"):
            (folder / f"late-{where}").mkdir()
            images = open_store(_address(folder, where, "images"), create=True)
            lines[where] = Line(images, folder / f"late-{where}")
        site = Site(folder, cluster, proxy, lines, {}, {}, {})
        _run_undisturbed(site)
        yield site


def night(site: Site, where: str, store: Store, day: date) -> list[str]:
    """Arguments of a night's command."""
    return ["inspect", "--run-date", str(day), "--no-reports", *_where(site, where, store)]


def backfill(site: Site, where: str, store: Store, *more: str) -> list[str]:
    """Arguments of a backfill of all days."""
    return ["backfill", "--from", str(DAYS[0]), "--to", str(DAYS[-1]), *more, *_where(site, where, store)]


def _where(site: Site, where: str, store: Store) -> list[str]:
    return ["--store", store.uri, "--images", site.lines[where].images.uri, "--dask-address", site.cluster.address]


def _run_undisturbed(site: Site) -> None:
    """Run both versions on all days in a folder that holds the late images from the start, and a night for its
    duration."""
    store = site.new_store("local", "reference")
    furnish(store)
    site.lines["local"].add_late_images()
    for name, arguments in {
        "inspect": night(site, "local", store, DAYS[1]),
        "backfill": backfill(site, "local", store, "--model", "v2"),
        "the rest": backfill(site, "local", store),
    }.items():
        began, before = time.perf_counter(), site.writes()
        code = site.start(arguments, site.folder / "reference.log").wait(PATIENCE)
        if code:
            raise RuntimeError(f"the undisturbed {arguments[0]} ends with {code}; see {site.folder}/reference.log")
        site.seconds[name], site.usual_writes[name] = time.perf_counter() - began, site.writes() - before
    site.reference.update(examination.read_reference(store))
    losses = examination.examine(store, site.lines["local"].images, site.reference, DAYS, CATEGORIES)
    if not losses.nothing:
        raise RuntimeError(f"the undisturbed run is not whole: {losses.notes}")


def _address(folder: Path, where: str, name: str) -> str:
    return str(folder / "stores" / name) if where == "local" else f"s3://{SEAWEED_BUCKET}/storm-{name}"


def _environment(folder: Path, proxy: FaultyProxy, home: str) -> dict[str, str]:
    return {
        **aws_settings(proxy.endpoint),
        weather.VARIABLE: str(folder / "weather.json"),
        "RD_INSPECT_HOME": str(folder / home),
        "PREFECT_HOME": str(folder / "client"),
        "PREFECT_LOGGING_COLORS": "false",
        "PREFECT_LOGGING_TO_API_ENABLED": "false",
        "DASK_DISTRIBUTED__WORKER__PRELOAD": '["proofs.storm.warm"]',
        "RD_INSPECT_WORKERS": "1",
        "OMP_NUM_THREADS": "1",
        "PYTHONWARNINGS": "ignore:resource_tracker:UserWarning",  # what was killed has cleaned nothing up
    }
