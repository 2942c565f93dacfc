"""Where the console script begins: guarded before anything large is imported."""

import signal
import sys


def main() -> None:
    """Entry point of the console script."""
    # What comes from here on waits for the thread that says the sentence.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM, signal.SIGHUP})
    from flows.machinery.interruption import run_guarded  # noqa: PLC0415  # some hundredths of a second

    run_guarded(_command_line, sys.argv[1:])


def _command_line() -> None:
    from flows.cli import command_line  # noqa: PLC0415  # most of a second

    command_line()
