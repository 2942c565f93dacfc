"""Where a night of many categories goes: processor and wall seconds by phase, of this code and of another checkout.

    python -m benchmarks.many_categories [--categories 12] [--images 3034] [--rounds 1] [--against CHECKOUT]

A store is drawn once: pictures of 227 to 1,600 pixels, a third of them labelled for evaluation, half of these with a
mask, and models that were never trained.
Each round plays a cold night, server and workers included, and the same night again, all sealed; with `--against` the
two checkouts take turns, each on a copy of its own, and at the end their scores and maps are compared byte by byte.
Processor seconds are of the whole tree of processes: they bear a busy machine.
"""

import argparse
import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmarks.untrained import untrained
from demo import woven_cloth
from rd_core.calibration.threshold import calibrate
from rd_core.detectors import checkpoint
from rd_core.detectors.reverse_distillation.settings import ModelConfig
from rd_core.pictures.image_statistics import image_statistics
from rd_core.pictures.preprocessing import resize
from storage.labels.labels import Label, write_labels
from storage.layout import image_key, mask_key
from storage.models import models
from storage.partitions import anomaly_maps
from storage.partitions.scores import read_part
from storage.partitions.seals import list_seals
from storage.stores.filesystem import Store, open_store
from tasks.worker.preprocessing import PREPROCESSING_VERSION

DAY = date(2026, 3, 2)
SHAPES = ((256, 256), (300, 300), (227, 227), (640, 640), (1250, 500), (1200, 1600))
"""height and width; the categories take turns"""
_DRAWN = 4
"""pictures that are drawn; the others are they, moved and as bright as no other"""
_CALIBRATION = 48
_PLAY = Path(__file__).with_name("many_categories_play.py")


@dataclass(frozen=True)
class Played:
    """One night of one checkout."""

    phases: list[tuple[str, float, float]]
    """(name, processor seconds, wall seconds), in their order"""
    stages: dict[str, float]
    """seconds of the threads of all batches by stage, as the receipts tell them"""


def main() -> None:
    """Print a table of each kind of night."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--categories", type=int, default=12)
    parser.add_argument("--images", type=int, default=3034)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--against", type=Path, help="root of another checkout")
    parser.add_argument("--store", type=Path, help="a store that an earlier call has kept, or where to keep it")
    arguments = parser.parse_args()
    checkouts = {"this": Path(__file__).parents[1]}
    if arguments.against:
        checkouts = {"other": arguments.against.resolve(), **checkouts}
    with tempfile.TemporaryDirectory() as folder:
        drawn = arguments.store or Path(folder) / "drawn"
        if not drawn.exists():
            draw_store(drawn, arguments.categories, arguments.images)
        found: dict[tuple[str, str], list[Played]] = {}
        for number in range(arguments.rounds):
            for name, checkout in checkouts.items():
                place = Path(folder) / f"{name}-{number}"
                shutil.copytree(drawn, place)
                for kind in ("cold", "again"):
                    found.setdefault((kind, name), []).append(play(checkout, place, Path(folder) / "home"))
        for kind in ("cold", "again"):
            print_table(kind, {name: found[kind, name] for name in checkouts})
        if len(checkouts) > 1:
            same = len({outcome_digest(Path(folder) / f"{name}-0") for name in checkouts}) == 1
            print(f"scores and maps of both: {'the same bytes' if same else 'NOT THE SAME'}")


def draw_store(place: Path, categories: int, images: int) -> None:
    """Images, masks, labels and a model in force of each category, on DAY."""
    place.mkdir(parents=True)
    store = open_store(str(place))
    config = ModelConfig(image_height=256, image_width=256)
    model = untrained(config)
    weights = checkpoint.to_bytes(model)
    pictures = [(woven_cloth.draw(np.random.default_rng(n), 512) * 255).astype(np.uint8) for n in range(_DRAWN)]
    for number in range(categories):
        name, rng = f"category-{number:02}", np.random.default_rng(number)
        many = images // categories + (number < images % categories)
        height, width = SHAPES[number % len(SHAPES)]
        sized = [np.asarray(Image.fromarray(one).resize((width, height))) for one in pictures]
        labels = [_put_image(store, name, index, many, sized, rng) for index in range(many)]
        write_labels(store, name, labels, "drawn")
        held = [resize(_moved(sized, rng), 256, 256) for _ in range(_CALIBRATION)]
        scores = np.concatenate([model.score(np.stack(held[at : at + 16])).scores for at in range(0, len(held), 16)])
        looks = [asdict(image_statistics(one)) for one in held]
        card: dict[str, Any] = {
            "preprocessing": PREPROCESSING_VERSION,
            "model": config.to_dict(),
            "settings": {"white_level": None, "black_level": None, "max_pixels": 100_000_000, "part_pattern": None},
            "data": {"train": [], "early_stop": [], "calibration": [label.image_key for label in labels[:24]]},
            "threshold": asdict(calibrate(scores.astype(np.float64), 0.05)),
            "pixel_threshold": {"value": float(scores.max()), "alpha": 0.001, "images": _CALIBRATION},
            "calibration_scores": np.sort(scores).tolist(),
            "calibration_statistics": {kind: [look[kind] for look in looks] for kind in looks[0]},
        }
        models.publish_model(store, name, "v1", weights, card)
        models.promote(store, name, "v1", by="benchmark", now=datetime(2026, 3, 1, tzinfo=UTC))


def _put_image(
    store: Store, category: str, index: int, many: int, sized: list[NDArray[np.uint8]], rng: np.random.Generator
) -> Label:
    """Two thirds are normal ones for training; of the last, evaluated third every second one has a defect."""
    evaluated, key = index >= 2 * many // 3, image_key(category, DAY, f"{index:05}.jpg")
    picture, mask = _moved(sized, rng), None
    if evaluated and index % 2:
        height, width = picture.shape[:2]
        y, x = int(rng.integers(height // 8, 7 * height // 8)), int(rng.integers(width // 8, 7 * width // 8))
        drawn = np.hypot(*np.ogrid[-y : height - y, -x : width - x]) < min(height, width) / 12
        picture = np.where(drawn[..., None], picture // 3, picture).astype(np.uint8)
        mask = mask_key(category, DAY, f"{index:05}.png")
        store.write(mask, _encoded(drawn.astype(np.uint8) * 255, "PNG"))
    store.write(key, _encoded(picture, "JPEG"))
    purpose = "evaluation" if evaluated else "training"
    at = datetime(2026, 3, 1, tzinfo=UTC)
    return Label(key, "anomalous" if mask else "normal", mask, "benchmark", at, "spot" if mask else None, purpose)


def _moved(sized: list[NDArray[np.uint8]], rng: np.random.Generator) -> NDArray[np.uint8]:
    one = sized[int(rng.integers(len(sized)))]
    rolled = np.roll(one, (int(rng.integers(one.shape[0])), int(rng.integers(one.shape[1]))), (0, 1))
    return np.asarray(np.clip(rolled + rng.uniform(-6, 6), 0, 255), np.uint8)


def _encoded(picture: NDArray[np.uint8], kind: str) -> bytes:
    out = io.BytesIO()
    Image.fromarray(picture).save(out, kind, **({"quality": 92} if kind == "JPEG" else {}))
    return out.getvalue()


def play(checkout: Path, place: Path, home: Path) -> Played:
    """A night of that checkout, in a process of its own."""
    environment = {**os.environ, "PYTHONPATH": str(checkout), "RD_INSPECT_HOME": str(home)}
    with tempfile.NamedTemporaryFile("r") as told:
        command = [sys.executable, str(_PLAY), str(place), DAY.isoformat(), told.name]
        subprocess.run(command, env=environment, cwd=checkout, check=True)
        kept = json.load(told)
    return Played([(name, cpu, wall) for name, cpu, wall in kept["phases"]], kept["stages"])


def print_table(kind: str, nights: dict[str, list[Played]]) -> None:
    """Medians over the rounds."""
    print(f"\n{kind} night" + "".join(f" {name + ' CPU':>12}{name + ' wall':>12}" for name in nights))
    names = list(dict.fromkeys(name for some in nights.values() for one in some for name, *_ in one.phases))
    totals = {name: [0.0, 0.0] for name in nights}
    for phase in names:
        line = f"{phase:28}"
        for name, some in nights.items():
            spent = [[found[1:] for found in one.phases if found[0] == phase] for one in some]
            medians = np.median([np.sum([(0.0, 0.0), *one], axis=0) for one in spent], axis=0).tolist()
            totals[name] = [total + one for total, one in zip(totals[name], medians, strict=True)]
            line += "".join(f"{value:12.1f}" for value in medians)
        print(line)
    print(f"{'all':28}" + "".join(f"{value:12.1f}" for total in totals.values() for value in total))
    for name, some in nights.items():
        stages = ", ".join(f"{stage} {seconds:.1f}" for stage, seconds in sorted(some[0].stages.items()))
        print(f"seconds of threads within batches, {name}: {stages or 'nothing scored'}")


def outcome_digest(place: Path) -> str:
    """Of every sealed row's scores and every map, but not of names and times, which are the run's own."""
    store, found = open_store(str(place)), hashlib.sha256()
    for seal in list_seals(store):
        for part in (part for plan in seal.plans for part in plan.parts):
            table = read_part(store, part.key)
            rows = table.drop_columns(["scored_at", "run_id", "map_store", "captured_at", "etag"]).to_pylist()
            found.update(repr(rows).encode())
            for row in table.to_pylist():
                if row["map_store"] is not None:
                    found.update(anomaly_maps.read_map(store, row["map_store"], row["map_index"]).tobytes())
    return found.hexdigest()


if __name__ == "__main__":
    main()
