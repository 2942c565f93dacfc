"""What a forward pass costs, and how far it is from what the machine could do.

    python -m benchmarks.cost [--teacher efficientnet_lite0 --teacher resnet18] [--size 256] [--rounds 5]

Floating-point operations are torch's count (a multiply and an add are two), of the networks as they score: no unused
stage, batch norms folded. Bytes are what each layer reads and writes, weights included, as if no cache kept anything
between two layers. The ceiling is the rate of a large matrix product; ceiling and forward pass take turns on one
core, so that a drifting machine touches both.
"""

import argparse
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.record import Record, Values, add_results_option
from benchmarks.throughput import untrained
from rd_core.detectors.reverse_distillation.detector import ReverseDistillation
from rd_core.detectors.reverse_distillation.settings import ReverseDistillationSettings
from rd_core.detectors.settings import MICRO_BATCH
from tasks.worker.worker_process import prepare_worker_process

SIDE = 2048
"""of the square matrices; 48 MiB in all, far beyond the caches"""


def main() -> None:
    """Measure and record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--teacher", action="append", help="may be given again")
    parser.add_argument("--size", type=int, default=256, help="pixels a side")
    parser.add_argument("--rounds", type=int, default=5)
    add_results_option(parser)
    arguments = parser.parse_args()
    record = Record.begin("cost", threads=1)
    prepare_worker_process()
    torch.set_num_threads(1)
    teachers = arguments.teacher or ["efficientnet_lite0", "resnet18"]
    rows = {teacher: _figures(teacher, arguments.size, arguments.rounds) for teacher in teachers}
    record.write(arguments.results / "cost.json", rows, {"size": arguments.size})


def _figures(teacher: str, size: int, rounds: int) -> dict[str, Values]:
    config = ReverseDistillationSettings(teacher=teacher, image_height=size, image_width=size)
    model = untrained(config).ready()
    images = torch.randn(MICRO_BATCH, 3, size, size).to(memory_format=torch.channels_last)
    with torch.inference_mode():
        features = model.teacher(images)
        embedding = model.bottleneck(features)
        parts = ((model.teacher, images), (model.bottleneck, features), (model.student, embedding))
        flops, moved = zip(*(_cost(network, given) for network, given in parts), strict=True)
        ceilings, forwards = _rates(model, images, sum(flops), rounds)
    return {
        "gflop an image": sum(flops) / 1e9,
        "mb moved an image": sum(moved) / 1e6,
        "matrix product gflop/s": [rate / 1e9 for rate in ceilings],
        "forward pass gflop/s": [rate / 1e9 for rate in forwards],
        "share of matrix product": [rate / best for best, rate in zip(ceilings, forwards, strict=True)],
    }


def _rates(model: ReverseDistillation, images: Tensor, flop: float, rounds: int) -> tuple[list[float], list[float]]:
    """FLOP/s of a matrix product and of the forward pass, one of each a round."""
    left = torch.randn(SIDE, SIDE)
    ceilings, forwards = [], []
    for _ in range(rounds):
        ceilings.append(2 * SIDE**3 / _seconds(lambda: left @ left, 2))
        forwards.append(flop * MICRO_BATCH / _seconds(lambda: model(model.teacher(images)), 4))
    return ceilings, forwards


def _seconds(work: Callable[[], object], times: int) -> float:
    """Of this process on its one thread, so that others on the machine count less."""
    work()
    began = time.process_time()
    for _ in range(times):
        work()
    return (time.process_time() - began) / times


def _cost(network: nn.Module, given: Tensor | tuple[Tensor, ...]) -> tuple[float, float]:
    """(floating-point operations, bytes read and written) of one image."""
    moved = 0

    def count(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        nonlocal moved
        tensors = [*(one for one in inputs if isinstance(one, Tensor)), output]
        moved += sum(one.numel() * one.element_size() for one in tensors)
        moved += sum(one.numel() * one.element_size() for one in layer.parameters())  # once a micro-batch

    leaves = [layer for layer in network.modules() if not list(layer.children())]
    handles = [layer.register_forward_hook(count) for layer in leaves]
    with FlopCounterMode(display=False) as counter:
        network(given)
    for handle in handles:
        handle.remove()
    return counter.get_total_flops() / MICRO_BATCH, moved / MICRO_BATCH


if __name__ == "__main__":
    main()
