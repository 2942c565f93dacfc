"""rd-inspect --version."""

import platform
from importlib.metadata import PackageNotFoundError, version
from typing import Annotated

import typer

from flows.printing.output import print_text

_PACKAGES = ("torch", "prefect", "dask", "zarr", "pyarrow", "duckdb")
"""packages on whose versions results depend"""


def _print_version(requested: bool) -> None:
    if requested:
        print_text(version_line() + "\n")
        raise typer.Exit


def options_of_all(
    _: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Options before any command."""


def version_line() -> str:
    """Versions of rd-inspect, Python and the packages that matter, from metadata: nothing heavy is imported."""
    others = ", ".join(f"{name} {_installed(name)}" for name in _PACKAGES)
    return f"rd-inspect {_installed('rd-inspect')} (Python {platform.python_version()}, {others})"


def _installed(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"
