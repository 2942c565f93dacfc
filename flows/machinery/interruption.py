"""Ctrl-C, SIGTERM and a closed terminal: one sentence on standard error, then the process ends.

The store is valid at any moment, and the same command continues from there. So a thread silences this process,
kills its children, prints the sentence, runs what `before_exit` registered, and ends the process. A second Ctrl-C
ends it at once.

Only that thread receives the signals. They are blocked in all others, so that neither a long C call delays them
nor a library's handler (Prefect and uvicorn have some) takes them.

Imports are few: the console script imports this module first.
"""

import _thread
import contextlib
import contextvars
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator

WORDS = {
    signal.SIGINT: "interrupted",
    signal.SIGTERM: "stopped by SIGTERM",
    signal.SIGHUP: "stopped because its terminal was closed",
}
EXIT_OF_A_SIGNAL = 128
"""and its number: exit code 130 for Ctrl-C, 143 for SIGTERM, 129 for a closed terminal"""
MOST_SECONDS = 2.5
"""from the signal to the end of the process, even if something hangs"""
UNWINDING_SECONDS = 1.5
"""for the main thread's clean-up, such as temporary folders"""
NUDGING_SECONDS = 0.3
"""for the main thread to answer"""
SAME_PRESS_SECONDS = 0.4
"""within this, a second Ctrl-C is the same press: a wrapper passes on what the terminal has sent to both"""
_NUDGE = signal.SIGUSR1
"""wakes the main thread, whatever it waits for"""
_SHOW_CURSOR = "\x1b[?25h"

KEPT = {
    "inspect": "Every image scored so far is kept, and the same command continues where it stopped.",
    "backfill": "Every image scored so far is kept, and the same command continues where it stopped.",
    "train": "Finished models and the last state of a training are kept, and the same command continues.",
    "compare": "The champion stays, every finished method is kept, and the same command continues.",
    "retrain": "The champion stays, the last state of a training is kept, and the same command continues.",
    "recalibrate": "Every model and decision stays, or the new version is whole; the same command begins anew.",
    "evaluate": "No score, label or model was changed, and the same command begins this evaluation anew.",
    "drift": "No score, label or model was changed, and the same command begins this report anew.",
    "import": "Images imported so far are kept, and the same command adds the rest, with the labels.",
    "labels": "Either all labels of the file are in the store or none; the same command adds what is missing.",
    "regions": "Either the new region is in the store or the earlier one, and the same command sets it again.",
    "review": "Every label given so far is in the store, and the same command serves the page again.",
    "promote": "The champion may have changed: see rd-inspect models. The same command changes it again.",
    "rollback": "The champion may have changed: see rd-inspect models before you repeat the command.",
    "gc": "Files that were not removed yet are still there, and the same command continues.",
    "compact": "Days copied so far are kept, and the same command continues with the others.",
    "benchmark": "Every row computed so far is kept, and the same command continues where it stopped.",
    "demo": "What was made so far stays in its folder, and the same command begins it anew.",
    "query": "Nothing was changed, and the same command runs it again.",
    "models": "Nothing was changed, and the same command shows it again.",
    "status": "Nothing was changed, and the same command shows it again.",
    "verify": "Nothing was changed, and the same command begins anew.",
    "score": "Nothing was written to the store, and the same command begins anew.",
}
"""what an interruption leaves, by command"""
_KEPT_BY_ALL = "Nothing is left half written, and the command may be repeated."


class _Ending:
    """State of the end of this process."""

    def __init__(self) -> None:
        self.sentence = _KEPT_BY_ALL
        self.number: int | None = None
        """the signal that ends it"""
        self.since = float("inf")
        self.begun = threading.Lock()
        self.calls: list[Callable[[], object]] = []
        self.held = 0
        """depth of `held`"""
        self.leaving: Callable[[], object] | None = None
        self.context: contextvars.Context | None = None
        """of the main thread when the signal came"""
        self.nudged = threading.Event()
        self.unwound = threading.Event()
        self.spared: set[int] = set()


_ending = _Ending()


def run_guarded(command: Callable[[], object], arguments: list[str]) -> None:
    """Run `command`, whose command line has `arguments`, so that signals end it as described above.

    For the main thread of a process. Ignored signals, as under nohup, stay ignored.
    """
    _ending.sentence = sentence_of(arguments)
    signals = {number for number in WORDS if signal.getsignal(number) is not signal.SIG_IGN}
    signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    for number in signals:
        signal.signal(number, _caught)
    signal.signal(_NUDGE, _nudged)
    caught, catch = os.pipe()
    os.set_blocking(catch, False)
    signal.set_wakeup_fd(catch, warn_on_full_buffer=False)
    os.register_at_fork(after_in_child=lambda: signal.set_wakeup_fd(-1))
    for receive in (lambda: signal.sigwait(signals), lambda: os.read(caught, 1)[0]):
        threading.Thread(target=_receive, args=(receive, signals), name="interruption", daemon=True).start()
    try:
        command()
    finally:
        if _ending.number is not None:
            _ending.unwound.set()
            time.sleep(MOST_SECONDS)  # the other thread ends this process
        # While Python shuts down no thread runs; a signal then ends it silently, since all is done.
        signal.set_wakeup_fd(-1)
        for number in signals:
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, signals)


def sentence_of(arguments: list[str]) -> str:
    """What an interrupted command prints; `arguments` name the command."""
    return next((KEPT[argument] for argument in arguments if argument in KEPT), _KEPT_BY_ALL)


@contextlib.contextmanager
def before_exit(call: Callable[[], object]) -> Iterator[None]:
    """While inside, an interrupted process runs `call` last, in its main thread's context; the latest registered
    runs first. It has a second or two, and must not wait for a lock that another thread may hold."""
    _ending.calls.append(call)
    try:
        yield
    finally:
        _ending.calls.remove(call)


@contextlib.contextmanager
def held() -> Iterator[None]:
    """While inside, an interrupted process stops its main thread until the end. Elsewhere the main thread gets
    SystemExit and cleans up; for flow runs, servers and clusters that would only be noise."""
    _ending.held += 1
    try:
        yield
    finally:
        _ending.held -= 1


@contextlib.contextmanager
def asked_to_leave(how: Callable[[], object]) -> Iterator[None]:
    """While inside, an interrupted process calls this so that its main thread ends by itself."""
    _ending.leaving = how
    try:
        yield
    finally:
        _ending.leaving = None


def spare(process: int) -> None:
    """Do not kill this child process at the end: others may use it."""
    _ending.spared.add(process)


def signal_of_the_end() -> signal.Signals:
    """The signal that ends this process, for calls of `before_exit`."""
    return signal.Signals(_ending.number or signal.SIGINT)


@contextlib.contextmanager
def deaf_children() -> Iterator[None]:
    """Processes that this thread starts while inside ignore Ctrl-C, which a terminal sends to all its processes."""
    before = signal.pthread_sigmask(signal.SIG_SETMASK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _receive(receive: Callable[[], int], signals: set[signal.Signals]) -> None:
    while True:
        number = receive()
        if number not in signals:  # a nudge, for one
            continue
        if _ending.begun.acquire(blocking=False):
            _ending.number, _ending.since = number, time.monotonic()
            # not by `threading`: the main thread may hold its locks
            _thread.start_new_thread(_end_at_the_latest, ())
            _thread.start_new_thread(_end, ())
        elif time.monotonic() - _ending.since > SAME_PRESS_SECONDS:
            _exit()


def _caught(*_: object) -> None:
    """Handles signals of a thread in which a library unblocked them, as Python's multiprocessing does when it starts
    a helper. Python calls this only after the main thread's call into C; the wakeup file descriptor tells at once."""


def _end_at_the_latest() -> None:
    time.sleep(MOST_SECONDS)
    _exit()


def _end() -> None:
    try:
        terminal = _mute()
        _kill_children()  # whose log would follow the sentence
        _say(terminal)
        _nudge()
        context = _ending.context or contextvars.copy_context()
        for call in reversed(_ending.calls):
            with contextlib.suppress(Exception):
                context.run(call)
        if not _ending.held:
            _ending.unwound.wait(UNWINDING_SECONDS)
    finally:
        _exit()


def _nudge() -> None:
    """Signal the main thread until it answers: a signal right before it begins to wait does not wake it. A long call
    into C may keep it."""
    until = time.monotonic() + NUDGING_SECONDS
    while not _ending.nudged.is_set() and time.monotonic() < until:
        signal.pthread_kill(threading.main_thread().ident or 0, _NUDGE)
        _ending.nudged.wait(0.02)


def _nudged(*_: object) -> None:
    """The main thread's signal handler."""
    if _ending.number is None or _ending.context is not None:  # somebody else's signal, or one more of ours
        return
    _ending.context = contextvars.copy_context()
    _ending.nudged.set()
    if _ending.held:
        time.sleep(MOST_SECONDS)
    elif _ending.leaving:
        _ending.leaving()
    else:
        raise SystemExit(_exit_code())


def _mute() -> int:
    """Silence this process's output (bars, log, tracebacks), except for the returned file descriptor."""
    terminal, nothing = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 1)
    os.dup2(nothing, 2)
    return terminal


def _say(terminal: int) -> None:
    start = f"{_SHOW_CURSOR}\n" if os.isatty(terminal) else ""  # a bar hides the cursor and may leave its line open
    with contextlib.suppress(OSError):
        os.write(terminal, f"{start}rd-inspect: {WORDS[signal_of_the_end()]}. {_ending.sentence}\n".encode())


def _kill_children() -> None:
    with contextlib.suppress(OSError):
        for process in list(_descendants(os.getpid())):
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)


def _exit() -> None:
    _kill_children()  # also those started in place of the killed
    os._exit(_exit_code())


def _exit_code() -> int:
    return EXIT_OF_A_SIGNAL + (_ending.number or 0)


def _descendants(process: int) -> Iterator[int]:
    """Process ids, parents first, so that none starts another meanwhile. OSError without Linux's /proc: then they
    end by themselves when this process is gone."""
    for thread in os.listdir(f"/proc/{process}/task"):  # noqa: PTH208  # pathlib takes 12 ms to import, in which Ctrl-C waits
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # which has just ended
            with open(f"/proc/{process}/task/{thread}/children") as file:  # noqa: PTH123  # pathlib takes 12 ms to import, in which Ctrl-C waits
                children = [int(child) for child in file.read().split()]
            for child in children:
                if child not in _ending.spared:
                    yield child
                    yield from _descendants(child)
