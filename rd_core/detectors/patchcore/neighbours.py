"""Exact nearest neighbours in a memory, by matrix products in blocks.

|q - m|^2 = |q|^2 + |m|^2 - 2 q m loses precision where vectors share a large mean: centre both before.
"""

import torch
from torch import Tensor

QUERIES = 1024
MEMORY = 4096
"""vectors in a block: 16 MiB of products"""


def nearest(queries: Tensor, memory: Tensor) -> Tensor:
    """Distances float32 (Q,) of queries (Q, D) from the nearest of memory (M, D): 2 Q M D FLOPs."""
    lengths = memory.square().sum(dim=1)
    squared = [
        torch.stack(
            [
                torch.addmm(length, some, vectors.T, alpha=-2).amin(dim=1)
                for vectors, length in zip(memory.split(MEMORY), lengths.split(MEMORY), strict=True)
            ]
        ).amin(dim=0)
        for some in queries.split(QUERIES)
    ]
    return (torch.cat(squared) + queries.square().sum(dim=1)).clamp_min(0).sqrt()


def reweighted(queries: Tensor, memory: Tensor, neighbours: int) -> Tensor:
    """Scores float32 (B,) of each image's patch farthest from the memory, queries (B, D): Eq. 6 and 7 of the paper.

    The distance from the nearest vector m, times 1 - m's share in the softmax over the distances from the
    `neighbours` vectors nearest to m.
    """
    nearest_ones = memory[_distances(queries, memory).argmin(dim=1)]
    farthest = (queries - nearest_ones).norm(dim=1)
    neighbours = min(neighbours, len(memory))
    if neighbours < 2:  # the softmax of one is 1: nothing would be left of any distance
        return farthest
    around = _distances(nearest_ones, memory).topk(neighbours, dim=1, largest=False).indices
    others = (queries[:, None] - memory[around]).norm(dim=2)
    return farthest * (1 - torch.exp(farthest - others.logsumexp(dim=1)))


def _distances(queries: Tensor, memory: Tensor) -> Tensor:
    """Squared distances (B, M), up to a constant in each row."""
    return torch.addmm(memory.square().sum(dim=1), queries, memory.T, alpha=-2)
