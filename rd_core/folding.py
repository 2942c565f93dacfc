"""Batch norms folded into the convolutions before them: the same function, one pass over memory less."""

from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval


def fold_batch_norms(module: nn.Module) -> nn.Module:
    """`module`, in eval mode, with each batch norm folded in place into the convolution before it.

    A pair is a convolution directly followed, in order of registration, by a batch norm of its width: blocks
    must register them in the order they run. A norm with an activation of its own (`act`) leaves it behind.
    """
    module.eval()
    previous_name, previous = "", None
    for name, child in list(module.named_children()):
        if isinstance(child, nn.BatchNorm2d) and isinstance(previous, nn.Conv2d | nn.ConvTranspose2d):
            transposed = isinstance(previous, nn.ConvTranspose2d)
            setattr(module, previous_name, fuse_conv_bn_eval(previous, child, transpose=transposed))
            setattr(module, name, getattr(child, "act", nn.Identity()))
        else:
            fold_batch_norms(child)
        previous_name, previous = name, child
    return module
