"""Standardisation of teacher features to mean 0 and deviation 1 per channel."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from rd_core.errors import ConfigError
from rd_core.features.backbone import STRIDES
from rd_core.pictures.counted_pixels import CountedPixels
from rd_core.pictures.images import Images, counted_in


class Standardisation(nn.Module):
    """(x - mean) / std per stage and channel; the identity until fitted."""

    def __init__(self, channels: tuple[int, ...]) -> None:
        super().__init__()
        for stage, width in enumerate(channels):
            self.register_buffer(f"mean_{stage}", torch.zeros(width))
            self.register_buffer(f"std_{stage}", torch.ones(width))

    def forward(self, features: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """Maps (B, C_k, h_k, w_k) -> the same shapes."""
        return tuple(
            (f - self._column(f"mean_{stage}")) / self._column(f"std_{stage}") for stage, f in enumerate(features)
        )

    def fit(self, moments: "Moments") -> None:
        """Set the statistics of the training normals. Raises ConfigError if hardly any of their pixels count."""
        for stage, (mean, std) in enumerate(moments.result()):
            self.get_buffer(f"mean_{stage}").copy_(mean)
            self.get_buffer(f"std_{stage}").copy_(std)

    def _column(self, name: str) -> Tensor:
        return self.get_buffer(name)[:, None, None]


def require_counted(positions: Sequence[int]) -> None:
    """Raise ConfigError if no position counts of one of the two finest stages; positions: by stage, of all images."""
    if not all(positions[:2]):
        raise ConfigError(
            f"the ignored regions of all images leave no {STRIDES[1]} x {STRIDES[1]} pixels at the network's "
            "input, so no method could find anything and nothing was trained. Ignore less, or set a larger "
            "image_size."
        )


def require_counted_in(images: Images) -> None:
    """Raise ConfigError as `require_counted` if none of these images has a position that counts; before a training,
    which may draw from them what would hide that."""
    for number in range(len(images)):
        pixels = CountedPixels.of(counted_in(images, [number]))
        if pixels is None or pixels.on_grid(STRIDES[1]).any():  # and so one of the finest stage, too
            return
    require_counted([0])


@dataclass
class Moments:
    """Sums over images and counted positions, per stage and channel, in float64."""

    count: list[int] = field(default_factory=list)
    """positions, by stage"""
    total: list[Tensor] = field(default_factory=list)
    """sum, (C_k,)"""
    squares: list[Tensor] = field(default_factory=list)
    """sum of squares, (C_k,)"""
    strides: tuple[int, ...] = STRIDES
    """pixels between positions, by stage"""

    def add(self, features: tuple[Tensor, ...], counted: CountedPixels | None = None) -> None:
        """Add maps (B, C_k, h_k, w_k) of more images, the teacher's where some positions do not count."""
        if not self.count:
            self.count = [0] * len(features)
            self.total = [torch.zeros(f.shape[1], dtype=torch.float64) for f in features]
            self.squares = [torch.zeros(f.shape[1], dtype=torch.float64) for f in features]
        for stage, f in enumerate(features):
            values = f.double()
            positions = f.numel() // f.shape[1]
            self.count[stage] += positions if counted is None else int(counted.on_grid(self.strides[stage]).sum())
            self.total[stage] += values.sum(dim=(0, 2, 3)).cpu()
            self.squares[stage] += values.square().sum(dim=(0, 2, 3)).cpu()

    def result(self) -> list[tuple[Tensor, Tensor]]:
        """(mean, deviation) by stage, float32 (C_k,); deviation 1 for a constant channel.

        Raises ConfigError if no position counts of one of the two finest stages.
        """
        require_counted(self.count)
        return self.pairs()

    def pairs(self) -> list[tuple[Tensor, Tensor]]:
        """As `result`, with mean 0 and deviation 1 of a stage of which no position counts."""
        pairs = []
        for count, total, squares in zip(self.count, self.total, self.squares, strict=True):
            mean = total / max(count, 1)
            std = (squares / max(count, 1) - mean.square()).clamp_min(0).sqrt()
            pairs.append((mean.float(), divisors(mean, std).float()))
        return pairs

    def without(self, some: Sequence["Moments"]) -> "Moments":
        """These moments less those of some of their images."""
        own = together(some)
        return Moments(
            [count - less for count, less in zip(self.count, own.count, strict=True)],
            [total - less for total, less in zip(self.total, own.total, strict=True)],
            [squares - less for squares, less in zip(self.squares, own.squares, strict=True)],
            self.strides,
        )


def together(some: Sequence[Moments]) -> Moments:
    """The moments of all images of these, which are at least one."""
    return Moments(
        [sum(counts) for counts in zip(*(one.count for one in some), strict=True)],
        [torch.stack(totals).sum(dim=0) for totals in zip(*(one.total for one in some), strict=True)],
        [torch.stack(squares).sum(dim=0) for squares in zip(*(one.squares for one in some), strict=True)],
        some[0].strides,
    )


@dataclass
class ImageMoments:
    """Moments of each image: 16 bytes a channel."""

    of_images: list[Moments] = field(default_factory=list)

    def add(self, features: tuple[Tensor, ...], counted: CountedPixels | None = None) -> None:
        """Add maps (B, C_k, h_k, w_k) of more images."""
        for one in range(len(features[0])):
            self.of_images.append(Moments())
            own = None if counted is None else CountedPixels(counted.pixels[one : one + 1])
            self.of_images[-1].add(tuple(f[one : one + 1] for f in features), own)


def divisors(mean: Tensor, deviation: Tensor) -> Tensor:
    """Divisors (C,) of channels with these means and deviations: the deviation, or 1 for a constant channel."""
    # Below float32's grain a channel is constant: dividing by its rounding noise would blow it up.
    constant = deviation <= 1e-6 * mean.abs().clamp_min(1e-6)
    return torch.where(constant, 1.0, deviation)
