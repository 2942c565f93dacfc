"""What a forward pass costs, and how far it is from what the machine could do.

    python -m benchmarks.cost [--teacher efficientnet_lite0 --teacher resnet18] [--size 256] [--rounds 5]

Floating-point operations are torch's count (a multiply and an add are two), of the networks as they score: no unused
stage, batch norms folded. Bytes are what each layer reads and writes, weights included, as if no cache kept anything
between two layers. The ceiling is the rate of a large matrix product; ceiling and forward pass take turns on one
core, so that a drifting machine touches both.
"""

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.throughput import untrained
from rd_core.detectors.reverse_distillation.detector import ReverseDistillation
from rd_core.detectors.reverse_distillation.settings import ReverseDistillationSettings
from rd_core.detectors.settings import MICRO_BATCH
from tasks.worker.worker_process import prepare_worker_process

SIDE = 2048
"""of the square matrices; 48 MiB in all, far beyond the caches"""


def main() -> None:
    """Print a table of costs and one of distances."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--teacher", action="append", help="may be given again")
    parser.add_argument("--size", type=int, default=256, help="pixels a side")
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    prepare_worker_process()
    torch.set_num_threads(1)
    for teacher in arguments.teacher or ["efficientnet_lite0", "resnet18"]:
        _report(teacher, arguments.size, arguments.rounds)


def _report(teacher: str, size: int, rounds: int) -> None:
    config = ReverseDistillationSettings(teacher=teacher, image_height=size, image_width=size)
    model = untrained(config).ready()
    images = torch.randn(MICRO_BATCH, 3, size, size).to(memory_format=torch.channels_last)
    print(f"{teacher}, {size} x {size}, an image:")
    print("| part | GFLOP | MB moved | FLOP a byte |")
    print("|---|---|---|---|")
    total = 0.0
    with torch.inference_mode():
        features = model.teacher(images)
        embedding = model.bottleneck(features)
        parts = {
            "teacher": (model.teacher, images), "bottleneck": (model.bottleneck, features),
            "student": (model.student, embedding),
        }  # fmt: skip
        for name, (network, given) in parts.items():
            flop, moved = _cost(network, given)
            total += flop
            print(f"| {name} | {flop / 1e9:.2f} | {moved / 1e6:.0f} | {flop / moved:.0f} |")
        _print_distance(model, images, total, rounds)


def _print_distance(model: ReverseDistillation, images: Tensor, flop: float, rounds: int) -> None:
    left = torch.randn(SIDE, SIDE)
    pairs = []
    for _ in range(rounds):
        ceiling = 2 * SIDE**3 / _seconds(lambda: left @ left, 2)
        forward = flop * MICRO_BATCH / _seconds(lambda: model(model.teacher(images)), 4)
        pairs.append((ceiling, forward))
    ceiling, forward = (statistics.median(one) for one in zip(*pairs, strict=True))
    shares = sorted(reached / best for best, reached in pairs)
    print(f"matrix product {ceiling / 1e9:.0f} GFLOP/s on one core, forward pass {forward / 1e9:.0f}:", end=" ")
    print(f"{statistics.median(shares):.2f} of it (from {shares[0]:.2f} to {shares[-1]:.2f} in {rounds} rounds)\n")


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
