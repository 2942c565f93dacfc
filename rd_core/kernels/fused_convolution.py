"""A convolution together with what follows it, while its result is still in the processor's cache.

An activation or a sum behind a convolution reads and writes the whole tensor once more, and networks like the
default teacher are bound by memory, not by arithmetic. oneDNN, by which torch convolves on a CPU, can apply both to
what it has just computed; torch uses that for compiled graphs, by operators of its own, which are called here.
Elsewhere the layers run one by one.
"""

import functools
from typing import Protocol, cast, runtime_checkable

import torch
from torch import Tensor, nn

from rd_core.kernels.one_by_one import one_by_one
from rd_core.kernels.winograd import WinogradConvolution


@runtime_checkable
class Placed(Protocol):
    """A convolution that says for each input how it is padded, and what is left out of what it gives."""

    def placed(self, x: Tensor) -> tuple[tuple[int, int], tuple[int, int]]:
        """(zeros above and below, zeros left and right), (first rows, first columns to leave out)."""


def convolve(
    convolution: nn.Module,
    x: Tensor,
    norm: nn.Module,
    *,
    plus: Tensor | None = None,
    activation: nn.Module | None = None,
) -> Tensor:
    """`activation(norm(convolution(x)) + plus)`, the same to rounding: (B, C, h, w) -> (B, C', h', w').

    norm: once it is folded away nothing, or the activation that it left behind; before, layers run one by one.
    """
    if isinstance(convolution, nn.Conv2d) and _is_one_step(norm, plus, activation):
        last = norm if activation is None else activation
        if isinstance(convolution, WinogradConvolution) and convolution.pays(x):
            return convolution.followed(x, plus=plus, by=last)
        if _fuses(convolution, x, plus):
            return _fused(convolution, x, plus, last)
    y = norm(convolution(x))
    y = y if plus is None else y + plus
    return cast(Tensor, y if activation is None else activation(y))


class Chain(nn.Sequential):
    """Layers in a row, of which a convolution is computed together with the norm and the activation behind it."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, h, w) -> what the last layer gives."""
        layers = list(self)
        while layers:
            layer = layers.pop(0)
            if isinstance(layer, nn.Conv2d) and layers:
                norm = layers.pop(0)
                x = convolve(
                    layer, x, norm, activation=layers.pop(0) if layers and _is_activation(layers[0]) else None
                )
            else:
                x = layer(x)
        return x


def _is_activation(layer: nn.Module) -> bool:
    return isinstance(layer, nn.ReLU | nn.ReLU6)


def _is_one_step(norm: nn.Module, plus: Tensor | None, activation: nn.Module | None) -> bool:
    """Whether, the norm folded, what follows the convolution is one operation that is known here."""
    last = norm if activation is None else activation
    known = isinstance(last, nn.Identity | nn.ReLU if plus is not None else nn.ReLU | nn.ReLU6)
    folded = isinstance(norm, nn.Identity) or (activation is None and plus is None)
    return known and folded


def _fuses(convolution: nn.Conv2d, x: Tensor, plus: Tensor | None) -> bool:
    return not one_by_one(x) and _computes(convolution.weight.dtype, plus is not None)


def _computes(dtype: torch.dtype, has_sum: bool) -> bool:
    """A sum would be rounded once in place of twice, which in bfloat16 is another score: there it stays by itself."""
    if dtype == torch.float32:
        return _is_here() and not torch.is_autocast_enabled("cpu")
    return dtype == torch.bfloat16 and not has_sum and _is_here() and _has_bfloat16()


@functools.cache
def _is_here() -> bool:
    return torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_convolution_pointwise")


@functools.cache
def _has_bfloat16() -> bool:
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def _fused(convolution: nn.Conv2d, x: Tensor, plus: Tensor | None, last: nn.Module) -> Tensor:
    padding, (rows, columns) = (
        convolution.placed(x) if isinstance(convolution, Placed) else (convolution.padding, (0, 0))
    )
    shape = list(padding), list(convolution.stride), list(convolution.dilation), convolution.groups
    weights = convolution.weight, convolution.bias
    x = x.to(convolution.weight.dtype)
    name, bounds = _named(last)
    if plus is None:
        y = torch.ops.mkldnn._convolution_pointwise(x, *weights, *shape, name, bounds, "")
    else:
        unary = name if name != "none" else None
        y = torch.ops.mkldnn._convolution_pointwise.binary(x, plus, *weights, *shape, "add", 1.0, unary, bounds, None)
    return cast(Tensor, y[:, :, rows:, columns:])


def _named(activation: nn.Module) -> tuple[str, list[float]]:
    """oneDNN's name of it, and its bounds."""
    if isinstance(activation, nn.ReLU6):
        return "hardtanh", [0.0, 6.0]
    return ("relu" if isinstance(activation, nn.ReLU) else "none"), []
