"""One round: a night or a backfill, a fault during it, and the same command again."""

import os
import random
import shutil
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import date
from pathlib import Path

from benchmarks.record import Values
from proofs.storm import weather
from proofs.storm.examination import examine
from proofs.storm.plant import CATEGORIES, DAYS, furnish, promote
from proofs.storm.processes import Command, kill_server, server_is_up
from proofs.storm.site import PATIENCE, Site, backfill, night
from storage.filesystem import LocalStore, Store

KINDS = (
    "flow killed", "worker killed", "storage faults", "two nights at once", "scheduler killed", "backfill and night",
    "promotion", "server killed", "flow and its workers killed",
)  # fmt: skip
MOST_RERUNS = 5
RACES = ("two nights at once", "backfill and night")
AT_A_WRITE = 0.7
"""share of faults timed by a write"""
LONGEST_FULL = 2.0
"""seconds that a disk stays full at most"""
FAULTY_RUNS = 2
"""runs with storage faults in such a round"""


@dataclass(frozen=True)
class Played:
    """The result of a round."""

    number: int
    kind: str
    store: str
    command: str
    hit: bool
    """whether the fault came while the command ran"""
    faults: int
    """injected by the proxy"""
    reruns: int
    """until the command was done; at least 1, because of late images"""
    done: bool
    hung: int
    """commands that exceeded the time limit"""
    seconds: float
    lost: int
    twice: int
    maps_without_rows: int
    rows_without_maps: int
    changed: int
    wrong: int
    notes: list[str]
    """findings of losses"""
    seed: int = 0

    @property
    def losses(self) -> int:
        """0 when nothing is lost."""
        return (
            self.lost + self.twice + self.maps_without_rows + self.rows_without_maps + self.changed + self.wrong
            + self.hung + (not self.done)
        )  # fmt: skip


@dataclass
class _Round:
    """A round in progress."""

    site: Site
    kind: str
    where: str
    store: Store
    arguments: list[str]
    dice: random.Random
    log: Path
    hit: bool = False
    hung: int = 0

    @property
    def home(self) -> str:
        """Only a command with its own server can lose it; the others share one."""
        return "victims" if self.kind == "server killed" else "home"

    def start(self, arguments: list[str] | None = None) -> Command:
        return self.site.start(arguments or self.arguments, self.log, self.home)

    def wait(self, command: Command) -> int | None:
        code = command.wait(PATIENCE)
        if code is None:
            self.hung += 1
            command.kill()
            command.wait(PATIENCE)
        return code


def play(site: Site, number: int, kind: str, where: str, seed: int) -> Played:
    """Run round `number` in a fresh store, and examine it. A store with losses is kept."""
    began, dice = time.perf_counter(), random.Random(f"{seed}/{number}")
    name = f"round-{number:04}"
    store = site.new_store(where, name)
    furnish(store)
    line = site.lines[where]
    line.remove_late_images()
    day = dice.choice(DAYS)
    is_night = kind == "two nights at once" or (kind != "backfill and night" and dice.random() < 0.7)
    arguments = night(site, where, store, day) if is_night else backfill(site, where, store)
    if kind == "flow and its workers killed":
        arguments = arguments[: arguments.index("--dask-address")]
    round_ = _Round(site, kind, where, store, arguments, dice, site.folder / f"{name}.log")
    injected = site.proxy.injected
    site.set_weather(weather.FAULTS if kind == "storage faults" else weather.SLOW_WRITES)
    _disturb(round_, day)
    reruns, code = 0, None
    while reruns < MOST_RERUNS and (code != 0 or not reruns):
        if reruns + 1 >= FAULTY_RUNS:
            site.set_weather(weather.CLEAR)
        reruns += 1
        line.add_late_images()
        code = round_.wait(round_.start())
    losses = examine(store, line.images, site.reference, [day] if is_night else DAYS, CATEGORIES)
    played = Played(
        number, kind, where, arguments[0], round_.hit, site.proxy.injected - injected, reruns, code == 0, round_.hung,
        round(time.perf_counter() - began, 1), **asdict(losses), seed=seed,
    )  # fmt: skip
    if isinstance(store, LocalStore) and not played.losses:
        shutil.rmtree(store.root)
        round_.log.unlink(missing_ok=True)
    return played


def _disturb(round_: _Round, day: date) -> None:
    """Run the command once, with late images and a fault at random moments."""
    workers = round_.site.cluster.worker_pids() if round_.kind == "worker killed" else []
    command, others = round_.start(), list[Command]()
    while round_.kind == "server killed" and command.running and not server_is_up(round_.site.folder / round_.home):
        time.sleep(0.05)
    waiting: list[tuple[Callable[[], bool], Callable[[], None]]] = [
        (_moment(round_), round_.site.lines[round_.where].add_late_images),
        (_moment(round_), lambda: _strike(round_, command, others, day, workers)),
    ]
    while waiting and command.running:
        for pair in [pair for pair in waiting if pair[0]()]:
            waiting.remove(pair)
            pair[1]()
        time.sleep(0.002)
    for running in (command, *others):
        round_.wait(running)
    round_.site.cluster.start_scheduler()


def _moment(round_: _Round) -> Callable[[], bool]:
    """A predicate for a random moment.

    Mostly at a write of the command, where losses are possible but which takes little of its time. The second night
    of a race starts early.
    """
    part = round_.dice.random() * (0.5 if round_.kind in RACES else 1)
    if round_.dice.random() < AT_A_WRITE:
        write = round_.site.writes() + max(1, round(part * round_.site.usual_writes[round_.arguments[0]]))
        return lambda: round_.site.writes() >= write
    moment = time.monotonic() + part * round_.site.seconds[round_.arguments[0]]
    return lambda: time.monotonic() >= moment


def _strike(round_: _Round, command: Command, others: list[Command], day: date, workers: list[int]) -> None:
    cluster, dice = round_.site.cluster, round_.dice
    round_.hit = command.running
    if round_.kind in ("flow killed", "flow and its workers killed"):
        command.kill()
    elif round_.kind == "worker killed":
        os.kill(dice.choice(workers), signal.SIGKILL)
    elif round_.kind == "scheduler killed":
        cluster.kill_scheduler()
        if dice.random() < 0.5:  # else it stays away until the command has ended
            cluster.start_scheduler()
    elif round_.kind == "server killed":
        kill_server(round_.site.folder / round_.home)
    elif round_.kind == "promotion":
        for category in CATEGORIES:
            promote(round_.store, category, "v2")
    elif round_.kind == "storage faults":
        round_.site.set_weather(replace(weather.FAULTS, full=True))
        time.sleep(dice.uniform(0, LONGEST_FULL))
        round_.site.set_weather(weather.FAULTS)
    elif round_.kind in RACES:
        if dice.random() < 0.5:
            round_.site.lines[round_.where].add_late_images()  # so that the two plan different images
        others.append(round_.start(night(round_.site, round_.where, round_.store, day)))


def figures(played: Sequence[Played]) -> dict[str, dict[str, Values]]:
    """Figures by kind of fault and store, and in all."""
    rows = {}
    for kind, store in sorted({(result.kind, result.store) for result in played}):
        rows[f"{kind}, {store}"] = _figures(
            [result for result in played if (result.kind, result.store) == (kind, store)]
        )
    return rows | ({"all": _figures(played)} if played else {})


def _figures(some: Sequence[Played]) -> dict[str, Values]:
    sums = ("lost", "twice", "maps_without_rows", "rows_without_maps", "changed", "wrong", "hung", "losses")
    return {
        "rounds": len(some),
        "hit": sum(result.hit for result in some),
        "reruns": [result.reruns for result in some],
        "not done": sum(not result.done for result in some),
        **{name: sum(getattr(result, name) for result in some) for name in sums},
        "seconds": [result.seconds for result in some],
    }
