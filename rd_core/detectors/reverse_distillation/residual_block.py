"""Residual blocks of bottleneck and student, which keep, halve or double the grid."""

from typing import Literal, cast

from torch import Tensor, nn

Resample = Literal["none", "down", "up"]


def resampling_convolution(inputs: int, outputs: int, resample: Resample) -> nn.Module:
    """A convolution without bias: 3x3 at stride 1 ("none") or 2 ("down"), or transposed 2x2 at stride 2 ("up")."""
    if resample == "up":
        return nn.ConvTranspose2d(inputs, outputs, kernel_size=2, stride=2, bias=False)
    stride = 2 if resample == "down" else 1
    return nn.Conv2d(inputs, outputs, kernel_size=3, stride=stride, padding=1, bias=False)


def shortcut(inputs: int, outputs: int, resample: Resample) -> nn.Module:
    """A block's shortcut: the identity where shapes agree, otherwise the smallest convolution with batch norm."""
    if resample == "none" and inputs == outputs:
        return nn.Identity()
    if resample == "up":
        convolution = resampling_convolution(inputs, outputs, "up")
    else:
        stride = 2 if resample == "down" else 1
        convolution = nn.Conv2d(inputs, outputs, kernel_size=1, stride=stride, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs))


class BasicBlock(nn.Module):
    """Two 3x3 convolutions with batch norm; the first resamples."""

    def __init__(self, inputs: int, outputs: int, resample: Resample = "none") -> None:
        super().__init__()
        self.conv1 = resampling_convolution(inputs, outputs, resample)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, kernel_size=3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.relu = nn.ReLU(inplace=True)
        self.shortcut = shortcut(inputs, outputs, resample)

    def forward(self, x: Tensor) -> Tensor:
        """float32 (B, inputs, h, w) -> (B, outputs, h', w'), not negative."""
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        return cast(Tensor, self.relu(y + self.shortcut(x)))


class BottleneckBlock(nn.Module):
    """1x1 to the inner width, a resampling convolution, 1x1 to the outer width, each with batch norm."""

    def __init__(self, inputs: int, outputs: int, inner: int, resample: Resample = "none") -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, inner, kernel_size=1, bias=False)
        self.bn1 = nn.BatchNorm2d(inner)
        self.conv2 = resampling_convolution(inner, inner, resample)
        self.bn2 = nn.BatchNorm2d(inner)
        self.conv3 = nn.Conv2d(inner, outputs, kernel_size=1, bias=False)
        self.bn3 = nn.BatchNorm2d(outputs)
        self.relu = nn.ReLU(inplace=True)
        self.shortcut = shortcut(inputs, outputs, resample)

    def forward(self, x: Tensor) -> Tensor:
        """float32 (B, inputs, h, w) -> (B, outputs, h', w'), not negative."""
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.relu(self.bn2(self.conv2(y)))
        y = self.bn3(self.conv3(y))
        return cast(Tensor, self.relu(y + self.shortcut(x)))


class LinearBlock(nn.Module):
    """Two 3x3 convolutions with batch norm and a shortcut without activation, so values keep both signs."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(width, width, kernel_size=3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(width, width, kernel_size=3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)

    def forward(self, x: Tensor) -> Tensor:
        """float32 (B, width, h, w) -> the same shape."""
        y = self.relu(self.bn1(self.conv1(x)))
        return cast(Tensor, x + self.bn2(self.conv2(y)))


def linear_upsampling_stage(inputs: int, outputs: int, depth: int) -> nn.Sequential:
    """A transposed convolution that doubles the grid, then `depth` linear blocks."""
    return nn.Sequential(
        resampling_convolution(inputs, outputs, "up"),
        nn.BatchNorm2d(outputs),
        *(LinearBlock(outputs) for _ in range(depth)),
    )


def residual_stage(inputs: int, outputs: int, depth: int, narrowing: int, resample: Resample) -> nn.Sequential:
    """`depth` blocks, the first of which resamples.

    `narrowing` 1: basic blocks; above: bottleneck blocks with inner width outputs / narrowing.
    """

    def block(width: int, kind: Resample) -> nn.Module:
        if narrowing == 1:
            return BasicBlock(width, outputs, kind)
        return BottleneckBlock(width, outputs, outputs // narrowing, kind)

    return nn.Sequential(block(inputs, resample), *(block(outputs, "none") for _ in range(depth - 1)))


def initialise(module: nn.Module) -> None:
    """He initialisation (normal, by fan-out) of every convolution, in place.

    Skipped on torch's meta device, where it would import torch's compiler.
    """
    for child in module.modules():
        if isinstance(child, nn.Conv2d | nn.ConvTranspose2d) and not child.weight.is_meta:
            nn.init.kaiming_normal_(child.weight, mode="fan_out", nonlinearity="relu")
            if child.bias is not None:
                nn.init.zeros_(child.bias)
