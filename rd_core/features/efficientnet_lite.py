"""EfficientNet-Lite (Tan and Le, ICML 2019, without squeeze-and-excitation and with ReLU6), as TensorFlow trained it.

Names and order of the parameters are timm's, so its files fit.
"""

import math
from typing import cast

from torch import Tensor, nn

_STRIDES = (1, 2, 2, 2, 1, 2, 1)
_KERNELS = (3, 3, 5, 3, 5, 5, 3)
_CHANNELS = (16, 24, 40, 80, 112, 192, 320)
_BLOCKS = (1, 2, 2, 3, 3, 4, 1)
_EXPANSION = 6
_STEM, _HEAD = 32, 1280
"""channels, independent of the width"""
_CLASSES = 1000
_TENSORFLOWS_EPSILON = 1e-3
_SCALES = {0: (1.0, 1.0), 1: (1.0, 1.1), 2: (1.1, 1.2)}
"""of width and depth"""


class EfficientNetLite(nn.Module):
    """The whole classifier. Its `blocks` are seven groups with outputs at strides 2, 4, 8, 16, 16, 32, 32."""

    def __init__(self, number: int) -> None:
        super().__init__()
        width, depth = _SCALES[number]
        self.conv_stem = SamePaddedConv(3, _STEM, 3, stride=2)
        self.bn1 = _NormReLU6(_STEM, dense=False)
        self.blocks = nn.Sequential()
        inputs = _STEM
        for group, (stride, kernel, channels, blocks) in enumerate(
            zip(_STRIDES, _KERNELS, _CHANNELS, _BLOCKS, strict=True)
        ):
            outputs = _in_eights(channels * width)
            count = blocks if group in (0, len(_BLOCKS) - 1) else math.ceil(blocks * depth)
            self.blocks.append(_group(count, inputs, outputs, kernel, stride, 1 if group == 0 else _EXPANSION))
            inputs = outputs
        self.conv_head = nn.Conv2d(inputs, _HEAD, 1, bias=False)
        self.bn2 = _NormReLU6(_HEAD)
        self.classifier = nn.Linear(_HEAD, _CLASSES)

    def forward(self, images: Tensor) -> Tensor:
        """ImageNet logits float32 (B, 1000) of normalised images float32 (B, 3, H, W)."""
        features: Tensor = self.bn2(self.conv_head(self.blocks(self.bn1(self.conv_stem(images)))))
        logits: Tensor = self.classifier(features.mean(dim=(2, 3)))
        return logits


class SamePaddedConv(nn.Conv2d):
    """A convolution without bias, padded as in TensorFlow: an odd zero goes below and to the right.

    torch pads both sides alike. With one more zero on each side, the wanted outputs are a view without the first row
    and column; the input is not copied.
    """

    def __init__(self, inputs: int, outputs: int, kernel: int, *, stride: int = 1, groups: int = 1) -> None:
        super().__init__(inputs, outputs, kernel, stride=stride, groups=groups, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """float32 (B, C, H, W) -> (B, C', ceil(H / stride), ceil(W / stride))."""
        (down, rows), (across, columns) = (self._padding_of(size) for size in x.shape[2:])
        y = nn.functional.conv2d(x, self.weight, self.bias, self.stride, (down, across), self.dilation, self.groups)
        return y[:, :, rows:, columns:]

    def _padding_of(self, size: int) -> tuple[int, int]:
        """(zeros on each side, leading outputs to drop)"""
        kernel, stride = self.kernel_size[0], self.stride[0]
        zeros = max((math.ceil(size / stride) - 1) * stride + kernel - size, 0)
        return (zeros // 2 + stride, 1) if zeros % 2 else (zeros // 2, 0)


class _NormReLU6(nn.BatchNorm2d):
    """Batch norm with an activation that remains when the norm is folded. `dense`: its input is no view, so the
    activation is in place."""

    def __init__(self, channels: int, *, dense: bool = True) -> None:
        super().__init__(channels, eps=_TENSORFLOWS_EPSILON)
        self.act = nn.ReLU6(inplace=dense)

    def forward(self, x: Tensor) -> Tensor:
        activated: Tensor = self.act(super().forward(x))
        return activated


class _SeparableConv(nn.Module):
    """Depthwise, then pointwise convolution: the first block, without expansion."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int) -> None:
        super().__init__()
        self.conv_dw = SamePaddedConv(inputs, inputs, kernel, stride=stride, groups=inputs)
        self.bn1 = _NormReLU6(inputs, dense=stride == 1)
        self.conv_pw = nn.Conv2d(inputs, outputs, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs, eps=_TENSORFLOWS_EPSILON)

    def forward(self, x: Tensor) -> Tensor:
        return cast(Tensor, self.bn2(self.conv_pw(self.bn1(self.conv_dw(x)))))


class _InvertedResidual(nn.Module):
    """Expand, depthwise, project; with a shortcut where the shape is unchanged."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        inner = inputs * expansion
        self.conv_pw = nn.Conv2d(inputs, inner, 1, bias=False)
        self.bn1 = _NormReLU6(inner)
        self.conv_dw = SamePaddedConv(inner, inner, kernel, stride=stride, groups=inner)
        self.bn2 = _NormReLU6(inner, dense=stride == 1)
        self.conv_pwl = nn.Conv2d(inner, outputs, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(outputs, eps=_TENSORFLOWS_EPSILON)
        self.has_shortcut = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        y = self.bn2(self.conv_dw(self.bn1(self.conv_pw(x))))
        y = self.bn3(self.conv_pwl(y))
        return cast(Tensor, y + x if self.has_shortcut else y)


def _group(count: int, inputs: int, outputs: int, kernel: int, stride: int, expansion: int) -> nn.Sequential:
    """`count` blocks, the first of which changes stride and width."""
    blocks = nn.Sequential()
    for _ in range(count):
        if expansion == 1:
            blocks.append(_SeparableConv(inputs, outputs, kernel, stride))
        else:
            blocks.append(_InvertedResidual(inputs, outputs, kernel, stride, expansion))
        inputs, stride = outputs, 1
    return blocks


def _in_eights(channels: float) -> int:
    """Round to a multiple of eight, losing at most a tenth."""
    nearest = max(8, int(channels + 4) // 8 * 8)
    return nearest if nearest >= 0.9 * channels else nearest + 8
