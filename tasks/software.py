"""Which software made a result: kept in model cards and reports."""

import platform
from importlib.metadata import PackageNotFoundError, version

PACKAGES = ("rd-inspect", "torch", "torchvision", "numpy", "pillow", "zarr", "pyarrow", "prefect", "dask")


def software() -> dict[str, str]:
    """Name -> version of Python and of the packages that can change a score or a file."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed as a package"
    return found
