"""anomalib's PatchCore with its tiling, for `benchmarks.tiles_beside_anomalib`; runs where anomalib is installed.

    .venv-peers/bin/python -m benchmarks.anomalib_tiles TASK.json OUT.npz

TASK: {"train": [files], "test": [files], "size": [height, width], "tile": 256, "stride": 192, "vectors": 1000}. Its
backbone is the product's default teacher, and images are resized as in the product, so that only tiling, memory and
scores differ. OUT holds scores (N,) and maps float16 (N, H, W) of the tested images. Prints one JSON line of costs.
"""

import argparse
import json
import resource
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from anomalib.data.utils.tiler import Tiler
from anomalib.models.image.patchcore.torch_model import PatchcoreModel
from PIL import Image
from torch import Tensor, nn

from rd_core.features.backbone import build_teacher
from rd_core.pictures.preprocessing import Normalisation, resize

LAYERS = ["layer2", "layer3"]
"""at strides 8 and 16"""
AT_ONCE = 4
"""images"""


class DefaultTeacher(nn.Module):
    """The product's default teacher under anomalib's names."""

    def __init__(self) -> None:
        super().__init__()
        self.teacher = build_teacher("efficientnet_lite0").teacher

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Normalised images float32 (B, 3, H, W)."""
        return dict(zip(LAYERS, self.teacher(images)[1:], strict=True))


def main() -> None:
    """Train, score, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("task", type=Path)
    parser.add_argument("out", type=Path)
    given = parser.parse_args()
    task = json.loads(given.task.read_text())
    torch.manual_seed(0)
    torch.set_num_threads(1)
    model = PatchcoreModel(LAYERS, "resnet18", pre_trained=False)
    model.feature_extractor = DefaultTeacher()
    model.tiler = Tiler(task["tile"], task["stride"])
    began = time.process_time()
    model.train()
    for images in _batches(task["train"], task["size"]):
        model(images)
    patches = sum(map(len, model.embedding_store))
    model.subsample_embedding(task["vectors"] / patches)
    trained, peak = time.process_time() - began, _peak_mib()
    model.eval()
    scores, maps, seconds = [], [], 0.0
    for images in _batches(task["test"], task["size"]):
        began = time.process_time()
        with torch.inference_mode():
            found = model(images)
        seconds += time.process_time() - began
        scores.append(found.pred_score.flatten().numpy())
        maps.append(found.anomaly_map[:, 0].numpy().astype(np.float16))
    np.savez(given.out, scores=np.concatenate(scores), maps=np.concatenate(maps))
    costs = {"training processor s": trained, "training peak mib": peak, "scoring peak mib": _peak_mib()}
    print(json.dumps({**costs, "images/processor s": len(task["test"]) / seconds, "patches": patches}))


def _batches(files: Sequence[str], size: tuple[int, int]) -> Iterator[Tensor]:
    normalisation = Normalisation((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
    for start in range(0, len(files), AT_ONCE):
        some = [np.asarray(Image.open(file).convert("RGB")) for file in files[start : start + AT_ONCE]]
        yield normalisation(torch.from_numpy(np.stack([resize(one, *size) for one in some]))).contiguous()


def _peak_mib() -> float:
    """Of this process since it began."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
