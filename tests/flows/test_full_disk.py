"""A night whose disk fills up, and goes on when there is room again."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from flows.inspection import InspectionFailed, inspect_images
from storage.filesystem import Store, open_store
from storage.partitions import seals
from storage.records import Partition
from tests.factories import DAY, assert_night_is_whole, put_images, put_model

IMAGES = [f"{i:02}.png" for i in range(24)]
LEFT = 60_000
"""bytes: enough for the plan and a few batches, not for all"""


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", str(disk)]
    if os.getuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("this user may not mount a small disk; tests/tasks injects the fault at every write")
    try:
        yield disk
    finally:
        subprocess.run(["umount", str(disk)], check=True)


@pytest.mark.slow
def test_a_disk_that_fills_up_loses_nothing(store: Store, small_disk: Path, scheduler: str) -> None:
    full = open_store(small_disk)
    full.write("categories.toml", b"[plant]\nbatch_images = 2\n")
    put_model(full, "cloth")
    keys = put_images(store, "cloth", IMAGES)  # on another disk, as from a camera
    ballast = small_disk / "ballast"
    space = os.statvfs(small_disk)
    ballast.write_bytes(bytes(space.f_bavail * space.f_frsize - LEFT))

    with pytest.raises(InspectionFailed, match="Free some space"):
        inspect_images(full.uri, DAY, images=store.uri, dask_address=scheduler)
    assert seals.read_seal(full, Partition("cloth", DAY, "v1")) is None

    ballast.unlink()
    run = inspect_images(full.uri, DAY, images=store.uri, dask_address=scheduler)
    assert run.outcome == "completed"
    assert_night_is_whole(full, "cloth", keys)
