"""Rounds as a table."""

import statistics
from collections.abc import Sequence

from benchmarks.storm.rounds import Played

_LOSSES = ("lost", "twice", "maps_without_rows", "rows_without_maps", "changed", "wrong", "hung")


def table(played: Sequence[Played]) -> str:
    """Markdown: a line for each kind of fault and store, and one for all."""
    heads = ["fault", "store", "rounds", "in time", "re-runs, median", "most", "not done"]
    heads += ["rows lost", "rows twice", "maps without rows", "rows without maps", "bytes changed", "verify", "hung"]
    heads += ["seconds, median", "most"]
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for kind, store in sorted({(one.kind, one.store) for one in played}):
        lines.append(_line(kind, store, [one for one in played if (one.kind, one.store) == (kind, store)]))
    return "\n".join([*lines, _line("all", "", played)] if played else lines)


def _line(kind: str, store: str, some: Sequence[Played]) -> str:
    reruns, seconds = [one.reruns for one in some], [one.seconds for one in some]
    cells = [kind, store, len(some), sum(one.hit for one in some), f"{statistics.median(reruns):g}", max(reruns)]
    cells += [sum(not one.done for one in some)]
    cells += [sum(getattr(one, name) for one in some) for name in _LOSSES]
    cells += [f"{statistics.median(seconds):.1f}", f"{max(seconds):.1f}"]
    return f"| {' | '.join(map(str, cells))} |"
