"""Records: what a measurement gave, as JSON below benchmarks/results, from which `benchmarks.tables` renders pages.

Of the standard library alone: proofs.parity runs where the product is not installed, and proofs.night_sizes measures
the memory of its imports.
"""

import argparse
import json
import os
import platform
import re
import statistics
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

SCHEMA_VERSION = 1
ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "benchmarks" / "results"
RENDERED = ("benchmarks/results", "docs/benchmarks.md", "docs/methods.md", "README.md")
"""what no measurement depends on: a change there does not make a commit dirty"""

Values = float | Sequence[float]
"""one value, or one a round, seed or item"""


@dataclass(frozen=True)
class Figure:
    """The spread of a measured quantity."""

    median: float
    least: float
    most: float
    runs: int
    """rounds, seeds or items that the spread is of"""

    @classmethod
    def of(cls, measured: Values) -> "Figure":
        """To six digits."""
        values = [float(f"{value:.6g}") for value in (measured if isinstance(measured, Sequence) else (measured,))]
        return cls(statistics.median(values), min(values), max(values), len(values))


Rows = dict[str, dict[str, Figure]]
"""figures by row (what was measured) and name (which quantity, with its unit)"""


@dataclass(frozen=True)
class Record:
    """One measurement, and what is needed to repeat it."""

    benchmark: str
    command: str
    commit: str
    """with "-dirty" if the code differs from it"""
    date: str
    """YYYY-MM-DD in UTC, on which it began"""
    machine: dict[str, Any]
    about: dict[str, Any] = field(default_factory=dict)
    """settings that the rows share"""
    figures: Rows = field(default_factory=dict)

    @classmethod
    def begin(cls, benchmark: str, command: str | None = None, *, threads: int | None = None) -> "Record":
        """A record without figures, of the code and machine as they are now. `command`: default this process's."""
        return cls(benchmark, command or own_command(), _commit(), f"{datetime.now(UTC):%Y-%m-%d}", _machine(threads))

    def write(
        self, file: Path, rows: Mapping[str, Mapping[str, Values]], about: Mapping[str, Any] | None = None
    ) -> None:
        """Write and print the figures."""
        figures = {row: {name: Figure.of(value) for name, value in of.items()} for row, of in rows.items()}
        whole = {"schema": SCHEMA_VERSION, **asdict(self), "about": dict(about or {})}
        whole["figures"] = {row: {name: asdict(one) for name, one in of.items()} for row, of in figures.items()}
        file.parent.mkdir(parents=True, exist_ok=True)
        a_line_each = re.sub(
            r'\{\s+("median"[^}]*?)\s+\}', lambda one: _on_a_line(one[1]), json.dumps(whole, indent=1)
        )
        file.write_text(a_line_each + "\n")
        for row, of in figures.items():
            print(f"{row}: " + ", ".join(f"{name} {_printed(one)}" for name, one in of.items()))
        print(f"written to {file}", flush=True)


def add_results_option(parser: argparse.ArgumentParser) -> None:
    """--results, the folder of records."""
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder for the figures; default %(default)s")


def read_records(folder: Path = RESULTS) -> list[Record]:
    """All records below the folder, in the order of their paths. ValueError: a file of another schema."""
    return list(_read(sorted(folder.rglob("*.json"))))


def _read(files: Sequence[Path]) -> Iterator[Record]:
    for file in files:
        whole = json.loads(file.read_text())
        if (schema := whole.pop("schema", None)) != SCHEMA_VERSION:
            raise ValueError(
                f"{file} has schema {schema}, not {SCHEMA_VERSION}: measure again with {whole['command']}"
            )
        rows = whole.pop("figures")
        figures = {row: {name: Figure(**one) for name, one in of.items()} for row, of in rows.items()}
        yield Record(**whole, figures=figures)


def own_command() -> str:
    """This process's command line; of a file's absolute path its name alone."""
    words = ["python", *sys.orig_argv[1:]]
    return " ".join(Path(word).name if word.startswith("/") else word for word in words)


def _commit() -> str:
    head = _git("rev-parse", "--short=9", "HEAD")
    left_out = [f":(exclude){path}" for path in RENDERED]
    return head + ("-dirty" if _git("status", "--porcelain", "-uno", "--", ".", *left_out) else "")


def _git(*words: str) -> str:
    done = subprocess.run(["git", "-C", str(ROOT), *words], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def _machine(threads: int | None) -> dict[str, Any]:
    cpu = next(line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name"))
    cores = len(os.sched_getaffinity(0))
    return {
        "cpu": cpu.partition(":")[2].strip(),
        "cores": cores,
        "memory_gib": round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30),
        "threads": threads or cores,
        "load": round(os.getloadavg()[0], 1),
        "python": platform.python_version(),
        "torch": metadata.version("torch"),
    }


def _on_a_line(figure: str) -> str:
    return "{" + " ".join(figure.split()) + "}"


def _printed(figure: Figure) -> str:
    spread = f" ({figure.least:.4g} to {figure.most:.4g} of {figure.runs})" if figure.runs > 1 else ""
    return f"{figure.median:.4g}{spread}"
