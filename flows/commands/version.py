"""rd-inspect --version."""

import platform
from importlib.metadata import PackageNotFoundError, version
from typing import Annotated

import typer

from flows.printing.output import print_text

_TOLD = ("torch", "prefect", "dask", "zarr", "pyarrow", "duckdb")
"""packages on whose versions answers and files depend"""


def _tell(asked: bool) -> None:
    if asked:
        print_text(version_line() + "\n")
        raise typer.Exit


def options_of_all(
    _: Annotated[
        bool, typer.Option("--version", callback=_tell, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """What stands before any command."""


def version_line() -> str:
    """Ours, Python's, and those of the packages that count, read from their metadata: nothing heavy is imported."""
    others = ", ".join(f"{name} {_installed(name)}" for name in _TOLD)
    return f"rd-inspect {_installed('rd-inspect')} (Python {platform.python_version()}, {others})"


def _installed(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"
