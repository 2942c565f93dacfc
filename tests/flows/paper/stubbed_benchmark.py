"""The benchmark as a command, on a small folder in MVTec's layout, with or without its trainings."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image
from typer.testing import CliRunner

from flows.cli import app
from storage.analysis.benchmark_rows import BenchmarkRow, read_rows
from storage.filesystem import open_store
from tasks.paper.benchmark_category import BenchmarkProgress, BenchmarkRequest, Measurement
from tests.rd_core.striped_images import textured, with_blot

QUICK = ("--teacher", "efficientnet_lite0", "--image-size", "64", "--steps", "2")
STUB_AUROC = {"carpet": (0.5, 0.7), "grid": (0.9, 0.9), "casting": (0.25, 0.25)}


def save(folder: Path, images: np.ndarray, suffix: str = "") -> None:
    folder.mkdir(parents=True)
    for number, image in enumerate(images):
        Image.fromarray(image).save(folder / f"{number}{suffix}.png")


def make_category(folder: Path, masks: bool) -> None:
    save(folder / "train" / "good", textured(6))
    save(folder / "test" / "good", textured(3, seed=1))
    save(folder / "test" / "blot", with_blot(textured(3, seed=2)))
    if masks:
        mask = np.zeros((3, 64, 64), dtype=np.uint8)
        mask[:, 20:36, 20:36] = 255
        save(folder / "ground_truth" / "blot", mask, "_mask")


@dataclass
class Stub:
    """Stands in for trainings: what was asked for, and figures by category and seed."""

    requests: list[BenchmarkRequest] = field(default_factory=list)
    rows_left: int = 10**6
    """measurements until it is killed"""

    def measure(self, request: BenchmarkRequest, on_progress) -> Iterator[Measurement]:
        self.requests.append(request)
        on_progress(BenchmarkProgress("steps", 1, 2, 0.5))
        for model in request.models:
            if not self.rows_left:
                raise KeyboardInterrupt
            self.rows_left -= 1
            auroc = STUB_AUROC[request.images.category][request.models[0].seed]
            yield Measurement(model, auroc, 0.875, 0.75, 0.625, 3, 2, 1.5, 10.0, 4_000_000)


def call(*arguments: object, code: int = 0) -> str:
    """Run the command in this process; what it printed, in one line."""
    result = CliRunner().invoke(
        app, ["benchmark", *map(str, arguments)], env={"COLUMNS": "200", "TERM": "dumb"}, catch_exceptions=False
    )
    assert result.exit_code == code, result.output
    return " ".join(result.output.split())


def rows(out: Path) -> list[BenchmarkRow]:
    return read_rows(open_store(out.parent), out.name)
