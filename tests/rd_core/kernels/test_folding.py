"""Batch norms folded away: the same function, with the blocks that register their layers in the order they run."""

import pytest
import torch
from torch import nn

from rd_core.detectors.reverse_distillation.residual_block import BasicBlock, BottleneckBlock, LinearBlock
from rd_core.features.efficientnet_lite import EfficientNetLite
from rd_core.kernels.folding import fold_batch_norms


@pytest.mark.parametrize(
    "block",
    [
        BasicBlock(8, 8),
        BasicBlock(8, 12, "down"),
        BasicBlock(8, 12, "up"),
        BottleneckBlock(8, 12, 4, "down"),
        BottleneckBlock(8, 12, 4, "up"),
        LinearBlock(8),
        EfficientNetLite(0).blocks[1],
    ],
)
@torch.no_grad()
def test_folded_blocks_compute_the_same_without_a_norm(block: nn.Module) -> None:
    generator = torch.Generator().manual_seed(0)
    for norm in block.modules():
        if isinstance(norm, nn.BatchNorm2d):
            for values in (norm.weight, norm.bias, norm.running_mean, norm.running_var):
                values.uniform_(0.5, 1.5, generator=generator)
    channels = next(
        layer.in_channels for layer in block.modules() if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d)
    )
    x = torch.randn(2, channels, 12, 12, generator=generator)
    expected = block.eval()(x)
    folded = fold_batch_norms(block)
    assert not any(isinstance(layer, nn.BatchNorm2d) for layer in folded.modules())
    torch.testing.assert_close(folded(x), expected)
