"""Ctrl-C, SIGTERM and a closed terminal: one sentence, and the process is gone with all it started."""

import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.runtime import flow_run

from flows.cli import app
from flows.machinery import interruption
from flows.machinery.left_runs import close_left_runs

BEFORE = """
import contextvars, hashlib, multiprocessing.resource_tracker, os, pathlib, signal, subprocess, sys, tempfile, time
from flows.machinery.interruption import asked_to_leave, before_exit, held, run_guarded, spare
folder = pathlib.Path(sys.argv[1])
def ready():
    print("ready", flush=True)
"""


class _Command:
    """A process that runs `work` as the command `inspect`, in a group of its own as a terminal makes them."""

    def __init__(self, folder: Path, work: str, ignored: frozenset[signal.Signals] = frozenset()) -> None:
        body = "".join(f"\n    {line}" for line in work.strip().splitlines())
        script = f"{BEFORE}\ndef work():{body}\nrun_guarded(work, ['inspect'])"
        handlers = {signal.SIGHUP: signal.SIG_DFL} | dict.fromkeys(
            ignored, signal.SIG_IGN
        )  # the tests may be under nohup
        before = [(number, signal.signal(number, handler)) for number, handler in handlers.items()]
        self.process = subprocess.Popen(
            [sys.executable, "-c", script, str(folder)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        for number, handler in before:
            signal.signal(number, handler)
        assert self.process.stdout
        assert self.process.stdout.readline() == "ready\n"

    def press(self, number: signal.Signals = signal.SIGINT) -> None:
        os.killpg(self.process.pid, number)

    def __enter__(self) -> "_Command":
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.communicate()

    def end(self) -> tuple[int, str]:
        """(exit code, what it said)"""
        began = time.monotonic()
        _, said = self.process.communicate(timeout=20)
        assert time.monotonic() - began < 3
        return self.process.returncode, said


HANDLER = "signal.signal(signal.SIGTERM, lambda *_: print('a library takes the signal', file=sys.stderr))"
HELPER = "multiprocessing.resource_tracker.ensure_running()  # which lets signals through to the main thread"


@pytest.mark.parametrize(
    ("number", "before", "code", "word"),
    [
        (signal.SIGINT, HELPER, 130, "interrupted"),
        (signal.SIGTERM, HANDLER, 143, "stopped by SIGTERM"),
        (signal.SIGHUP, HELPER, 129, "stopped because its terminal was closed"),
    ],
)
def test_one_sentence_and_the_exit_code_of_the_signal(
    tmp_path: Path, number: signal.Signals, before: str, code: int, word: str
) -> None:
    work = f"""
{before}
with tempfile.TemporaryDirectory(dir=folder):
    ready()
    while True:
        time.sleep(60)
"""
    with _Command(tmp_path, work) as command:
        command.press(number)
        assert command.end() == (code, f"rd-inspect: {word}. {interruption.KEPT['inspect']}\n")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("before", ["pass", HELPER])
def test_nothing_is_seen_of_what_else_ends_and_a_long_call_keeps_nobody_waiting(tmp_path: Path, before: str) -> None:
    work = f"""
{before}
with held(), before_exit(lambda: os.write(2, b"noise")):
    ready()
    hashlib.pbkdf2_hmac("sha256", b"", b"", 1_000_000_000)
"""
    with _Command(tmp_path, work) as command:
        command.press()
        code, said = command.end()
        assert (code, said.count("\n"), "noise" in said) == (130, 1, False)


@pytest.mark.parametrize("nudge", ["next(lost, False) or kill(*to)", "kill(*to), time.sleep(0.01), kill(*to)"])
def test_the_main_thread_is_taken_down_once_though_its_signal_is_lost_or_comes_twice(
    tmp_path: Path, nudge: str
) -> None:
    work = f"""
kill, lost = signal.pthread_kill, iter([True])
signal.pthread_kill = lambda *to: ({nudge})
try:
    ready()
    time.sleep(60)
finally:
    time.sleep(0.1)
    (folder / "unwound").touch()
"""
    with _Command(tmp_path, work) as command:
        command.press()
        assert command.end()[0] == 130
        assert (tmp_path / "unwound").exists()


def test_a_signal_to_a_forked_child_is_the_childs(tmp_path: Path) -> None:
    work = """
child = os.fork()
if not child:
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
    os.kill(os.getpid(), signal.SIGTERM)
    os._exit(0)
os.waitpid(child, 0)
ready()
time.sleep(60)
"""
    with _Command(tmp_path, work) as command:
        time.sleep(0.1)
        command.press()
        assert command.end()[0] == 130


def test_what_was_asked_for_comes_last_first_and_in_the_context_of_the_main_thread(tmp_path: Path) -> None:
    work = """
where = contextvars.ContextVar("where", default="elsewhere")
where.set("main")
def say(what):
    with (folder / "said").open("a") as file:
        file.write(f"{what} {where.get()}\\n")
with before_exit(lambda: say("first")), before_exit(lambda: 1 / 0), before_exit(lambda: say("last")), held():
    with before_exit(lambda: say("over")):
        pass
    ready()
    try:
        time.sleep(60)
    finally:
        say("unwound")
"""
    with _Command(tmp_path, work) as command:
        command.press()
        assert command.end()[0] == 130
        assert (tmp_path / "said").read_text() == "last main\nfirst main\n"


def test_what_it_started_is_killed_with_what_that_started_but_for_what_is_spared(tmp_path: Path) -> None:
    work = """
nested = ["sh", "-c", "trap '' INT; sleep 60 & echo $!; wait"]
parent = subprocess.Popen(nested, stdout=subprocess.PIPE, text=True)
nothing = subprocess.DEVNULL
spared = subprocess.Popen(["sleep", "60"], stdout=nothing, stderr=nothing, start_new_session=True)
spare(spared.pid)
(folder / "pids").write_text(f"{parent.pid} {parent.stdout.readline().strip()} {spared.pid}")
ready()
time.sleep(60)
"""
    with _Command(tmp_path, work) as command:
        *killed, spared = (int(one) for one in (tmp_path / "pids").read_text().split())
        command.press()
        assert command.end()[0] == 130
        try:
            assert _is_running(spared)
            deadline = time.monotonic() + 2
            while any(map(_is_running, killed)) and time.monotonic() < deadline:
                time.sleep(0.01)
            assert not any(map(_is_running, killed))
        finally:
            os.kill(spared, signal.SIGKILL)


def _is_running(process: int) -> bool:
    try:
        return "\nState:\tZ" not in Path(f"/proc/{process}/status").read_text()
    except FileNotFoundError:
        return False


def test_a_second_press_ends_it_at_once_and_one_press_that_comes_twice_does_not(tmp_path: Path) -> None:
    with _Command(
        tmp_path, "with held(), before_exit(lambda: time.sleep(60)):\n    ready()\n    time.sleep(60)"
    ) as command:
        command.press()
        time.sleep(0.1)
        command.press()
        with pytest.raises(subprocess.TimeoutExpired):
            command.process.wait(timeout=interruption.SAME_PRESS_SECONDS + 0.1)
        pressed = time.monotonic()
        command.press()
        assert command.end()[0] == 130
        assert time.monotonic() - pressed < 0.5


def test_whoever_is_asked_to_leave_leaves_by_itself(tmp_path: Path) -> None:
    work = """
asked = []
with asked_to_leave(lambda: asked.append(1)):
    ready()
    while not asked:
        time.sleep(0.01)
(folder / "left").touch()
"""
    with _Command(tmp_path, work) as command:
        command.press()
        assert command.end()[0] == 130
        assert (tmp_path / "left").exists()


def test_a_signal_that_is_ignored_stays_so(tmp_path: Path) -> None:
    with _Command(tmp_path, "ready()\ntime.sleep(60)", ignored=frozenset({signal.SIGHUP})) as command:
        command.press(signal.SIGHUP)
        with pytest.raises(subprocess.TimeoutExpired):
            command.process.wait(timeout=0.2)
        command.press(signal.SIGTERM)
        assert command.end()[0] == 143


def _heard(terminal: int, length: int) -> str:
    """The next so many bytes: a terminal hands on what is there, be it half a line."""
    heard = b""
    while len(heard) < length:
        heard += os.read(terminal, length - len(heard))
    return heard.decode()


def test_a_terminal_gets_its_cursor_back_on_a_line_of_its_own() -> None:
    ours, theirs = pty.openpty()
    script = f"{BEFORE}\nrun_guarded(lambda: (ready(), time.sleep(60)), ['query'])"
    with subprocess.Popen([sys.executable, "-c", script, "."], stdout=theirs, stderr=theirs) as command:
        os.close(theirs)
        assert _heard(ours, len("ready\r\n")) == "ready\r\n"
        command.send_signal(signal.SIGINT)
        expected = f"\x1b[?25h\r\nrd-inspect: interrupted. {interruption.KEPT['query']}\r\n"
        assert _heard(ours, len(expected)) == expected
    os.close(ours)


def test_the_first_line_of_the_console_script_is_guarded(tmp_path: Path) -> None:
    """While the command line is imported, which takes longer than anything else of a quick command."""
    slow = tmp_path / "typer.py"
    slow.write_text('import time\nprint("ready", flush=True)\ntime.sleep(60)\n')
    command = [sys.executable, "-c", "from flows.entry import main; main()", "status"]
    path = os.pathsep.join([str(tmp_path), *sys.path])
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": path}
    ) as process:
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=20)
    assert (process.returncode, said) == (130, f"rd-inspect: interrupted. {interruption.KEPT['status']}\n")


def test_every_command_has_its_sentence() -> None:
    commands = {one.name for one in app.registered_commands}
    assert commands <= set(interruption.KEPT)
    assert all("same command" in one or "the command" in one for one in interruption.KEPT.values())
    assert interruption.sentence_of(["--", "drift", "--store", "inspect"]) == interruption.KEPT["drift"]
    assert interruption.sentence_of(["--help"]) not in interruption.KEPT.values()


@pytest.mark.parametrize(("number", "state"), [(signal.SIGINT, "Cancelled"), (signal.SIGTERM, "Crashed")])
def test_no_flow_run_is_left_running_on_a_server_that_stays(
    prefect_api: str, monkeypatch: pytest.MonkeyPatch, number: signal.Signals, state: str
) -> None:
    """Neither the one that runs nor those around it."""
    monkeypatch.setattr(interruption._ending, "number", number)
    runs: list[str] = []

    def noted(then: Callable[[], object]) -> None:
        runs.append(flow_run.id)
        then()

    inner = flow(lambda: noted(close_left_runs), name="inner")
    outer = flow(lambda: noted(inner), name="outer")
    outer(return_state=True)
    with get_client(sync_client=True) as client:
        found = [[one.name for one in client.read_flow_run_states(run)] for run in runs]
    assert [names.count(state) for names in found] == [1, 1]
    close_left_runs()  # outside of any flow: nothing to do
