"""What alignment gains and costs: parts as they were taken, and moved at random, with each `align`.

    python -m benchmarks.alignment [FOLDER] [--method NAME]... [--size PIXELS]

FOLDER has train/good and test/, as those of `benchmarks.methods`; its reporting half is judged. Without it the
generated factory's printed part is drawn, NORMALS to train on, half as many good ones and as many defective ones to
judge. "Moved": every image, of the training too, by up to 8 pixels of 256 along each axis and by up to 2 degrees. An
image that does not look like the part has no score and goes to a person: it counts as an alarm, found if defective.
"""

import argparse
import itertools
import tempfile
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from prefect.logging import disable_run_logger

from benchmarks.folders import halves_of_test, import_category
from benchmarks.record import Record, add_results_option
from demo import defects, printed_part
from flows.settings import load_settings
from flows.training_request import training_request
from rd_core.errors import NoCommonPart
from rd_core.maps.enlargement import enlarged
from rd_core.metrics.aupro import aupro
from rd_core.metrics.decisions import decisions_at
from rd_core.metrics.image_metrics import image_auroc
from rd_core.metrics.pixel_tables import PixelTables
from rd_core.pictures.alignment import Offset
from storage.filesystem import open_store
from tasks.importing.folder_masks import marked_by
from tasks.importing.image_folder import FolderImage
from tasks.training.fit_model import fit_model
from tasks.worker.picture_reader import LoadedPicture, load_picture
from tasks.worker.scorer import Scorer, warm_scorer

DRAWN = "printed_part"
NORMALS, SIDE = 80, 192
"""drawn ones, and their pixels a side"""
MOST_SHIFT, MOST_ROTATION = 8 / 256, 2.0
"""share of the longer side, degrees"""
BATCH = 16
KINDS = ("none", "shift", "rigid")


def main() -> None:
    """Train and judge each combination; one record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="?", help="default: the drawn part")
    parser.add_argument("--method", action="append", choices=("patchcore", "padim"))
    parser.add_argument("--size", type=int, default=128, help="pixels a side of the view; default %(default)s")
    add_results_option(parser)
    given = parser.parse_args()
    name = given.folder.name if given.folder else DRAWN
    methods = given.method or ["padim", "patchcore"]
    words = [*([name] if given.folder else []), *(f"--method {one}" for one in methods), f"--size {given.size}"]
    record = Record.begin("alignment", " ".join(("python -m benchmarks.alignment", *words)), threads=1)
    rows: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as place:
        at_rest = given.folder or _draw(Path(place) / DRAWN)
        moved = _move(at_rest, Path(place) / "moved" / name)
        for method, (words_of, folder), kind in itertools.product(
            methods, (("as taken", at_rest), ("moved", moved)), KINDS
        ):
            row = f"{method}, {words_of}, {kind}"
            rows[row] = _measure(folder, method, kind, given.size)
            print(row, rows[row], flush=True)
    about = {"category": name, "size": given.size}
    record.write(given.results / "alignment" / f"{'-'.join((name, *methods))}.json", rows, about)


def _measure(folder: Path, method: str, kind: str, size: int) -> dict[str, float]:
    """A row; where the training refuses to align, that alone."""
    with tempfile.TemporaryDirectory() as place, disable_run_logger():
        store = open_store(place, create=True)
        import_category(store, folder, method, 0, view=[f"image_size = {size}", f'align = "{kind}"'])
        request = training_request(load_settings(store.uri), folder.name)
        began = time.process_time()
        try:
            fitted = fit_model.fn(
                store.uri, store.uri, request, run_id="benchmark", now=datetime.now(UTC), promote=True
            )
        except NoCommonPart as e:
            print(e, flush=True)
            return {"refused": 1}
        seconds = time.process_time() - began
        scorer = warm_scorer(store, folder.name, fitted.version)
        images = (
            halves_of_test(folder).reporting if folder.name != DRAWN else [*itertools.chain(*halves_of_test(folder))]
        )
        return {**_judged(scorer, images), "training processor s": seconds, "normals left out": fitted.unreadable}


def _judged(scorer: Scorer, images: Sequence[FolderImage]) -> dict[str, float]:
    data = [one.path.read_bytes() for one in images]
    began = time.process_time()
    loaded = [load_picture(scorer.image_format, one) for one in data]
    reading = (time.process_time() - began) / len(data)
    anomalous = np.array([one.word == "anomalous" for one in images])
    seen = np.array([one.pixels is not None for one in loaded])
    readable = [one for one in loaded if one.pixels is not None]
    began = time.process_time()
    found = [scorer.score(readable[i : i + BATCH]) for i in range(0, len(readable), BATCH)]
    scoring = (time.process_time() - began) / len(readable)
    scores = np.full(len(images), np.inf)
    scores[seen] = np.concatenate([one.scores for one in found])
    scores[~seen] = 2 * scores[seen].max()
    decided = decisions_at(float(scorer.threshold), scores, anomalous)
    figures = {
        "good": int((~anomalous).sum()),
        "defective": int(anomalous.sum()),
        "image auroc": image_auroc(scores, anomalous),
        "recall": decided.recall.value,
        "false alarms": decided.false_alarm_rate.value,
        "good without a score": int((~seen & ~anomalous).sum()),
        "defective without a score": int((~seen & anomalous).sum()),
        "ms to read": 1000 * reading,
        "ms to score": 1000 * scoring,
    }
    maps = np.concatenate([one.as_float16() for one in found])
    return figures | _of_pixels(
        scorer, [one for one, is_seen in zip(images, seen, strict=True) if is_seen], readable, maps
    )


def _of_pixels(
    scorer: Scorer, images: Sequence[FolderImage], loaded: Sequence[LoadedPicture], maps: NDArray[np.float16]
) -> dict[str, float]:
    """AUPRO of the images with a score; nothing without a mask."""
    view = scorer.image_format.view
    marked = [marked_by(one.masks) for one in images]
    if not any(mask is not None and mask.any() for mask in marked):
        return {}
    masks = [
        view.mask_on_map(mask, view.size, one.size, one.offset) if mask is not None and mask.any() else None
        for mask, one in zip(marked, loaded, strict=True)
    ]
    anomalous = [one.word == "anomalous" for one in images]
    tables = PixelTables.of(enlarged(maps, view.size), masks, anomalous, [one.counted for one in loaded])
    return {"aupro": aupro(tables)}


def _draw(folder: Path) -> Path:
    kinds = defects.KINDS[DRAWN]
    for number in range(NORMALS):
        _save(folder / "train" / "good" / f"{number:03}.png", printed_part.draw(_random(0, number), SIDE))
    for number in range(NORMALS // 2):
        _save(folder / "test" / "good" / f"{number:03}.png", printed_part.draw(_random(1, number), SIDE))
    for number, kind in zip(range(NORMALS), itertools.cycle(kinds)):
        random = _random(2, number)
        picture, mask = kinds[kind](printed_part.draw(random, SIDE), random, random.uniform(0.3, 0.8))
        _save(folder / "test" / kind / f"{number:03}.png", picture)
        _save(folder / "ground_truth" / kind / f"{number:03}_mask.png", mask.astype(np.float32))
    return folder


def _move(folder: Path, out: Path) -> Path:
    """A copy of the folder whose images lie elsewhere, each with its mask."""
    for number, path in enumerate(_images(folder)):
        within = path.relative_to(folder)
        with Image.open(path) as image:
            pixels = np.asarray(image.convert("RGB"))
        random = _random(3, number)
        most = MOST_SHIFT * max(pixels.shape[:2])
        x, y = random.uniform(-most, most, 2).tolist()
        move = Offset(x, y, random.uniform(-MOST_ROTATION, MOST_ROTATION))
        _save(out / within.with_suffix(".png"), np.divide(move.aligned(pixels), 255, dtype=np.float32))
        mask = folder / "ground_truth" / within.parent.name / f"{path.stem}_mask.png"
        if mask.exists():
            with Image.open(mask) as image:
                there = move.aligned_mask(np.asarray(image.convert("L")) > 0)
            _save(out / mask.relative_to(folder), there.astype(np.float32))
    return out


def _images(folder: Path) -> Iterator[Path]:
    yield from sorted(path for part in ("train", "test") for path in (folder / part).glob("*/*.*"))


def _save(path: Path, picture: NDArray[np.float32]) -> None:
    """Of values from 0 to 1."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.round(np.clip(picture, 0, 1) * 255).astype(np.uint8)).save(path, compress_level=1)


def _random(part: int, number: int) -> np.random.Generator:
    return np.random.default_rng([34, part, number])


if __name__ == "__main__":
    main()
