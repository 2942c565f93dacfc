"""Choosing the golden images of a category."""

from datetime import UTC, datetime

from prefect import task
from prefect.cache_policies import NO_CACHE

from rd_core.detectors.settings import MICRO_BATCH
from storage.filesystem import open_store
from storage.models import models
from tasks.drift.golden_set import GoldenImage, digest_of, read_golden_set, write_golden_set
from tasks.worker.faults import ON_STORAGE_FAULT

GOLDEN_IMAGES = MICRO_BATCH
"""default number of golden images: enough to show a change, in one forward pass"""


@task(name="choose-golden-set", task_run_name="choose {category}", cache_policy=NO_CACHE, **ON_STORAGE_FAULT)
def choose_golden_set(store_uri: str, images_uri: str, category: str, version: str) -> int:
    """The number of golden images of `category`; without any, calibration images of `version`, evenly spaced, become
    golden. A cross-fitted version has also learnt from them: their scores tell of a changed machine all the same."""
    store, images = open_store(store_uri), open_store(images_uri, read_only=True)
    known = read_golden_set(store, category)
    if known:
        return len(known)
    held_out = models.read_card(store, category, version).images.calibration
    step = max(1, -(-len(held_out) // GOLDEN_IMAGES))
    digests = {key: digest_of(images, key) for key in held_out[::step]}
    chosen = [GoldenImage(key, digest) for key, digest in digests.items() if digest is not None]
    return len(write_golden_set(store, category, chosen, now=datetime.now(UTC))) if chosen else 0
