"""What the tests of many methods need."""

from collections.abc import Iterator

import pytest

from tests.rd_core.striped_images import SIZE


@pytest.fixture(scope="module")
def small_micro_batches() -> Iterator[None]:
    """Of four images: a method fills a micro-batch up to score one image, and most tests score a few."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("rd_core.detectors.settings.MICRO_BATCH_PIXELS", 4 * SIZE * SIZE)
        yield
