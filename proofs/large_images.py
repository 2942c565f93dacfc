"""Tiny flaws in generated images of many megapixels, and the memory that a worker needs for them.

    python -m proofs.large_images [--size 2048 2048] [--set NAME=VALUE]... [--results FOLDER]

The images are grey textures with grain and sensor noise. Each flawed one has a disc of 6 or 12 pixels that is 0.15 or
0.3 of full scale darker or lighter. A model is trained on normals that nobody labelled, then a day of other normals
and flawed images is planned and scored as in a night. A flaw is found if a box overlaps it; `alarms` are images above
the threshold. Training and scoring have a process each, whose own peak counts: VmHWM. --set is of the category, as
TOML, such as tile=512; by default PatchCore sees them in tiles of 256, at their own size. --play is internal.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from prefect.logging import disable_run_logger
from scipy.ndimage import gaussian_filter

from benchmarks.record import Record, add_results_option
from flows.settings import load_settings
from flows.training_request import training_request
from storage.filesystem import Store, open_store
from storage.layout import SETTINGS_KEY, image_key
from storage.partitions import scores
from tasks.night.pin_champion import pin_champion
from tasks.night.plan_batches import PartitionJob, plan_batches
from tasks.night.score_batch import score_batch
from tasks.training.fit_model import fit_model

CATEGORY = "texture"
DAY = date(2026, 1, 2)
SIZES, CONTRASTS = (6, 12), (0.15, 0.3)
"""diameters in pixels, and shares of full scale"""
GRAIN = 1024
"""side of the square of grain that an image repeats"""
MARGIN = 64
"""pixels from a flaw to the image's edge, at least"""
STEPS = ("train", "score")


@dataclass(frozen=True)
class Flaw:
    """A disc, in pixels of the image."""

    top: int
    left: int
    size: int
    contrast: float

    @property
    def kind(self) -> str:
        return f"flaw of {self.size} pixels, contrast {self.contrast:g}"


def main() -> None:
    """Draw, train, score and write one record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, nargs=2, default=(2048, 2048), help="width and height of the images")
    parser.add_argument("--set", action="append", default=[], help="of the category, as TOML; may be given again")
    parser.add_argument("--normals", type=int, default=40, help="to train on")
    parser.add_argument("--flawed", type=int, default=5, help="of each kind, and as many other normals as of all")
    parser.add_argument("--format", choices=("PNG", "JPEG"), default="PNG")
    parser.add_argument("--play", nargs=2, help=argparse.SUPPRESS)
    add_results_option(parser)
    given = parser.parse_args()
    if given.play:
        step, place = given.play
        print(json.dumps(_train(place) if step == "train" else _score(place)))
        return
    record = Record.begin("large_images", threads=1)
    width, height = given.size
    with tempfile.TemporaryDirectory() as place:
        flaws = draw(open_store(place, create=True), height, width, given)
        steps = {step: _in_own_process(step, place) for step in STEPS}
        rows = figures(open_store(place), flaws) | steps
    about = {"size": [width, height], "set": given.set, "normals": given.normals, "format": given.format}
    record.write(given.results / "large_images" / f"{width}x{height}.json", rows, about)


def draw(store: Store, height: int, width: int, given: argparse.Namespace) -> dict[str, Flaw | None]:
    """Write settings and images; the flaw of each image of the day, by key."""
    chosen = {"method": '"patchcore"', "tile": "256"} | dict(one.split("=", maxsplit=1) for one in given.set)
    lines = ["[defaults]", *(f"{name} = {value}" for name, value in chosen.items())]
    store.write(SETTINGS_KEY, "\n".join(lines).encode())
    random = np.random.default_rng(0)
    for number in range(given.normals):
        key = image_key(CATEGORY, DAY - timedelta(days=1), f"{number:03}.{given.format.lower()}")
        store.write(key, _encoded(texture(random, height, width), given.format))
    kinds = [(size, contrast) for size in SIZES for contrast in CONTRASTS for _ in range(given.flawed)]
    flaws: dict[str, Flaw | None] = {}
    for number, kind in enumerate([*kinds, *[None] * len(kinds)]):
        picture, flaw = texture(random, height, width), None
        if kind is not None:
            top, left = (int(random.integers(MARGIN, side - MARGIN)) for side in (height, width))
            flaw = Flaw(top, left, *kind)
            blemish(picture, flaw, float(random.choice((-1, 1))))
        key = image_key(CATEGORY, DAY, f"{number:03}.{given.format.lower()}")
        store.write(key, _encoded(picture, given.format))
        flaws[key] = flaw
    return flaws


def texture(random: np.random.Generator, height: int, width: int) -> NDArray[np.uint8]:
    """A shaded grey texture, uint8 (H, W)."""
    grain = gaussian_filter(random.standard_normal((GRAIN, GRAIN), dtype=np.float32), 2.0, mode="wrap")
    square = 10 * grain / grain.std() + random.normal(0, 4, grain.shape).astype(np.float32)
    down, across = (
        12 * np.sin(2 * np.pi * (np.arange(side) / random.uniform(300, 900) + random.random()))
        for side in (height, width)
    )
    picture = np.empty((height, width), np.uint8)
    across_grain = np.tile(square, (1, -(-width // GRAIN)))[:, :width] + across.astype(np.float32) + 128
    for top in range(0, height, GRAIN):
        rows = picture[top : top + GRAIN]
        rows[:] = np.clip(across_grain[: len(rows)] + down[top : top + GRAIN, None].astype(np.float32), 0, 255)
    return picture


def blemish(picture: NDArray[np.uint8], flaw: Flaw, sign: float) -> None:
    """Draw the flaw with a soft rim of a pixel, in place."""
    room = flaw.size + 4
    at = np.arange(room) - (room - 1) / 2
    disc = np.clip(flaw.size / 2 + 0.5 - np.hypot(at[:, None], at[None, :]), 0, 1)
    part = picture[flaw.top - 2 : flaw.top - 2 + room, flaw.left - 2 : flaw.left - 2 + room]
    part[:] = np.clip(part + sign * flaw.contrast * 255 * disc, 0, 255)


def figures(store: Store, flaws: dict[str, Flaw | None]) -> dict[str, dict[str, float]]:
    """Shares of flaws found and of alarms, by kind of flaw."""
    keys = [info.key for info in store.list("scores/")]
    rows = [row for key in keys for row in scores.read_part(store, key).to_pylist()]
    outcomes: dict[str, list[tuple[float, float]]] = {}
    for row in rows:
        flaw = flaws[row["image_key"]]
        boxes = row["defect_boxes"] or []
        found = any(flaw is None or _overlaps(box, flaw) for box in boxes)
        name = "normal" if flaw is None else flaw.kind
        outcomes.setdefault(name, []).append((float(found), float(row["is_anomalous"])))
    return {
        name: {"images": len(of), "boxed" if name == "normal" else "found": mean[0], "alarms": mean[1]}
        for name, of in outcomes.items()
        if (mean := np.mean(of, axis=0).tolist())
    }


def _overlaps(box: dict[str, Any], flaw: Flaw) -> bool:
    rows = box["top"] < flaw.top + flaw.size and flaw.top < box["top"] + box["height"]
    return bool(rows and box["left"] < flaw.left + flaw.size and flaw.left < box["left"] + box["width"])


def _encoded(picture: NDArray[np.uint8], format: str) -> bytes:
    """In RGB, of which Pillow's pixels take 4 bytes."""
    out = BytesIO()
    options = {"quality": 95} if format == "JPEG" else {"compress_level": 1}
    Image.fromarray(picture).convert("RGB").save(out, format, **options)
    return out.getvalue()


def _in_own_process(step: str, place: str) -> dict[str, float]:
    command = [sys.executable, "-m", "proofs.large_images", "--play", step, place]
    environment = {**os.environ, "RD_INSPECT_TORCH_THREADS": "1"}
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    measured: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return measured


def _train(place: str) -> dict[str, float]:
    with disable_run_logger():
        request = replace(training_request(load_settings(place), CATEGORY), unlabelled=(DAY - timedelta(days=1),))
        began = time.process_time()
        fit_model.fn(place, place, request, run_id="proof", now=datetime.now(UTC), promote=True)
    return {"processor s": time.process_time() - began, "peak mib": _peak()}


def _score(place: str) -> dict[str, float]:
    with disable_run_logger():
        model = pin_champion.fn(place, CATEGORY)
        assert model is not None
        plan = plan_batches.fn(PartitionJob(place, place, DAY, model, "proof", datetime.now(UTC)))
        began = time.process_time()
        receipts = [score_batch.fn(place, place, batch) for batch in plan.batches]
    images = sum(receipt.rows for receipt in receipts)
    seconds = (time.process_time() - began) / images
    return {"processor s an image": seconds, "peak mib": _peak(), "images": images, "tasks": len(receipts)}


def _peak() -> float:
    """MiB that this process had at most."""
    status = Path("/proc/self/status").read_text()
    return next(int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith("VmHWM"))


if __name__ == "__main__":
    main()
