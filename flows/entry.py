"""Entry of the console script: guarded before anything large is imported."""

import signal
import sys


def main() -> None:
    """Entry point of the console script."""
    # What comes from here on waits for the thread that says the sentence.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM, signal.SIGHUP})
    from flows.machinery.interruption import run_guarded  # noqa: PLC0415  # signals are blocked first, or one that comes meanwhile ends in a traceback

    run_guarded(_command_line, sys.argv[1:])


def _command_line() -> None:
    from flows.cli import command_line  # noqa: PLC0415  # takes most of a second, in which run_guarded already answers to Ctrl-C

    command_line()
