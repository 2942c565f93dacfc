"""anomalib's Reverse Distillation on a folder of images, for `benchmarks.prediction`; runs where anomalib is.

    .venv-peers/bin/python -m benchmarks.anomalib_prediction FOLDER --backbone resnet18 [--size 256] [--batch 16]

Prints one JSON line: images a second of `Engine.predict` and of the bare network. Weights are random, which costs the
same. No pictures are drawn, so that only decoding, the network and the scores count.
"""

import argparse
import json
import time
from pathlib import Path

import torch
from anomalib.data import PredictDataset
from anomalib.engine import Engine
from anomalib.models import ReverseDistillation
from torch.utils.data import DataLoader

LOADERS = (0, 1)
"""worker processes that decode ahead; the better of the two counts"""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--backbone", default="resnet18")
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--batch", type=int, default=16)
    arguments = parser.parse_args()
    size = (arguments.size, arguments.size)
    model = ReverseDistillation(
        arguments.backbone,
        pre_trained=False,
        pre_processor=ReverseDistillation.configure_pre_processor(size),
        visualizer=False,
        evaluator=False,
    )
    dataset = PredictDataset(arguments.folder, image_size=size)
    rates = {workers: _engine_rate(model, dataset, arguments.batch, workers) for workers in LOADERS}
    images = torch.randn(arguments.batch, 3, *size)
    print(json.dumps({"engine": max(rates.values()), "by_loaders": rates, "bare": _bare_rate(model.model, images)}))


def _engine_rate(model: ReverseDistillation, dataset: PredictDataset, batch: int, workers: int) -> float:
    loader = DataLoader(dataset, batch_size=batch, num_workers=workers, collate_fn=dataset.collate_fn)
    engine = Engine(accelerator="cpu", logger=False, barebones=False, enable_progress_bar=False)
    began = time.perf_counter()
    engine.predict(model, dataloaders=loader, return_predictions=False)
    return len(dataset) / (time.perf_counter() - began)


def _bare_rate(network: torch.nn.Module, images: torch.Tensor, seconds: float = 10) -> float:
    network.eval()
    with torch.inference_mode():
        network(images)
        began, done = time.perf_counter(), 0
        while time.perf_counter() - began < seconds:
            network(images)
            done += len(images)
    return done / (time.perf_counter() - began)


if __name__ == "__main__":
    main()
