"""The software behind a result, for model cards and reports."""

import hashlib
import platform
from collections.abc import Iterable
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PACKAGES = ("rd-inspect", "torch", "torchvision", "numpy", "pillow", "zarr", "pyarrow", "prefect", "dask")
_BENEATH = ("scipy", "jinja2", "markupsafe")
"""further packages that can change a figure or a page"""
_OURS = ("rd_core", "reports", "storage", "tasks")
"""packages of this repository whose code can change a figure"""
_SOURCES = (".py", ".html", ".css")


def software() -> dict[str, str]:
    """Name -> version of Python and the packages that can change a score or a file."""
    return {"python": platform.python_version(), **_versions(PACKAGES)}


def _versions(packages: Iterable[str]) -> dict[str, str]:
    versions = {}
    for package in packages:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = "not installed as a package"
    return versions


@cache
def processor() -> str:
    """This machine and its processor's features: other instructions sum in another order."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = set(cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines()) if cpuinfo.exists() else ()
    known = sorted(line for line in lines if line.startswith(("model name", "flags", "Features")))
    whole = [platform.node(), platform.machine(), *known]
    return hashlib.sha256("\n".join(whole).encode()).hexdigest()


@cache
def code_digest() -> str:
    """SHA-256 (hex) of the code behind figures and reports, and of its libraries' versions."""
    digest = hashlib.sha256(repr([*sorted(software().items()), *sorted(_versions(_BENEATH).items())]).encode())
    root = Path(__file__).resolve().parents[2]
    for package in _OURS:
        for path in sorted((root / package).rglob("*")):
            if path.suffix in _SOURCES:
                digest.update(f"\n{path.relative_to(root).as_posix()}\n".encode() + path.read_bytes())
    return digest.hexdigest()
