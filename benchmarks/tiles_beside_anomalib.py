"""PatchCore in tiles beside anomalib's with its tiling: one folder, one backbone, equal memories, in one run.

    python -m benchmarks.tiles_beside_anomalib FOLDER --peers-python .venv-peers/bin/python [--vectors 1000]

Both learn from train/good and are judged on the reporting half of test/ (see `benchmarks.folders`). Ours also
calibrates by cross-fitting or a split; theirs does not.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from benchmarks.folders import halves_of_test
from benchmarks.methods import Run, mask_of, measure
from benchmarks.record import Record, add_results_option
from rd_core.metrics.aupro import aupro
from rd_core.metrics.image_metrics import image_auroc
from rd_core.metrics.pixel_tables import PixelTables
from rd_core.pictures.image_view import ImageView

SIZE, TILE, OVERLAP = (1280, 512), 256, 128
"""pixels; kolektorsdd's own size. Tiles cover it without a rest: else anomalib pads the image, and stretches the map
of the padded one over it"""
QUANTITIES = (
    "image auroc", "aupro", "training processor s", "training peak mib", "scoring peak mib", "images/processor s",
)  # fmt: skip


def main() -> None:
    """Measure both and record a row each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--peers-python", required=True, help="of an environment with peers-requirements.txt")
    parser.add_argument("--vectors", type=int, default=1000, help="patches that each memory keeps")
    add_results_option(parser)
    given = parser.parse_args()
    record = Record.begin("tiles_beside_anomalib", threads=1)
    theirs = _theirs(given)
    print(f"anomalib: {theirs}", flush=True)
    rows = {"anomalib": theirs, "ours": _ours(given)}
    about = {"category": given.folder.name, "size": SIZE, "tile": TILE, "overlap": OVERLAP, "vectors": given.vectors}
    record.write(given.results / "tiles_beside_anomalib.json", rows, about)


def _ours(given: argparse.Namespace) -> dict[str, float]:
    view = (f"image_size = [{SIZE[0]}, {SIZE[1]}]", f"tile = {TILE}", f"overlap = {OVERLAP}", 'calibration = "split"')
    run = Run(given.folder.resolve(), "patchcore", 0, (f"coreset_vectors = {given.vectors}",), view)
    with tempfile.TemporaryDirectory() as place:
        measure(run, Path(place), threads=1, seconds=4 * 3600)
        (file,) = Path(place).rglob("*.json")
        figures = json.loads(file.read_text())["figures"]["test"]
    return {name: figures[name]["median"] for name in QUANTITIES}


def _theirs(given: argparse.Namespace) -> dict[str, float]:
    tested = halves_of_test(given.folder).reporting
    task = {
        "train": sorted(str(file) for file in (given.folder / "train" / "good").iterdir()),
        "test": [str(one.path) for one in tested],
        "size": SIZE,
        "tile": TILE,
        "stride": TILE - OVERLAP,
        "vectors": given.vectors,
    }
    with tempfile.TemporaryDirectory() as place:
        file, out = Path(place) / "task.json", Path(place) / "out.npz"
        file.write_text(json.dumps(task))
        command = [given.peers_python, "-m", "benchmarks.anomalib_tiles", str(file), str(out)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            sys.exit(f"anomalib could not be measured: {done.stderr[-2000:]}")
        costs: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
        found = dict(np.load(out))
    anomalous = np.array([one.word == "anomalous" for one in tested])
    masks = [mask_of(one.masks, ImageView(*SIZE)) for one in tested]
    tables = PixelTables.of(found["maps"], masks, anomalous.tolist())
    scores = found["scores"].astype(np.float64)
    return {"image auroc": image_auroc(scores, anomalous), "aupro": aupro(tables), **costs}


if __name__ == "__main__":
    main()
