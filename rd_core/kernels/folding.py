"""Batch norms folded into the layers before them: the same function, one pass over memory less."""

import copy

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval, fuse_linear_bn_eval


def fold_batch_norms(module: nn.Module) -> nn.Module:
    """`module`, in eval mode, with each batch norm folded in place into the layer before it.

    A pair is a convolution, or a linear layer, directly followed, in order of registration, by a batch norm of its
    kind: blocks must register them in the order they run. A norm with an activation of its own (`act`) leaves it
    behind.
    """
    module.eval()
    previous_name, previous = "", None
    for name, child in list(module.named_children()):
        fused = _fused(previous, child)
        if fused is not None:
            setattr(module, previous_name, fused)
            setattr(module, name, getattr(child, "act", nn.Identity()))
        else:
            fold_batch_norms(child)
        previous_name, previous = name, child
    return module


def _fused(layer: nn.Module | None, norm: nn.Module) -> nn.Module | None:
    """One layer for both, or None where they are no pair."""
    if isinstance(norm, nn.BatchNorm2d) and isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
        if layer.weight.is_meta:
            return _shape_of_both(layer)
        return fuse_conv_bn_eval(layer, norm, transpose=isinstance(layer, nn.ConvTranspose2d))
    if isinstance(norm, nn.BatchNorm1d) and isinstance(layer, nn.Linear):
        return fuse_linear_bn_eval(layer, norm)
    return None


def _shape_of_both(layer: nn.Conv2d | nn.ConvTranspose2d) -> nn.Module:
    """On torch's meta device there is nothing to compute, and the first sum there imports torch's compiler: half of
    the time that loading a model takes."""
    both = copy.deepcopy(layer)
    both.bias = nn.Parameter(torch.empty(layer.out_channels, dtype=layer.weight.dtype, device="meta"))
    return both
