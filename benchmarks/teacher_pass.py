"""Our EfficientNet-Lite0 against timm's, the part of it that teaches: processor milliseconds an image, taking turns.

    python -m benchmarks.teacher_pass [--turns 24]

Both with the batch norms folded, channels last, 8 images of 256 x 256 pixels, one thread.
"""

import argparse
import statistics
import time

import timm
import torch
from torch import nn

from rd_core.features.efficientnet_lite import EfficientNetLite
from rd_core.kernels.folding import fold_batch_norms
from tasks.worker.worker_process import prepare_worker_process

IMAGES, SIZE = 8, 256
PASSES = 6
"""a turn"""


def main() -> None:
    """Print medians and the ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=24)
    turns = parser.parse_args().turns
    prepare_worker_process()
    networks = [_taught(timm.create_model("tf_efficientnet_lite0")), _taught(EfficientNetLite(0))]
    images = torch.randn(IMAGES, 3, SIZE, SIZE).to(memory_format=torch.channels_last)
    with torch.inference_mode():
        for network in networks:
            network(images)
        spent = [[_turn(network, images) for network in networks] for _ in range(turns)]
    theirs, ours = (statistics.median(times) for times in zip(*spent, strict=True))
    ratios = sorted(one / other for one, other in spent)
    print(
        f"timm {theirs:.1f} ms an image, ours {ours:.1f}; timm / ours, turn by turn: median {ratios[turns // 2]:.3f}"
    )
    print(f"quartiles of the ratio: {ratios[turns // 4]:.3f} and {ratios[3 * turns // 4]:.3f}")


def _taught(net: nn.Module) -> nn.Module:
    """The first three stages."""
    folded = fold_batch_norms(net)
    blocks = folded.get_submodule("blocks")
    assert isinstance(blocks, nn.Sequential)
    stages = nn.Sequential(folded.get_submodule("conv_stem"), folded.get_submodule("bn1"), *blocks[:5])
    return stages.to(memory_format=torch.channels_last)


def _turn(network: nn.Module, images: torch.Tensor) -> float:
    began = time.process_time()
    for _ in range(PASSES):
        network(images)
    return (time.process_time() - began) * 1000 / (PASSES * IMAGES)


if __name__ == "__main__":
    main()
