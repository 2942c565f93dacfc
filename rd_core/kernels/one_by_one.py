"""Whether a network's layers run one by one, as its modules say, or may be computed together or by fewer steps."""

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar

import torch
from torch import Tensor

_asked: ContextVar[bool] = ContextVar("asked", default=False)


@contextlib.contextmanager
def layers_one_by_one() -> Iterator[None]:
    """Within it each layer is computed by itself: to compare, and to count what each costs."""
    before = _asked.set(True)
    try:
        yield
    finally:
        _asked.reset(before)


def one_by_one(x: Tensor) -> bool:
    """Whether what is done to `x` has to be: for gradients, for a graph, on a GPU, or within `layers_one_by_one`."""
    return (
        _asked.get()
        or x.device.type != "cpu"
        or torch.is_grad_enabled()
        or torch.compiler.is_compiling()  # or exporting
    )
