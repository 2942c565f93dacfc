"""One round: a night or a backfill, something that goes wrong in the middle of it, and the same command again."""

import os
import random
import shutil
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import date
from pathlib import Path

from benchmarks.record import Measured
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
"""share of the moments that are those of a write"""
LONGEST_FULL = 2.0
"""seconds that a disk stays full"""
FAULTY_RUNS = 2
"""runs of a round of storage faults that have them"""


@dataclass(frozen=True)
class Played:
    """What became of a round."""

    number: int
    kind: str
    store: str
    command: str
    hit: bool
    """the fault came while the command ran"""
    faults: int
    """injected by the proxy"""
    reruns: int
    """until the command said done; at least 1, for images come late"""
    done: bool
    hung: int
    """commands that had to be ended by hand"""
    seconds: float
    lost: int
    twice: int
    maps_without_rows: int
    rows_without_maps: int
    changed: int
    wrong: int
    notes: list[str]
    """of what was lost"""
    seed: int = 0

    @property
    def losses(self) -> int:
        """0 when all is well."""
        return (
            self.lost + self.twice + self.maps_without_rows + self.rows_without_maps + self.changed + self.wrong
            + self.hung + (not self.done)
        )  # fmt: skip


@dataclass
class _Round:
    """A round while it is played."""

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
        """Only a command that owns its server can lose it; the others share one."""
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
    """Play round `number` in a fresh store, and examine it. A store that lost something stays for a look."""
    began, dice = time.perf_counter(), random.Random(f"{seed}/{number}")
    name = f"round-{number:04}"
    store = site.new_store(where, name)
    furnish(store)
    line = site.lines[where]
    line.late_ones_go()
    day = dice.choice(DAYS)
    is_night = kind == "two nights at once" or (kind != "backfill and night" and dice.random() < 0.7)
    arguments = night(site, where, store, day) if is_night else backfill(site, where, store)
    if kind == "flow and its workers killed":
        arguments = arguments[: arguments.index("--dask-address")]
    one = _Round(site, kind, where, store, arguments, dice, site.folder / f"{name}.log")
    injected = site.proxy.injected
    site.set_weather(weather.FAULTS if kind == "storage faults" else weather.SLOW_WRITES)
    _disturb(one, day)
    reruns, code = 0, None
    while reruns < MOST_RERUNS and (code != 0 or not reruns):
        if reruns + 1 >= FAULTY_RUNS:
            site.set_weather(weather.CLEAR)
        reruns += 1
        line.late_ones_come()
        code = one.wait(one.start())
    found = examine(store, line.images, site.reference, [day] if is_night else DAYS, CATEGORIES)
    played = Played(
        number, kind, where, arguments[0], one.hit, site.proxy.injected - injected, reruns, code == 0, one.hung,
        round(time.perf_counter() - began, 1), **asdict(found), seed=seed,
    )  # fmt: skip
    if isinstance(store, LocalStore) and not played.losses:
        shutil.rmtree(store.root)
        one.log.unlink(missing_ok=True)
    return played


def _disturb(one: _Round, day: date) -> None:
    """Run the command once, with late images and a fault at moments of their own."""
    workers = one.site.cluster.worker_pids() if one.kind == "worker killed" else []
    command, others = one.start(), list[Command]()
    while one.kind == "server killed" and command.running and not server_is_up(one.site.folder / one.home):
        time.sleep(0.05)
    waiting: list[tuple[Callable[[], bool], Callable[[], None]]] = [
        (_moment(one), one.site.lines[one.where].late_ones_come),
        (_moment(one), lambda: _strike(one, command, others, day, workers)),
    ]
    while waiting and command.running:
        for pair in [pair for pair in waiting if pair[0]()]:
            waiting.remove(pair)
            pair[1]()
        time.sleep(0.002)
    for running in (command, *others):
        one.wait(running)
    one.site.cluster.start_scheduler()


def _moment(one: _Round) -> Callable[[], bool]:
    """Whether the time has come. Mostly with a certain write of the command, since that is when something can be lost
    and most of its time goes by without one; else at any time. A second night comes early, so that the two race."""
    part = one.dice.random() * (0.5 if one.kind in RACES else 1)
    if one.dice.random() < AT_A_WRITE:
        write = one.site.writes() + max(1, round(part * one.site.usual_writes[one.arguments[0]]))
        return lambda: one.site.writes() >= write
    moment = time.monotonic() + part * one.site.seconds[one.arguments[0]]
    return lambda: time.monotonic() >= moment


def _strike(one: _Round, command: Command, others: list[Command], day: date, workers: list[int]) -> None:
    cluster, dice = one.site.cluster, one.dice
    one.hit = command.running
    if one.kind in ("flow killed", "flow and its workers killed"):
        command.kill()
    elif one.kind == "worker killed":
        os.kill(dice.choice(workers), signal.SIGKILL)
    elif one.kind == "scheduler killed":
        cluster.kill_scheduler()
        if dice.random() < 0.5:  # else it stays away until the command has ended
            cluster.start_scheduler()
    elif one.kind == "server killed":
        kill_server(one.site.folder / one.home)
    elif one.kind == "promotion":
        for category in CATEGORIES:
            promote(one.store, category, "v2")
    elif one.kind == "storage faults":
        one.site.set_weather(replace(weather.FAULTS, full=True))
        time.sleep(dice.uniform(0, LONGEST_FULL))
        one.site.set_weather(weather.FAULTS)
    elif one.kind in RACES:
        if dice.random() < 0.5:
            one.site.lines[one.where].late_ones_come()  # so that the two plan different images
        others.append(one.start(night(one.site, one.where, one.store, day)))


def figures(played: Sequence[Played]) -> dict[str, dict[str, Measured]]:
    """By kind of fault and store, and of all."""
    rows = {}
    for kind, store in sorted({(one.kind, one.store) for one in played}):
        rows[f"{kind}, {store}"] = _figures([one for one in played if (one.kind, one.store) == (kind, store)])
    return rows | ({"all": _figures(played)} if played else {})


def _figures(some: Sequence[Played]) -> dict[str, Measured]:
    sums = ("lost", "twice", "maps_without_rows", "rows_without_maps", "changed", "wrong", "hung", "losses")
    return {
        "rounds": len(some),
        "hit": sum(one.hit for one in some),
        "reruns": [one.reruns for one in some],
        "not done": sum(not one.done for one in some),
        **{name: sum(getattr(one, name) for one in some) for name in sums},
        "seconds": [one.seconds for one in some],
    }
