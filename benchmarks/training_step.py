"""Seconds of a training step: the authors' loop written out, and ours on the same networks, images and batch.

    python -m benchmarks.training_step [--teacher resnet18] [--size 256] [--batch 16] [--steps 6] [--rounds 3]
        [--precision bfloat16]

Their loop is `AuthorsLoop`, with the teacher's fourth stage computed and thrown away. Ours: the teacher
once before the first step, without gradients and without its fourth stage, channels last, a fused optimiser. Rounds
take turns, and each ratio is of one round. The teacher's pass is shared out over the epochs of the paper's recipe.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from functools import partial

import numpy as np
import torch
import torchvision
from numpy.typing import NDArray
from torch import Tensor, nn
from torchvision.models import ResNet

from benchmarks.record import Record, add_results_option
from rd_core.detectors.reverse_distillation.descent import Sources, StudentDescent
from rd_core.detectors.reverse_distillation.detector import ReverseDistillation
from rd_core.detectors.reverse_distillation.loss import flattened
from rd_core.detectors.reverse_distillation.settings import recipe
from rd_core.features.cache import CachedFeatures, StreamedFeatures, stream_features
from rd_core.settings import PRECISIONS

EPOCHS = 200
"""of the paper's recipe, over which our one pass of the teacher is shared out"""


def main() -> None:
    """Measure and record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--teacher", default="resnet18", choices=["resnet18", "resnet50", "wide_resnet50_2"])
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--precision", choices=PRECISIONS, default="float32", help="of ours")
    add_results_option(parser)
    arguments = parser.parse_args()
    record = Record.begin("training_step")
    images = np.random.default_rng(0).integers(0, 256, (arguments.batch, arguments.size, arguments.size, 3), np.uint8)
    theirs, ours = [], []
    for number in range(arguments.rounds):
        theirs.append(_their_step(arguments.teacher, images, arguments.steps))
        step, pass_of_teacher = _our_step(arguments.teacher, arguments.precision, images, arguments.steps)
        ours.append(step + pass_of_teacher / EPOCHS)
        print(f"round {number}: theirs {theirs[-1]:.2f} s, ours {ours[-1]:.2f} s", flush=True)
    times = [one / other for one, other in zip(theirs, ours, strict=True)]
    rows = {arguments.teacher: {"their step s": theirs, "our step s": ours, "times theirs": times}}
    name = "training_step" if arguments.precision == "float32" else f"training_step-{arguments.precision}"
    about = {"size": arguments.size, "batch": arguments.batch, "precision": arguments.precision}
    record.write(arguments.results / f"{name}.json", rows, about)


class AuthorsLoop:
    """Steps on `model`'s bottleneck and student; `teacher` gives the three stages of a normalised batch.

    As their published code has it: memory laid out channels first, the teacher run at every step with its gradients
    recorded, one vector a map in the loss, Adam at a constant rate.
    """

    def __init__(self, model: ReverseDistillation, teacher: Callable[[Tensor], tuple[Tensor, ...]]) -> None:
        self.model = model.to(memory_format=torch.contiguous_format)
        self._teacher = teacher
        self._trained = nn.ModuleList([model.bottleneck, model.student])
        settings = recipe("paper").training
        rate, betas = settings.learning_rate, settings.betas
        self._optimiser = torch.optim.Adam(
            self._trained.parameters(), lr=rate, betas=betas, fused=False, foreach=True
        )

    def normalised(self, images: NDArray[np.uint8]) -> Tensor:
        """uint8 (B, H, W, 3) -> float32 (B, 3, H, W), channels first in memory."""
        return self.model.normalisation(torch.from_numpy(images)).contiguous()

    def step(self, batch: Tensor) -> None:
        """One step on a normalised batch."""
        self._trained.train()
        features = self._teacher(batch)
        loss = flattened(features, self.model(features))
        self._optimiser.zero_grad()
        loss.backward()
        self._optimiser.step()


def _their_step(teacher: str, images: np.ndarray, steps: int) -> float:
    config = recipe("paper", teacher=teacher, image_height=images.shape[1], image_width=images.shape[2])
    model = ReverseDistillation.build(config, pretrained=False)
    encoder = getattr(torchvision.models, teacher)(weights=None).eval()
    loop = AuthorsLoop(model, partial(_their_features, encoder))
    batch = loop.normalised(images)
    return _seconds(lambda: loop.step(batch), steps)


def _their_features(encoder: ResNet, batch: Tensor) -> tuple[Tensor, ...]:
    x = encoder.maxpool(encoder.relu(encoder.bn1(encoder.conv1(batch))))
    first = encoder.layer1(x)
    second = encoder.layer2(first)
    third = encoder.layer3(second)
    encoder.layer4(third)
    return first, second, third


def _our_step(teacher: str, precision: str, images: np.ndarray, steps: int) -> tuple[float, float]:
    """Seconds of a step, and of the teacher's pass over a batch."""
    height, width = images.shape[1:3]
    config = recipe("paper", teacher=teacher, image_height=height, image_width=width, precision=precision)
    settings = recipe("paper", batch_size=len(images), loss="flattened")
    model = ReverseDistillation.build(config, pretrained=False)
    with CachedFeatures(model, list(images)) as cache:
        began = time.perf_counter()
        for indices, features in stream_features(model, list(images)):
            cache.put(indices.start, features)
        pass_of_teacher = time.perf_counter() - began
        none = StreamedFeatures(model, [])
        run = StudentDescent(model, settings, Sources(cache, cache, none, none), lambda _: None)
        model.train()
        seconds = _seconds(lambda: run.descend(np.arange(len(images))), steps)
    return seconds, pass_of_teacher


def _seconds(step: object, steps: int) -> float:
    """Median of the steps after the first."""
    assert callable(step)
    taken = []
    for _ in range(steps + 1):
        began = time.perf_counter()
        step()
        taken.append(time.perf_counter() - began)
    return statistics.median(taken[1:])


if __name__ == "__main__":
    main()
