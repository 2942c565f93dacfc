"""anomalib's PaDiM and PatchCore and our Reverse Distillation on the same folders, sizes, features and machine.

    python3.11 -m venv .venv-peers
    .venv-peers/bin/pip install -r benchmarks/peers-requirements.txt
    .venv-peers/bin/python -m benchmarks.peers FOLDER_OF_FOLDERS [--category C]... [--seeds 3] [--out peers.jsonl]

All see EfficientNet-Lite0's stages at strides 4, 8 and 16 (PatchCore, after its paper, those at 8 and 16), of images
that were decoded and resized once. anomalib's networks are called directly: its engine clamps and normalises scores.
Ours trains as the product does, so that a third of the normals is held out for early stop and threshold; the peers
have all. What that is worth, two methods tell: ours that keeps none for a threshold, and PatchCore that does. Last
checkpoint, no test label before the figures. Each fit runs in a process of its own, for its peak memory. Finished
lines stay in --out, so that a run that was stopped goes on.

anomalib's Reverse Distillation is left out: it takes ResNets alone, whose ImageNet weights this run does not ask for.
"""

import argparse
import json
import multiprocessing
import resource
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import timm
import torch
from numpy.typing import NDArray
from PIL import Image

from rd_core.calibration import holdout
from rd_core.detectors.reverse_distillation.model import prepare_for_inference
from rd_core.detectors.reverse_distillation.settings import DEFAULT_RECIPE, model_config, recipe
from rd_core.detectors.reverse_distillation.training import fit
from rd_core.features.backbone_spec import teacher_spec
from rd_core.features.backbone_weights import load_weights
from rd_core.metrics.aupro import aupro
from rd_core.metrics.image_metrics import image_auroc
from rd_core.metrics.masks import mask_on_grid
from rd_core.metrics.pixel_metrics import pixel_auroc
from rd_core.metrics.pixel_tables import PixelTables
from rd_core.pictures.preprocessing import Normalisation, resize
from tasks.importing.folder_masks import marked_by, with_masks
from tasks.importing.image_folder import is_category_folder, read_folder

TEACHER = "efficientnet_lite0"
LAYERS = ["blocks.1", "blocks.2", "blocks.4"]
"""timm's names of the stages at strides 4, 8, 16"""
PADIM_FEATURES = 100
"""of 176; as many as PaDiM's authors keep for ResNet18"""
CORESET = 0.01
BATCH = 8
SIDE = 256
"""pixels"""
PART_PATTERNS = {"magnetic_tile": r"exp(?P<view>\d+)_num_(?P<serial>\d+)"}

Maps = tuple[NDArray[np.float32], NDArray[np.float32]]
"""maps (N, H, W), scores (N,)"""
Scorer = Callable[[NDArray[np.uint8]], Maps]


@dataclass(frozen=True)
class Category:
    """One folder, decoded and resized."""

    name: str
    train: NDArray[np.uint8]
    train_names: list[str]
    test: NDArray[np.uint8]
    is_anomalous: NDArray[np.bool_]
    masks: list[NDArray[np.bool_] | None]


@dataclass(frozen=True)
class Result:
    """One line of the table."""

    category: str
    method: str
    seed: int
    image_auroc: float
    pixel_auroc: float | None
    aupro: float | None
    train_seconds: float
    images_per_second: float
    peak_mib: float


def main() -> None:
    """Compute what is missing, then print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder whose folders have train/good and test/")
    parser.add_argument("--category", action="append", help="only this one; may be given again")
    parser.add_argument("--method", action="append", choices=list(METHODS), help="only this one; may be given again")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1, help="of torch; one, so that two runs can share two cores")
    parser.add_argument("--out", type=Path, default=Path("peers.jsonl"))
    arguments = parser.parse_args()
    folders = sorted(path for path in arguments.data.iterdir() if is_category_folder(path))
    folders = [path for path in folders if not arguments.category or path.name in arguments.category]
    done = list(_read(arguments.out))
    for folder in folders:
        for method in arguments.method or METHODS:
            for seed in range(arguments.seeds):
                if not any((r.category, r.method, r.seed) == (folder.name, method, seed) for r in done):
                    done.append(_in_a_process(folder, method, seed, arguments.threads))
                    with arguments.out.open("a") as out:
                        out.write(json.dumps(asdict(done[-1])) + "\n")
                    print(done[-1], flush=True)
    _print(done)


def _read(file: Path) -> Iterator[Result]:
    for line in file.read_text().splitlines() if file.exists() else []:
        yield Result(**json.loads(line))


def _in_a_process(folder: Path, method: str, seed: int, threads: int) -> Result:
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_measure, (folder, method, seed, threads))


def _measure(folder: Path, method: str, seed: int, threads: int) -> Result:
    torch.set_num_threads(threads)
    torch.manual_seed(seed)
    category = _load(folder)
    began = time.perf_counter()
    scorer = METHODS[method](category, seed)
    trained = time.perf_counter()
    maps, scores = scorer(category.test)
    scored = time.perf_counter()
    tables = PixelTables.of(maps.astype(np.float16), category.masks, [bool(one) for one in category.is_anomalous])
    with_masks = any(mask is not None for mask in category.masks)
    return Result(
        category=folder.name,
        method=method,
        seed=seed,
        image_auroc=image_auroc(scores.astype(np.float64), category.is_anomalous),
        pixel_auroc=pixel_auroc(tables) if with_masks else None,
        aupro=aupro(tables) if with_masks else None,
        train_seconds=trained - began,
        images_per_second=len(category.test) / (scored - trained),
        peak_mib=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    )


def _load(folder: Path) -> Category:
    images, _ = with_masks(read_folder(folder))
    train = [one.path for one in images if one.purpose == "training"]
    test = [one for one in images if one.purpose == "evaluation" and one.word != "unsure"]
    return Category(
        name=folder.name,
        train=pictures(train, SIDE),
        train_names=[path.name for path in train],
        test=pictures([one.path for one in test], SIDE),
        is_anomalous=np.array([one.word == "anomalous" for one in test]),
        masks=[_mask(one.masks) for one in test],
    )


def pictures(paths: Sequence[Path], side: int) -> NDArray[np.uint8]:
    """Decoded and resized to a square: uint8 (N, side, side, 3)."""
    return np.stack([resize(np.asarray(Image.open(path).convert("RGB")), side, side) for path in paths])


def _mask(files: Sequence[Path]) -> NDArray[np.bool_] | None:
    mask = marked_by(files)
    # An empty one does not say where the defect is.
    return mask_on_grid(mask, SIDE, SIDE) if mask is not None and mask.any() else None


def _ours(name: str, *, calibrates: bool = True, **changes: Any) -> Callable[[Category, int], Scorer]:
    def train(category: Category, seed: int) -> Scorer:
        split = _split(category, seed)
        normals = category.train[[*split.train, *(() if calibrates else split.calibration)]]
        config = model_config(name, teacher=TEACHER, image_height=SIDE, image_width=SIDE, **changes)
        settings = recipe(name, seed=seed)
        fitted = fit(config, settings, normals, category.train[list(split.early_stop)])
        model = prepare_for_inference(fitted.model)

        def score(images: NDArray[np.uint8]) -> Maps:
            found = model.score(images)
            return found.maps, found.scores

        return score

    return train


def _split(category: Category, seed: int) -> holdout.Split:
    parts = holdout.parts_of(category.train_names, PART_PATTERNS.get(category.name))
    return holdout.split(category.train_names, parts, seed=seed)


def _padim(category: Category, _seed: int) -> Scorer:
    from anomalib.models.image.padim.torch_model import PadimModel  # noqa: PLC0415  # ours is measured where anomalib is not installed

    model = PadimModel(f"tf_{TEACHER}", LAYERS, pre_trained=False, n_features=PADIM_FEATURES)
    return _by_anomalib(model, category, model.fit)


def _patchcore(category: Category, _seed: int) -> Scorer:
    from anomalib.models.image.patchcore.torch_model import PatchcoreModel  # noqa: PLC0415  # anomalib is in the peers' environment alone

    model = PatchcoreModel(LAYERS[1:], f"tf_{TEACHER}", pre_trained=False)
    return _by_anomalib(model, category, lambda: model.subsample_embedding(CORESET))


def _patchcore_that_calibrates(category: Category, seed: int) -> Scorer:
    """Of the normals that train or stop early with ours."""
    split = _split(category, seed)
    return _patchcore(replace(category, train=category.train[[*split.train, *split.early_stop]]), seed)


def _by_anomalib(model: Any, category: Category, finish: Callable[[], object]) -> Scorer:
    spec = teacher_spec(TEACHER)
    adopt = load_weights(TEACHER, spec.source, None)
    full = timm.create_model(f"tf_{TEACHER}")
    adopt(full)
    missing = model.feature_extractor.feature_extractor.load_state_dict(full.state_dict(), strict=False).missing_keys
    if missing:
        raise RuntimeError(f"anomalib's extractor lacks weights: {missing[:3]}. The comparison would mean nothing.")

    normalised = Normalisation(spec.mean, spec.std)

    def batches(images: NDArray[np.uint8]) -> Iterator[torch.Tensor]:
        for start in range(0, len(images), BATCH):
            yield normalised(torch.from_numpy(images[start : start + BATCH])).contiguous()

    model.train()
    model.feature_extractor.eval()
    with torch.no_grad():
        for batch in batches(category.train):
            model(batch)
        finish()
    model.eval()

    def score(images: NDArray[np.uint8]) -> Maps:
        with torch.inference_mode():
            found = [model(batch) for batch in batches(images)]
        maps = torch.cat([one.anomaly_map[:, 0] for one in found]).numpy()
        return maps, torch.cat([one.pred_score.flatten() for one in found]).numpy()

    return score


METHODS: dict[str, Callable[[Category, int], Scorer]] = {
    "PaDiM (anomalib)": _padim,
    "PatchCore 1 % (anomalib)": _patchcore,
    "PatchCore 1 %, normals kept for a threshold (anomalib)": _patchcore_that_calibrates,
    "RD, recipe paper (ours)": _ours("paper"),
    "RD, recipe robust (ours)": _ours(DEFAULT_RECIPE),
    "RD, recipe robust, none kept for a threshold (ours)": _ours(DEFAULT_RECIPE, calibrates=False),
    "RD, recipe robust, bfloat16 (ours)": _ours(DEFAULT_RECIPE, precision="bfloat16"),
}


def _print(results: list[Result]) -> None:
    print("| category | method | image AUROC | pixel AUROC | AUPRO | train s | images/s | peak MiB |")
    print("|---|---|---|---|---|---|---|---|")
    for category in sorted({r.category for r in results}):
        for method in METHODS:
            rows = [r for r in results if (r.category, r.method) == (category, method)]
            if rows:
                quality = " | ".join(
                    _spread([getattr(r, n) for r in rows]) for n in ("image_auroc", "pixel_auroc", "aupro")
                )
                cost = " | ".join(
                    f"{np.median([getattr(r, n) for r in rows]):.0f}"
                    for n in ("train_seconds", "images_per_second", "peak_mib")
                )
                print(f"| {category} | {method} | {quality} | {cost} |")
    seeds = len({r.seed for r in results})
    print(f"{seeds} seed(s): mean ± standard deviation; seconds, rate and memory are medians.")


def _spread(values: list[float | None]) -> str:
    known = [value for value in values if value is not None]
    if not known:
        return "-"
    return f"{np.mean(known):.3f}" + (f" ± {np.std(known, ddof=1):.3f}" if len(known) > 1 else "")


if __name__ == "__main__":
    main()
