"""What only a local folder can meet: links, pipes, kills, full disks."""

import errno
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from datetime import timedelta, timezone
from pathlib import Path

import pytest

from storage.errors import (
    AccessDenied,
    AlreadyExists,
    Conflict,
    InvalidKey,
    KeyNotFound,
    ObjectDenied,
    StorageError,
    StoreFull,
    StoreNotFound,
    TransientFault,
)
from storage.filesystem import LocalStore, open_store
from storage.stores import folder_walk, local_store


def test_a_link_out_of_the_store_is_not_followed(local: LocalStore, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "file").write_bytes(b"secret")
    local.write("images/plain", b"1")
    (local.root / "images/link").symlink_to(secret / "file")
    (local.root / "folder").symlink_to(secret)
    for key in ("images/link", "folder/file"):
        for call in (local.read, local.info, lambda k: local.open(k).__enter__()):
            with pytest.raises(InvalidKey, match="leads out"):
                call(key)
    for write in (local.write, local.create, lambda k, d: local.replace(k, d, "e")):
        with pytest.raises(InvalidKey, match="leads out"):
            write("folder/new", b"1")
    assert [path.name for path in secret.iterdir()] == ["file"]
    # It is shown, so that nothing is skipped without a word; a folder cannot be shown so and is refused.
    assert [info.key for info in local.list("images/")] == ["images/link", "images/plain"]
    with pytest.raises(InvalidKey, match="leads out"):
        list(local.list("folder/"))


def test_a_link_within_the_store_is_followed(local: LocalStore) -> None:
    local.write("real/day/1.png", b"1")
    (local.root / "images").symlink_to(local.root / "real")
    assert local.read("images/day/1.png") == b"1"
    assert [info.key for info in local.list("images/")] == ["images/day/1.png"]


def test_a_link_to_its_own_folder_ends_the_listing(local: LocalStore) -> None:
    local.write("a/1", b"1")
    (local.root / "a/loop").symlink_to(local.root / "a")
    with pytest.raises(StorageError, match="never end"):
        list(local.list(""))


def test_a_link_to_nothing_is_shown_and_missing(local: LocalStore) -> None:
    (local.root / "gone.png").symlink_to(local.root / "nowhere")
    assert [info.key for info in local.list("")] == ["gone.png"]
    with pytest.raises(KeyNotFound):
        local.read("gone.png")


def test_writing_replaces_a_link_and_not_its_target(local: LocalStore) -> None:
    local.write("target", b"1")
    (local.root / "link").symlink_to(local.root / "target")
    local.write("link", b"2")
    assert (local.read("target"), local.read("link")) == (b"1", b"2")


def test_a_pipe_is_shown_and_never_opened(local: LocalStore) -> None:
    os.mkfifo(local.root / "pipe")
    assert [info.key for info in local.list("")] == ["pipe"]
    assert local.info("pipe") is None
    with pytest.raises(KeyNotFound, match="a pipe"):
        local.read("pipe")


def test_links_in_a_circle_are_shown_and_missing(local: LocalStore) -> None:
    (local.root / "a.png").symlink_to(local.root / "b.png")
    (local.root / "b.png").symlink_to(local.root / "a.png")
    assert [info.key for info in local.list("")] == ["a.png", "b.png"]
    assert local.info("a.png") is None
    with pytest.raises(KeyNotFound, match="symbolic link"):
        local.read("a.png")


def test_a_name_of_two_lines_is_a_name(local: LocalStore) -> None:
    local.write("images/two\nlines.png", b"1")
    assert [(info.key, local.read(info.key)) for info in local.list("")] == [("images/two\nlines.png", b"1")]


def test_a_file_without_permission_is_told_from_its_store(local: LocalStore, monkeypatch: pytest.MonkeyPatch) -> None:
    local.write("secret.png", b"1")

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(ObjectDenied, match=r"secret\.png may not be read"):
        local.read("secret.png")


def test_a_name_that_is_no_utf8_is_shown_and_refused(local: LocalStore) -> None:
    (local.root / "images").mkdir()
    Path(os.fsdecode(os.fsencode(local.root) + b"/images/caf\xe9")).mkdir()
    Path(os.fsdecode(os.fsencode(local.root) + b"/images/caf\xe9/1.png")).write_bytes(b"1")
    [info] = local.list("")
    assert info.key == r"images/caf\xe9/1.png"
    assert info.key.encode()
    assert local.children("images/") == [r"caf\xe9"]
    with pytest.raises(InvalidKey):
        local.read(info.key)


def test_empty_folders_are_no_children(local: LocalStore) -> None:
    (local.root / "images/empty/deeper").mkdir(parents=True)
    assert local.children("images/") == []


def test_a_link_to_nothing_makes_a_child(local: LocalStore) -> None:
    (local.root / "images/linked").mkdir(parents=True)
    (local.root / "images/linked/gone.png").symlink_to(local.root / "nowhere")
    assert local.children("images/") == ["linked"]


def test_a_circle_is_a_child_that_cannot_be_listed(local: LocalStore) -> None:
    (local.root / "images/circle").mkdir(parents=True)
    (local.root / "images/circle/again").symlink_to(local.root / "images/circle")
    assert local.children("images/") == ["circle"]
    with pytest.raises(StorageError, match="never end"):
        list(local.list("images/circle/"))


def test_children_are_told_by_one_object_each(local: LocalStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """A day may hold a million images: looking at each took seconds of every night's start, and 0.4 KiB."""
    for i in range(200):
        local.write(f"images/cloth/{i}.png", b"")
        local.write(f"images/cloth/below/{i}.png", b"")
    looked_at = []
    status = folder_walk._status
    monkeypatch.setattr(folder_walk, "_status", lambda entry: looked_at.append(entry) or status(entry))
    assert local.children("images/") == ["cloth"]
    assert len(looked_at) == 1


def test_a_folder_and_an_object_cannot_share_a_name(local: LocalStore) -> None:
    local.write("a/b", b"1")
    with pytest.raises(InvalidKey, match="share a name"):
        local.write("a", b"2")
    with pytest.raises(InvalidKey, match="share a name"):
        local.write("a/b/c", b"2")
    assert [info.key for info in local.list("")] == ["a/b"]
    assert left_over(local) == []


def test_a_name_that_is_too_long(local: LocalStore) -> None:
    with pytest.raises(InvalidKey, match="too long"):
        local.write("a" * 300, b"1")


def test_quick_changes_of_equal_size_have_etags_of_their_own(local: LocalStore) -> None:
    etags = set()
    for i in range(200):
        local.write("k", b"%03d" % i)
        etags.add(local.read_with_etag("k")[1])
    assert len(etags) == 200


def test_times_of_change_are_finer_than_the_kernels(local: LocalStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time_ns", lambda: 1_772_424_000_123_456_789)
    local.write("k", b"1")
    assert (local.root / "k").stat().st_mtime_ns == 1_772_424_000_123_456_789


@pytest.mark.parametrize(
    ("year", "tells"), [(1, 1), (1899, 1899), (1969, 1969), (2263, 2263), (9999, 9999), (30_000, 9999), (-5, 1)]
)
def test_a_file_of_any_time_is_listed_and_its_time_can_be_told_everywhere(
    local: LocalStore, monkeypatch: pytest.MonkeyPatch, year: int, tells: int
) -> None:
    """File systems differ in the times they keep, hence no os.utime."""
    local.write("images/cloth/a.png", b"")

    class Absurd:
        def __init__(self, found: os.stat_result) -> None:
            self.st_mtime_ns = (year - 1970) * 31_556_952 * 10**9
            self.st_size, self.st_ino, self.st_mode = found.st_size, found.st_ino, found.st_mode

    real = local_store._info
    monkeypatch.setattr(local_store, "_info", lambda key, found: real(key, Absurd(found)))  # type: ignore[arg-type]
    (info,) = local.list("images/")
    assert abs(info.modified.year - tells) <= 1
    for hours in (-14, 14):
        assert info.modified.astimezone(timezone(timedelta(hours=hours)))


def test_bytes_that_change_while_they_are_read(local: LocalStore, monkeypatch: pytest.MonkeyPatch) -> None:
    local.write("k", b"1")
    sizes = iter(range(100))
    monkeypatch.setattr(local_store, "_etag", lambda found: f"{next(sizes)}")
    with pytest.raises(TransientFault, match="changed during"):
        local.read("k")


def test_files_can_be_read_by_others(local: LocalStore) -> None:
    before = os.umask(0o022)
    try:
        local.write("k", b"1")
        local.create("k2", b"1")
    finally:
        os.umask(before)
    assert {(local.root / key).stat().st_mode & 0o777 for key in ("k", "k2")} == {0o644}


def test_creating_where_the_file_system_has_no_hard_links(local: LocalStore, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    local.create("k", b"1")
    with pytest.raises(AlreadyExists):
        local.create("k", b"2")
    assert local.read("k") == b"1"
    assert left_over(local) == []


def test_a_root_that_is_gone_is_not_made_again(tmp_path: Path) -> None:
    """It may be a disk that is not mounted: writing below its empty mount point would fill another one."""
    store = LocalStore(tmp_path / "gone")
    for call in (
        store.check,
        lambda: store.read("k"),
        lambda: store.info("k"),
        lambda: store.write("k", b""),
        lambda: list(store.list("")),
        lambda: store.children(""),
        lambda: store.zarr_store("k"),
    ):
        with pytest.raises(StoreNotFound, match="gone is not a folder"):
            call()
    assert not (tmp_path / "gone").exists()


def test_a_folder_without_permission(local: LocalStore, monkeypatch: pytest.MonkeyPatch) -> None:
    # Root may do anything, so the refusal is put in.
    monkeypatch.setattr(os, "access", lambda path, mode: not mode & os.W_OK)
    with pytest.raises(AccessDenied, match="mode or owner"):
        local.check()
    LocalStore(local.root, read_only=True).check()

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(AccessDenied, match="owner and mode"):
        local.write("k", b"1")


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_leaves_the_old_object_and_nothing_else(
    local: LocalStore, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    local.write("k", b"old")
    etag = local.read_with_etag("k")[1]

    def full(handle: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", full)
    for write in (
        lambda: local.write("k", b"new"),
        lambda: local.create("other", b"new"),
        lambda: local.replace("k", b"new", etag),
    ):
        with pytest.raises(StoreFull, match="Free some space"):
            write()
    assert [info.key for info in local.list("")] == ["k"]
    assert local.read("k") == b"old"
    assert left_over(local) == []


def test_a_really_full_disk(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(disk)]
    if os.getuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("this user may not mount a small disk; the injected fault covers it")
    try:
        store = LocalStore(disk)
        store.write("k", b"old")
        with pytest.raises(StoreFull):
            store.write("k", bytes(1_000_000))
        with pytest.raises(StoreFull):
            store.create("k2", bytes(1_000_000))
        assert {info.key: store.read(info.key) for info in store.list("")} == {"k": b"old"}
        assert left_over(store) == []
        store.write("k", b"new")
    finally:
        subprocess.run(["umount", str(disk)], check=True)


_WRITE_FOREVER = """
import sys
from pathlib import Path
from storage.filesystem import LocalStore
store, i = LocalStore(Path(sys.argv[1])), 0
print("ready", flush=True)
while True:
    body = bytes([i % 251]) * 3_000_000
    store.write("k", body)
    store.create(f"new/{i}", body)
    i += 1
"""


def test_a_writer_that_is_killed_leaves_whole_objects(local: LocalStore) -> None:
    for delay in (0.05, 0.08, 0.11):
        with subprocess.Popen(
            [sys.executable, "-c", _WRITE_FOREVER, str(local.root)], stdout=subprocess.PIPE, text=True
        ) as writer:
            assert writer.stdout is not None
            assert writer.stdout.readline() == "ready\n"
            for _ in range(2000):  # a busy disk may take its time for the first object
                if any(local.list("")):
                    break
                time.sleep(0.01)
            time.sleep(delay)
            writer.send_signal(signal.SIGKILL)
        infos = list(local.list(""))
        assert infos
        for info in infos:
            data = local.read(info.key)
            assert len(data) == 3_000_000
            assert len(set(data)) == 1
            (local.root / info.key).unlink()
    # A killed holder of the lock holds it no longer.
    local.create("k", b"1")
    local.replace("k", b"2", local.read_with_etag("k")[1])


def test_what_a_killed_writer_left_is_never_listed(local: LocalStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """The state right after a kill between the temporary file and its taking place."""
    monkeypatch.setattr(Path, "unlink", lambda *_, **__: None)
    monkeypatch.setattr(Path, "replace", lambda *_: (_ for _ in ()).throw(TransientFault("killed")))
    with pytest.raises(TransientFault):
        local.write("images/c/k", b"half")
    assert len(left_over(local)) == 1
    assert list(local.list("")) == []
    assert local.children("images/") == []


def _raise_counter(uri: str, times: int) -> None:
    # Wide enough for another process to come between the look and the change, were there no lock.
    take_place = local_store._take_place
    local_store._take_place = lambda temp, target: (time.sleep(0.005), take_place(temp, target))
    store, done = open_store(uri), 0
    while done < times:
        data, etag = store.read_with_etag("n")
        try:
            store.replace("n", b"%d" % (int(data) + 1), etag)
            done += 1
        except Conflict:
            pass


def _create_own(uri: str, name: str) -> None:
    try:
        open_store(uri).create("winner", name.encode())
    except AlreadyExists:
        return
    open_store(uri).write(f"won/{name}", b"")


def test_processes_lose_no_swap_and_share_no_creation(local: LocalStore) -> None:
    local.create("n", b"0")
    spawn = multiprocessing.get_context("spawn")
    workers = [spawn.Process(target=_raise_counter, args=(local.uri, 20)) for _ in range(2)]
    workers += [spawn.Process(target=_create_own, args=(local.uri, f"w{i}")) for i in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
        assert worker.exitcode == 0
    assert local.read("n") == b"40"
    assert local.children("") == ["won"]
    assert [info.key for info in local.list("won/")] == [f"won/{local.read('winner').decode()}"]


def test_a_large_folder_is_listed_in_order(local: LocalStore) -> None:
    folder = local.root / "images"
    folder.mkdir()
    for i in range(5_000):
        os.close(os.open(folder / f"{i:05}.png", os.O_CREAT))
    assert [info.key for info in local.list("images/")] == [f"images/{i:05}.png" for i in range(5_000)]


def test_a_file_that_is_opened_to_us_is_another_object(local: LocalStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its bytes and times stay as they were, and it must be scored at last."""
    for name, mode in (("a", 0o600), ("b", 0o644)):
        local.write(name, b"1")
        (local.root / name).chmod(mode)
    before = [info.etag for info in local.list("")]
    monkeypatch.setattr(os, "access", lambda *_: False)
    closed, public = (info.etag for info in local.list(""))
    assert closed == before[0] + "-closed"
    assert public == before[1]


def left_over(store: LocalStore) -> list[Path]:
    """Temporary files; the lock file stays for good."""
    return [path for path in store.root.rglob(".rd-inspect-*") if path.name != ".rd-inspect-lock"]


def test_what_is_written_is_on_the_disk_before_its_name_and_the_name_before_the_call_ends(
    local: LocalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A power cut after the call loses nothing: the file is flushed under its temporary name, then its folder."""
    done: list[str] = []
    flush, take_place, link = os.fsync, Path.replace, os.link

    def seen(handle: int) -> None:
        path = Path(f"/proc/self/fd/{handle}").readlink()
        done.append(f"{'folder' if path.is_dir() else 'file'} {path.name[:11]}")
        flush(handle)

    monkeypatch.setattr(os, "fsync", seen)
    monkeypatch.setattr(Path, "replace", lambda self, to: done.append("name") or take_place(self, to))
    monkeypatch.setattr(os, "link", lambda old, new: done.append("name") or link(old, new))
    for change in (
        lambda: local.create("a/x", b"1"),
        lambda: local.write("a/x", b"2"),
        lambda: local.replace("a/x", b"3", local.read_with_etag("a/x")[1]),
    ):
        done.clear()
        change()
        assert done == ["file .rd-inspect", "name", "folder a"]
    done.clear()
    local.remove("a/x")
    assert done == ["folder a"]
    local.write("m/x/y", b"1")
    done.clear()
    local.remove_tree("m/x/")
    assert done == ["folder m"]
