"""Which files somebody means: nothing is passed over in silence, and nobody waits for a writer who is not done."""

import os
from pathlib import Path

import pytest

from storage.stores.left_out import LeftOut
from tasks.scoring.local_pictures import LocalPicture, names_as_they_come, picture_at, pictures_named
from tests.photo_folders import write_files


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    names = ["roll/a.png", "roll/b/c.jpg", "roll/.DS_Store", "roll/@eaDir/a.png", "roll/b/d.png.part", "lone.png"]
    return write_files(tmp_path, dict.fromkeys(names, b"x"))


def found(*names: str, again: bool = False) -> tuple[list[LocalPicture], LeftOut]:
    left_out = LeftOut()
    return list(pictures_named(names, left_out, again=again)), left_out


def test_a_folder_is_all_files_below_it_but_litter(here: Path) -> None:
    pictures, left_out = found("roll")
    assert [(one.path, one.place) for one in pictures] == [("roll/a.png", "a.png"), ("roll/b/c.jpg", "b/c.jpg")]
    assert [Path("/", one.key) for one in pictures] == [here / "roll/a.png", here / "roll/b/c.jpg"]
    assert left_out.litter == 3


@pytest.mark.parametrize(
    ("pattern", "paths"),
    [
        ("roll/*", ["roll/a.png", "roll/b/c.jpg"]),
        ("roll/**", ["roll/a.png", "roll/b/c.jpg"]),
        ("**/*.png", ["lone.png", "roll/a.png"]),
        ("roll/[ab].png", ["roll/a.png"]),
        ("./l?ne.png", ["./lone.png"]),
    ],
)
def test_a_pattern_in_quotes_is_what_it_matches(here: Path, pattern: str, paths: list[str]) -> None:
    pictures, _ = found(pattern)
    assert [(one.path, one.why) for one in pictures] == [(path, None) for path in paths]
    absolute, _ = found(str(here / pattern))
    assert [os.path.relpath(one.path, here) for one in absolute] == [os.path.normpath(path) for path in paths]


def test_a_file_counts_once_however_it_is_named_but_on_request(here: Path) -> None:
    names = ("roll/a.png", "roll", "./roll/../roll/a.png")
    assert [one.path for one in found(*names)[0]] == ["roll/a.png", "roll/b/c.jpg"]
    assert len(found(*names, again=True)[0]) == 4


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("nothing.png", "there is no such file"),
        ("nothing/*.png", "no file has such a name"),
        ("empty", "a folder without any file"),
        ("s3://plant/a.png", "an address"),
        ("\0", "there is no such file"),
        ("x" * 300, "there is no such file"),
    ],
)
def test_what_is_not_there_is_told(here: Path, name: str, why: str) -> None:
    (here / "empty").mkdir()
    [one], _ = found(name)
    assert (one.path, one.why is not None and why in one.why) == (name, True)


def test_a_folder_that_cannot_be_looked_into_is_told_beside_the_others(here: Path) -> None:
    (here / "roll/loop").symlink_to(here / "roll")
    pictures, _ = found("roll")
    assert [one.path for one in pictures if one.why is None] == ["roll/a.png", "roll/b/c.jpg"]
    [broken] = [one for one in pictures if one.why]
    assert broken.path == "roll/loop/" and "never end" in str(broken.why)


def test_a_name_that_is_none_of_a_key_or_looks_like_a_pattern_is_still_one_file(here: Path) -> None:
    for name in (b"part[1].png", "Prüfling*.png".encode(), b"\xff.png"):
        Path(os.fsdecode(name)).write_bytes(b"x")
        [one], _ = found(os.fsdecode(name))
        assert one.why is None
        assert one.path == name.decode("utf-8", "backslashreplace")
        assert os.path.exists(f"/{one.key}")  # noqa: PTH110  # the key has bytes that are no text


def test_a_single_file_is_none_of_what_only_looks_like_one(here: Path) -> None:
    os.mkfifo("pipe")
    Path("link").symlink_to("nowhere")
    why = {name: picture_at(name).why or "" for name in ("roll/a.png", "roll", "pipe", "link", "nothing")}
    assert [*why.values()] == [
        "", "a folder, and no file", "a pipe, a socket or a device, and no file. Save the picture as one first",
        "a link that leads nowhere", "there is no such file",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("written", "names"),
    [
        (b"a.png\n\nb c.png\r\nlast.png", ["a.png", "b c.png", "last.png"]),
        (b"\xef\xbb\xbfa.png\n", ["a.png"]),
        (b"two\nlines.png\0b.png\0", ["two\nlines.png", "b.png"]),
        (b"", []),
        (b"\n", []),
    ],
)
def test_names_stand_on_lines_or_end_with_nul(written: bytes, names: list[str]) -> None:
    reading, writing = os.pipe()
    os.write(writing, written)
    os.close(writing)
    assert [name for some in names_as_they_come(reading) for name in some] == names
    os.close(reading)


def test_a_name_is_there_before_its_writer_is_done() -> None:
    reading, writing = os.pipe()
    rounds = names_as_they_come(reading)
    for name in ("a.png", "b.png"):
        os.write(writing, f"{name}\nhalf".encode())
        assert next(rounds) == [name.replace("b", "halfb")]
    os.close(writing)
    assert [*rounds] == [["half"]]
    os.close(reading)
