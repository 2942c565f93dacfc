"""A night from store to sealed partition beside anomalib's `Engine.predict`, in one run: the same images and machine.

    python -m benchmarks.prediction --peers-python .venv-peers/bin/python [--images 512] [--rounds 2]
        [--engine openvino | --precision bfloat16]

Ours twice: with the same ResNet18 networks as anomalib's Reverse Distillation, and with the default teacher. Theirs
decodes, runs the network and keeps nothing; ours also writes maps and scores, and seals. Rounds take turns, and each
ratio is of one round.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from datetime import date
from pathlib import Path

from benchmarks.record import Record, add_results_option
from benchmarks.throughput import night, put_model, put_pictures, result_name
from flows.dask_cluster import dask_cluster
from flows.prefect_server import prefect_server
from flows.settings import load_settings
from rd_core.settings import PRECISIONS
from storage.filesystem import open_store
from storage.layout import images_prefix

SAME, DEFAULT = "resnet18", "efficientnet_lite0"


def main() -> None:
    """Measure and record, a row a teacher."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers-python", required=True, help="of an environment with peers-requirements.txt")
    parser.add_argument("--images", type=int, default=512)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--engine", choices=("torch", "openvino"), default="torch", help="of ours")
    parser.add_argument("--precision", choices=PRECISIONS, default="float32", help="of ours")
    add_results_option(parser)
    arguments = parser.parse_args()
    record = Record.begin("prediction")
    with tempfile.TemporaryDirectory() as folder, prefect_server():
        store = open_store(folder)
        for teacher in (SAME, DEFAULT):
            put_model(store, teacher, arguments.size, teacher, arguments.precision)
        rounds = []
        with dask_cluster(load_settings(folder)) as scheduler:
            for teacher in (SAME, DEFAULT):
                put_pictures(store, teacher, date(2026, 1, 1), 64, arguments.size)
                night(store, scheduler, teacher, date(2026, 1, 1), arguments.engine)  # imports, models, once a worker
            for number in range(arguments.rounds):
                day = date(2026, 2, 1 + number)
                ours = {}
                for teacher in (SAME, DEFAULT):
                    put_pictures(store, teacher, day, arguments.images, arguments.size)
                    ours[teacher], _ = night(store, scheduler, teacher, day, arguments.engine)
                theirs = _theirs(arguments, Path(folder) / images_prefix(SAME, day))
                print(f"round {number}: ours {ours}, anomalib {theirs}", flush=True)
                rounds.append((ours, theirs))
    rows = {
        teacher: {
            "ours images/s": [ours[teacher] for ours, _ in rounds],
            "Engine.predict images/s": [theirs["engine"] for _, theirs in rounds],
            "bare network images/s": [theirs["bare"] for _, theirs in rounds],
            "times Engine.predict": [ours[teacher] / theirs["engine"] for ours, theirs in rounds],
        }
        for teacher in (SAME, DEFAULT)
    }
    about = {name: getattr(arguments, name) for name in ("images", "size", "engine", "precision")}
    file = result_name("prediction", arguments.engine, arguments.precision)
    record.write(arguments.results / file, rows, about)


def _theirs(arguments: argparse.Namespace, folder: Path) -> dict[str, float]:
    command = [arguments.peers_python, "-m", "benchmarks.anomalib_prediction", str(folder)]
    done = subprocess.run(
        [*command, "--backbone", SAME, "--size", str(arguments.size)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        sys.exit(f"anomalib could not be measured: {done.stderr[-2000:]}")
    rates: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return rates


if __name__ == "__main__":
    main()
