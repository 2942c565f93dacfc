"""Where the seconds of a small command go: its start, its night, its end.

    python -m benchmarks.night_start [--rounds 3] [--folder FOLDER]

A store of one category with a model of 64 x 64 pixels; its database of Prefect's is made before the first round, so
that none migrates it. Each round has four commands: a night of four new images, the same night again (all complete),
`drift`, and a wrong option. The table has medians, of the wall and of the processor of the command's own process; the
server's processor has a line of its own. Wall seconds mean something on an idle machine alone: the load is told.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from datetime import date, timedelta
from pathlib import Path

from benchmarks.night_start_play import MARKS
from storage.layout import image_key
from storage.stores.filesystem import Store, open_store
from tests.factories import png, put_model

FIRST = date(2026, 1, 1)
IMAGES = 4


def main() -> None:
    """Play the rounds, print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", help="where store and database go; default a temporary one")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        _rounds(Path(folder), arguments.rounds)


def _rounds(folder: Path, rounds: int) -> None:
    store = open_store(str(folder / "plant"), create=True)
    put_model(store, "tile")
    found: defaultdict[str, list[dict[str, list[float]]]] = defaultdict(list)
    for number in range(-1, rounds):  # the first makes the database and fills the page cache
        day = FIRST + timedelta(days=number + 1)
        night = ["inspect", "--run-date", str(day)]
        _put_night(store, day)
        for name, command in (
            (f"night of {IMAGES}", night),
            ("the same again", night),
            ("drift", ["drift"]),
            ("wrong option", ["drift", "--defect-share", "7"]),
        ):
            seconds = _seconds(folder, [*command, "--store", store.uri])
            if number >= 0:
                found[name].append(seconds)
    for name, some in found.items():
        _print(name, some)
    print(f"load {os.getloadavg()[0]:.1f}, {len(os.sched_getaffinity(0))} cores, {rounds} rounds")


def _put_night(store: Store, day: date) -> None:
    for number in range(IMAGES):
        store.write(image_key("tile", day, f"{number}.png"), png(day.toordinal() * IMAGES + number))


def _seconds(folder: Path, command: list[str]) -> dict[str, list[float]]:
    """[wall, processor] by stage, in the order of the stages, and of the whole."""
    marks = folder / "marks.jsonl"
    marks.unlink(missing_ok=True)
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_", "RD_"))}
    environment |= {"RD_INSPECT_HOME": str(folder / "home"), MARKS: str(marks)}
    started, spent = time.time(), _children()
    play = [sys.executable, "-m", "benchmarks.night_start_play", *command]
    subprocess.run(play, env=environment, capture_output=True, check=False)
    ended, own = time.time(), 0.0
    seconds: dict[str, list[float]] = {}
    before = (started, 0.0)
    for line in marks.read_text().splitlines():
        stage, wall, processor = json.loads(line)
        kept = seconds.setdefault(stage, [0.0, 0.0])
        kept[0], kept[1] = kept[0] + wall - before[0], kept[1] + processor - before[1]
        before, own = (wall, processor), processor
    seconds["process ended"] = [ended - before[0], 0.0]
    seconds["server's processor"] = [0.0, _children() - spent - own]
    seconds["in all"] = [ended - started, _children() - spent]
    return seconds


def _children() -> float:
    spent = resource.getrusage(resource.RUSAGE_CHILDREN)
    return spent.ru_utime + spent.ru_stime


def _print(name: str, rounds: list[dict[str, list[float]]]) -> None:
    print(f"{name:42} {'wall s':>7} {'cpu s':>6}")
    for stage in rounds[-1]:
        wall, processor = (statistics.median(one.get(stage, [0, 0])[i] for one in rounds) for i in (0, 1))
        print(f"  {stage:40} {wall:7.2f} {processor:6.2f}")


if __name__ == "__main__":
    main()
