"""A scorer that waits as long as a core would compute, loaded into Dask workers before they work.

With it a machine of two cores shows how nights spread over sixteen workers: what its cores do is the pipeline's own.
"""

from tests import stub_scorer

SECONDS = 0.04
"""an image: EfficientNet-Lite0 at 256 x 256 pixels on one core (docs/benchmarks.md)"""


def dask_setup(worker: object) -> None:
    """Dask calls this in each worker that has this module as a preload."""
    stub_scorer.dask_setup(worker)
    stub_scorer.StubScorer.model.seconds = SECONDS
