"""Standard output that takes nothing more."""

import errno
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from flows import cli
from flows.printing.output import OutputLost, print_text, quiet_pipe, standard_output
from flows.printing.plain_table import PlainTable, print_table


@pytest.fixture
def printing_to(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[int], None]]:
    """Has this process print to a file descriptor, as a command does to its first."""
    given = []

    def printing(descriptor: int) -> None:
        given.append(os.fdopen(descriptor, "w"))
        monkeypatch.setattr(sys, "stdout", given[0])
        given.append(standard_output())
        monkeypatch.setattr(sys, "stdout", given[1])

    yield printing
    for one in reversed(given):
        one.close()


@pytest.mark.parametrize(
    "printed",
    [
        lambda: print_text("x" * 10),
        lambda: print_text("x" * 100_000),
        lambda: print_table(PlainTable(columns=("a",), title="b")),
    ],
)
def test_a_full_disk_is_told(printing_to: Callable[[int], None], printed: Callable[[], None]) -> None:
    printing_to(os.open("/dev/full", os.O_WRONLY))
    with pytest.raises(OutputLost, match=r"cannot be written \(No space left on device\)"), quiet_pipe():
        printed()
        sys.stdout.write("more")
    print_text("what comes then is not told again")


def test_whoever_has_enough_hears_no_word(printing_to: Callable[[int], None]) -> None:
    ours, theirs = os.pipe()
    os.close(ours)
    printing_to(theirs)
    print_text("x")
    print_text("y")


def test_an_error_of_another_file_is_none_of_standard_outputs(
    printing_to: Callable[[int], None], tmp_path: Path
) -> None:
    printing_to(os.open(tmp_path / "out", os.O_WRONLY | os.O_CREAT))
    with pytest.raises(BrokenPipeError), quiet_pipe():
        sys.stdout.write("größer\n")
        raise OSError(errno.EPIPE, "of a connection")
    assert (tmp_path / "out").read_text() == "größer\n"


def test_help_that_cannot_be_printed_is_a_failure_in_a_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with Path("/dev/full").open("w") as full:
        monkeypatch.setattr(sys, "stdout", full)
        monkeypatch.setattr(sys, "argv", ["rd-inspect", "--help"])
        with pytest.raises(SystemExit) as ended:
            cli.command_line()
        sys.stdout.close()
    assert ended.value.code == 1
    assert capsys.readouterr().err.startswith("rd-inspect: Standard output cannot be written (No space left")


def test_output_that_was_closed_is_told_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    monkeypatch.setattr(sys, "stdout", standard_output())
    with pytest.raises(OutputLost, match="Bad file descriptor"):
        print_text("x")
    sys.stdout.close()
