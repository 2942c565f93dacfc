"""Show that a night that is killed, cut off, or run concurrently with another loses nothing.

    python -m proofs.storm [--rounds 100] [--seed 0] [--out build/storm.jsonl]

After an undisturbed run, each round disturbs a night or a backfill of a fresh store at a random moment, repeats the
same command until it is done, and compares every row, map and seal with the undisturbed run. Rounds recorded in the
file of --out are not repeated. Exit code 1 if anything was lost.
"""

import argparse
import json
import signal
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

from benchmarks.record import Record, add_results_option
from proofs.storm.rounds import KINDS, Played, figures, play
from proofs.storm.site import open_site


def main() -> None:
    """Run the remaining rounds, and record all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("build/storm.jsonl"), help="one line a round")
    parser.add_argument("--kind", action="append", choices=KINDS, help="only these; may be given again")
    parser.add_argument("--folder", type=Path, help="for logs and stores, new or empty; default a temporary one")
    add_results_option(parser)
    given = parser.parse_args()
    record = Record.begin("storm")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # not without ending the servers
    played = _read(given.out, given.seed)
    left = [number for number in range(given.rounds) if number not in {round_.number for round_ in played}]
    if left:
        folder = given.folder or Path(tempfile.mkdtemp(prefix="storm-"))
        folder.mkdir(parents=True, exist_ok=True)
        played += _play(left, given.kind or list(KINDS), given.seed, folder, given.out)
    record.write(given.results / "storm.json", figures(played), {"seed": given.seed})
    if any(round_.losses for round_ in played):
        sys.exit(1)


def _play(numbers: list[int], kinds: list[str], seed: int, folder: Path, out: Path) -> list[Played]:
    """Run rounds, alternating kinds and stores."""
    out.parent.mkdir(parents=True, exist_ok=True)
    played = []
    with open_site(folder) as site:
        print(f"{folder}: undisturbed, a night takes {site.seconds['inspect']:.1f} s", flush=True)
        for number in numbers:
            kind, turn = kinds[number % len(kinds)], number // len(kinds)
            where = ("local", "s3")[(number + turn * (1 - len(kinds) % 2)) % 2]
            round_ = play(site, number, kind, where, seed)
            with out.open("a") as lines:
                lines.write(json.dumps(asdict(round_)) + "\n")
            losses = f"LOST {round_.losses}: {round_.notes}" if round_.losses else "nothing lost"
            print(f"{number} {kind}, {where}, {round_.command}: {round_.seconds} s, {losses}", flush=True)
            played.append(round_)
    return played


def _read(out: Path, seed: int) -> list[Played]:
    """Recorded rounds of this seed."""
    lines = out.read_text().splitlines() if out.exists() else []
    return [round_ for round_ in (Played(**json.loads(line)) for line in lines) if round_.seed == seed]


if __name__ == "__main__":
    main()
