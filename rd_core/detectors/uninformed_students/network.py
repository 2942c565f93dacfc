"""The network of a teacher or a student: of patches one by one, or of all patches of an image in one pass."""

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rd_core.detectors.uninformed_students.architecture import Layer, Step, extent, seen_by, steps_of

SLOPE = 5e-3
"""of the leaky ReLUs"""


class DescriptorNetwork(nn.Module):
    """Descriptors of patches of `scale` pixels a side."""

    def __init__(self, layers: Sequence[Layer], scale: int, stride: int) -> None:
        """stride: pixels between positions of an image."""
        super().__init__()
        self.layers, self.scale, self.stride = tuple(layers), scale, stride
        inputs = (3, *(layer.outputs for layer in layers))
        convolutions = [
            nn.Conv2d(before, layer.outputs, layer.side) for before, layer in zip(inputs, layers, strict=False)
        ]
        # A ModuleList tells no type of its items.
        self.convolutions = cast(Sequence[nn.Conv2d], nn.ModuleList(convolutions))
        for convolution in self.convolutions:
            nn.init.kaiming_normal_(convolution.weight, SLOPE, nonlinearity="leaky_relu")
            nn.init.zeros_(cast(Tensor, convolution.bias))

    def forward(self, padded: Tensor) -> Tensor:
        """Descriptors float32 (B, d, h, w) of the patches that begin at every `stride`-th pixel of (B, 3, H, W), a
        multiple of which is H - scale; see `bordered`."""
        rows, columns = ((side - self.scale) // self.stride + 1 for side in padded.shape[2:])
        return self._run(padded, steps_of(self.layers, self.stride))[:, :, :rows, :columns].float()

    def bordered(self, images: Tensor) -> Tensor:
        """Images (B, 3, H, W) with mirrored borders, for `forward`: what position (i, j) sees is centred on the point
        (i + 1/2, j + 1/2) * stride, in pixels."""
        before, sides = seen_by(self.layers) // 2 - self.stride // 2, []
        for length in (images.shape[3], images.shape[2]):
            sides += [before, extent(length // self.stride, self.scale, self.stride) - length - before]
        return F.pad(images, sides, mode="reflect")

    def of_patches(self, patches: Tensor) -> Tensor:
        """Descriptors float32 (B, d) of (B, 3, scale, scale): the paper's network, with all its poolings."""
        return self._run(patches, steps_of(self.layers, self.scale)).flatten(1).float()

    def _run(self, x: Tensor, steps: Sequence[Step]) -> Tensor:
        for number, (layer, step) in enumerate(zip(self.layers, steps, strict=True)):
            if number:
                x = F.leaky_relu(x, SLOPE)
            one = self.convolutions[number]
            x = F.conv2d(x, one.weight, one.bias, stride=step.stride, dilation=step.dilation)
            if layer.pool:
                # Before the activation, which rises with its input: the same values, a quarter of the work.
                x = F.max_pool2d(x, 2, stride=2) if step.halves else _maxima(x, step.dilation)
        return x


def _maxima(x: Tensor, apart: int) -> Tensor:
    """Maxima of 2 x 2 values that lie `apart`, at every position (OpenVINO has no dilated pooling)."""
    x = torch.maximum(x[:, :, apart:], x[:, :, :-apart])
    return torch.maximum(x[:, :, :, apart:], x[:, :, :, :-apart])
