"""Entry of the console script: guarded before anything large is imported."""

import signal
import sys


def main() -> None:
    """Entry point of the console script."""
    # Signals from here on wait for the thread that answers them.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM, signal.SIGHUP})
    from flows.machinery.interruption import run_guarded  # noqa: PLC0415  # after signals are blocked, or an early one ends in a traceback

    run_guarded(_command_line, sys.argv[1:])


def _command_line() -> None:
    from flows.cli import command_line  # noqa: PLC0415  # takes most of a second, in which run_guarded already answers to Ctrl-C

    command_line()
