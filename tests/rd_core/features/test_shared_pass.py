"""Features that fits share: the same to the bit, whole or not there, bounded, and gone at the end."""

import errno
import os
import pickle
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from rd_core.detectors import checkpoint
from rd_core.detectors.detector import FitProgress, FitRun, Normals
from rd_core.detectors.padim.detector import PaDiM
from rd_core.detectors.padim.settings import PaDiMSettings
from rd_core.detectors.training import train
from rd_core.errors import ConfigError
from rd_core.features import cache, shared_pass
from rd_core.features.cache import stream_features
from rd_core.features.shared_pass import FORGOTTEN, SharedPass
from rd_core.pictures.images import digest_of
from rd_core.pictures.tile_images import RandomCrops
from rd_core.pictures.tiling import Tiling
from tests.rd_core.detectors.test_contract import small
from tests.rd_core.striped_images import SIZE, textured

pytestmark = pytest.mark.usefixtures("small_micro_batches")
SHARED = SharedPass("comparison-1")
IGNORING = np.ones((SIZE, SIZE), np.bool_)
IGNORING[:24, 10:50] = False


@dataclass(frozen=True)
class Named:
    """Images with a digest; of every second one a region is ignored."""

    images: NDArray[np.uint8]
    digest: str
    ignoring: bool = True

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> NDArray[np.uint8]:
        return self.images[index]

    def counted(self, index: int) -> NDArray[np.bool_] | None:
        return IGNORING if self.ignoring and index % 2 else None


NORMALS = Normals(Named(textured(11), "train"), Named(textured(3, seed=1), "early stop"))


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return SHARED.folder


@pytest.fixture
def passes(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The digests of the images that went through the teacher."""
    seen: list[str] = []

    def passed(maker: Any, images: Any) -> Any:
        seen.append(str(digest_of(images)))
        return _PASSED(maker, images)

    monkeypatch.setattr(cache, "_passed", passed)
    yield seen


_PASSED = cache._passed


def weights(name: str, shared: SharedPass | None) -> bytes:
    steps = {"mkd": {"steps": 1}}.get(name, {})
    return checkpoint.to_bytes(train(name, small(name, **steps), NORMALS, FitRun(shared=shared)).detector)


def test_fits_of_all_methods_are_the_same_with_features_of_each_other(passes: list[str]) -> None:
    computed, alone = [], dict[str, bytes]()
    for name in ("padim", "spade", "patchcore", "reverse_distillation", "mkd", "mkd"):
        del passes[:]
        shared = weights(name, SHARED)
        computed.append(passes.count("train"))
        alone[name] = alone.get(name) or weights(name, None)
        assert shared == alone[name], name
    assert computed == [1, 0, 0, 0, 1, 0], "MKD takes a fourth map, and none of others"


@pytest.mark.parametrize("teacher", ["efficientnet_lite0", "resnet18"])
def test_features_are_read_as_they_were_computed_in_value_and_layout(teacher: str, passes: list[str]) -> None:
    maker = PaDiM.build(
        PaDiMSettings(teacher=teacher, image_height=SIZE, image_width=SIZE, dimensions=5), pretrained=False
    )
    alone, first, second = (
        [(indices, [stage.clone() for stage in some]) for indices, some in stream_features(maker, NORMALS.train, how)]
        for how in (None, SHARED, SHARED)
    )
    assert passes == ["train", "train"]
    for found in (first, second):
        assert [indices for indices, _ in found] == [indices for indices, _ in alone] == [range(8), range(8, 11)]
        for (_, stages), (_, expected) in zip(found, alone, strict=True):
            for stage, wanted in zip(stages, expected, strict=True):
                assert torch.equal(stage, wanted) and stage.stride() == wanted.stride()


def test_other_weights_sizes_precisions_and_images_are_other_files(folder: Path) -> None:
    some = NORMALS.train.images

    def kept(images: Named = Named(some, "train", ignoring=False), seed: int = 0, **settings: Any) -> int:
        torch.manual_seed(seed)
        sides = {"image_height": SIZE, "image_width": SIZE, **settings}
        for _ in stream_features(PaDiM.build(PaDiMSettings(dimensions=5, **sides), pretrained=False), images, SHARED):
            pass
        return len([file for file in folder.iterdir() if file.stat().st_size])

    other = Named(some, "other", ignoring=False)
    assert [kept(), kept(), kept(seed=1), kept(precision="bfloat16"), kept(image_width=32), kept(other)] == [
        1, 1, 2, 3, 4, 5,
    ]  # fmt: skip


def test_images_without_a_digest_are_not_shared(folder: Path) -> None:
    train("padim", small("padim"), Normals(textured(4), textured(2, seed=1)), FitRun(shared=SHARED))
    assert not folder.exists()


CHILD = """
import sys, tempfile, time
tempfile.tempdir = sys.argv[1]
from rd_core.features.shared_pass import SharedPass
assert "torch" not in sys.modules
file = SharedPass("comparison-1").file("digest", 6)
assert file is not None and not file.is_whole
with file:
    file.write(memoryview(b"abc"))
    print("half", flush=True)
    sys.stdin.readline()
    file.write(memoryview(b"def"))
    file.keep(1.5)
"""


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process in the middle of a file."""
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with child:
        assert child.stdout is not None and child.stdout.readline() == "half\n"
        yield child
        child.kill()


def test_a_killed_writer_leaves_nothing_that_is_taken_for_whole(writer: subprocess.Popen[str], folder: Path) -> None:
    writer.send_signal(signal.SIGKILL)
    writer.wait()
    assert [file.suffix for file in folder.iterdir() if file.stat().st_size] == [".part"]
    file = SHARED.file("digest", 6)
    assert file is not None and not file.is_whole
    assert len(list(folder.glob("*.part"))) == 1, "what it left is gone"
    with file:
        file.write(memoryview(b"ABCDEF"))
        file.keep(1.5)
    whole = SHARED.file("digest", 6)
    assert whole is not None and whole.is_whole
    with whole:
        assert (whole.read(6), whole.read_cost()) == (b"ABCDEF", 1.5)
    assert not list(folder.glob("*.part"))


def test_another_process_waits_for_what_one_computes(writer: subprocess.Popen[str]) -> None:
    found: list[bytes] = []

    def wait() -> None:
        file = SHARED.file("digest", 6)
        assert file is not None
        with file:
            found.append(bytes(file.read(6)) if file.is_whole else b"not whole")

    waiting = threading.Thread(target=wait)
    waiting.start()
    waiting.join(0.2)
    assert waiting.is_alive() and not found
    writer.communicate("go on\n")
    waiting.join(20)
    assert found == [b"abcdef"]


def put(digest: str, size: int, shared: SharedPass = SHARED) -> bool:
    """Whether it was kept."""
    file = shared.file(digest, size)
    if file is None:
        return False
    with file:
        file.write(memoryview(bytes(size)))
        file.keep(1.5)
    return True


def test_what_is_read_is_told_with_what_it_cost_another() -> None:
    def saved(shared: SharedPass | None) -> float:
        return train("padim", small("padim"), NORMALS, FitRun(shared=shared)).report.shared_seconds

    before = shared_pass.seconds_saved.get()
    assert (saved(None), saved(SHARED)) == (0, 0)
    assert 0.005 < saved(SHARED) < 5
    assert shared_pass.seconds_saved.get() == before


def test_bytes_are_bounded_by_the_setting_and_the_disk(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bounded = SharedPass(SHARED.name, max_bytes=100)
    begun = bounded.file("begun", 52)
    assert begun is not None
    with begun:
        assert [put("too much", 33, bounded), put("fits", 32, bounded)] == [False, True]
    assert put("later", 52, bounded), "what was given up takes no room"
    assert sum(file.stat().st_size for file in folder.iterdir()) == 100
    free = type("Usage", (), {"free": 999})
    monkeypatch.setattr(shared_pass.shutil, "disk_usage", lambda _: free)
    assert [put("a", 492), put("b", 491)] == [False, True]


@pytest.mark.skipif(not hasattr(os, "posix_fallocate"), reason="macOS allocates no bytes ahead")
def test_reserved_bytes_are_taken_from_the_disk_or_nothing_is_left(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = SHARED.file("digest", 2**20)
    assert file is not None
    with file:
        assert sum(one.stat().st_blocks * 512 for one in folder.iterdir()) >= 2**20

    def full(*_: int) -> None:
        raise OSError(errno.ENOSPC, "no space")

    monkeypatch.setattr(shared_pass.os, "posix_fallocate", full)
    assert SHARED.file("digest", 2**20) is None
    assert not list(folder.glob("*.part"))


def test_a_disk_that_is_full_costs_the_file_and_not_the_fit(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared_pass.PassFile, "write", _no_room)
    assert weights("padim", SHARED) == weights("padim", None)
    assert not [file for file in folder.iterdir() if file.stat().st_size]


def _no_room(self: shared_pass.PassFile, _: memoryview) -> None:
    self._failed = True


def test_a_failed_write_leaves_no_file(folder: Path) -> None:
    file = SHARED.file("digest", 6)
    assert file is not None
    with file:
        file._opened.close()
        file._opened = Path(file._opened.name).open("rb")  # noqa: SIM115  # PassFile closes it; it takes no bytes
        for _ in range(2):
            file.write(memoryview(b"abc"))
        file.keep(1.5)
    assert not [one for one in folder.iterdir() if one.stat().st_size]


def test_a_fit_that_is_stopped_lets_others_go_on() -> None:
    class Stopped(Exception):
        pass

    def stop(_: FitProgress) -> None:
        raise Stopped

    for name in ("padim", "patchcore"):  # by `gather` and by `feature_sources`
        with pytest.raises(Stopped) as kept:  # as Prefect keeps an error, with all that its frames refer to
            train(name, small(name), NORMALS, FitRun(stop, shared=SHARED))
        other = threading.Thread(target=weights, args=(name, SHARED), daemon=True)
        other.start()
        other.join(20)
        assert not other.is_alive(), kept
        SHARED.remove()


def test_it_is_removed_at_the_end_and_what_was_forgotten_with_the_next(folder: Path) -> None:
    SharedPass("nothing").remove()
    for name in ("forgotten", "another"):
        put("digest", 6, SharedPass(name))
    os.utime(SharedPass("forgotten").folder, (0, 0))
    reading = SharedPass("another").file("digest", 6)
    assert reading is not None and FORGOTTEN > 3600
    put("digest", 6)
    assert sorted(one.name for one in folder.parent.iterdir()) == ["another", SHARED.name]
    assert folder.parent.stat().st_mode & 0o777 == 0o700
    SharedPass("another").remove()
    with reading:
        assert reading.read(6) == bytes(6), "a reader is not disturbed"
    unfinished = SHARED.file("other", 6)
    assert unfinished is not None
    SHARED.remove()
    with unfinished:
        unfinished.write(memoryview(bytes(6)))
        unfinished.keep(1.5)
    assert not folder.parent.exists()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a device that is always full")
def test_bytes_that_a_full_disk_takes_no_more_cost_the_file_alone(folder: Path) -> None:
    file = SHARED.file("digest", 6)
    assert file is not None
    with Path("/dev/full").open("wb") as full:
        os.dup2(full.fileno(), file._opened.fileno())
    with file:
        file.write(memoryview(b"abcdef"))  # waits in memory
        file.keep(1.5)
    assert not [one for one in folder.iterdir() if one.stat().st_size]
    assert put("digest", 6), "the lock is free"


def test_a_folder_of_somebody_else_is_not_used(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "elsewhere").mkdir()
    folder.parent.symlink_to(tmp_path / "elsewhere")
    assert SHARED.file("digest", 6) is None
    assert not list((tmp_path / "elsewhere").iterdir()), "and nothing is made in it"
    folder.parent.unlink()
    folder.parent.mkdir(mode=0o777)
    folder.symlink_to(tmp_path / "elsewhere")  # as somebody else may where a mask lets the group write
    assert SHARED.file("digest", 6) is None
    folder.unlink()
    assert put("digest", 6)
    monkeypatch.setattr(shared_pass.os, "getuid", lambda uid=os.getuid(): uid + 1)
    folder.parent.rename(shared_pass._root())
    assert SHARED.file("digest", 6) is None


def test_it_is_plain_data_and_names_a_folder() -> None:
    assert pickle.loads(pickle.dumps(SHARED)) == SHARED
    for wrong in ({"name": "../up"}, {"name": ""}, {"name": ".."}, {"name": "a", "max_bytes": -1}):
        with pytest.raises(ConfigError, match="Give another"):
            SharedPass(**wrong)


def test_crops_have_a_digest_of_their_own_where_their_pictures_have_one() -> None:
    def digest(name: str = "train", tile: int = 32, each: int = 2, seed: int = 0) -> str | None:
        return digest_of(RandomCrops(Named(NORMALS.train.images, name), Tiling(SIZE, SIZE, tile, 0), each, seed))

    some = [digest(), digest("other"), digest(tile=16), digest(each=3), digest(seed=1)]
    assert len(set(some)) == 5 and None not in some and digest() == some[0]
    assert digest_of(RandomCrops(NORMALS.train.images, Tiling(SIZE, SIZE, 32, 0), 2, 0)) is None
