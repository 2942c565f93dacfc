"""What many tests need: one Prefect server, one Dask cluster, one S3 server of each kind."""

import functools
import gc
import logging
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from xdist.scheduler import LoadFileScheduling

from flows.machinery import worker_start
from flows.prefect_server import prefect_server
from tests import prefect_database
from tests.object_stores import moto_endpoint, moto_s3, seaweed_endpoint, seaweed_s3

__all__ = ["moto_endpoint", "moto_s3", "seaweed_endpoint", "seaweed_s3"]


# Where no bytecode may be kept, each of the dozens of processes would compile the same sources and assertions again.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

# Before torch is imported: threads of one process would wait for each other where several share the cores.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# Trainings of the tests measure no engines, which would take longer than they do: tests/tasks/training does it once.
os.environ["RD_INSPECT_ENGINE"] = "torch"

# Time says nothing on a shared machine. The same examples every time: a red run must be one that anybody can repeat.
settings.register_profile("same", deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True)
# What `make fuzz` draws is new, and what it finds becomes an @example of its test.
settings.register_profile(
    "fuzz", parent=settings.get_profile("same"), derandomize=False, max_examples=2000, print_blob=True
)
settings.load_profile("same")


def pytest_configure(config: pytest.Config) -> None:
    """Where the tests are shared out to processes, the one with the flows' needs a Prefect server with a database."""
    if getattr(config.option, "numprocesses", None):  # not so in the processes themselves
        folder = tempfile.TemporaryDirectory(prefix="prefect-database-", ignore_cleanup_errors=True)
        config.add_cleanup(folder.cleanup)
        builder = prefect_database.begin_building(Path(folder.name))
        config.add_cleanup(builder.wait)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """What is imported and collected stays to the end: the garbage collector looks neither meanwhile nor at it
    later, which took 5 of 20 seconds of every process, and a fourteenth of the time of its tests."""
    gc.disable()
    yield
    gc.freeze()
    gc.enable()


def pytest_unconfigure() -> None:
    gc.unfreeze()  # or libraries tell at the end of what was not collected


class _SharedServers(LoadFileScheduling):
    """A file's tests run in one process. The flows' with a Dask cluster all run in the same, so that one does, those
    with a Prefect server alone in another: both mostly wait for other processes, while the rest computes. So do those
    of the storage with S3 servers, and those with the model that is trained once a process."""

    def _split_scope(self, nodeid: str) -> str:
        file: str = super()._split_scope(nodeid)
        return _shared_by(file)


_SHARED = {
    "tests/flows/": {"cluster": ("scheduler", "s3_store"), "server": ("prefect_api", "command_environment")},
    "tests/rd_core/": {"fitted": ("fitted)", "fitted,")},
    "tests/storage/": {"s3": ("moto_s3", "seaweed_s3")},
    "tests/tasks/": {"s3": ("moto_s3",)},
}


@functools.cache
def _shared_by(file: str) -> str:
    """What is started for this file's tests and others' together, by the fixtures that it names; or the file."""
    text = (Path(__file__).parents[1] / file).read_text()
    folder = next((one for one in _SHARED if file.startswith(one)), None)
    shared = _SHARED[folder] if folder else {}
    return next((what for what, names in shared.items() if any(name in text for name in names)), file)


@pytest.hookimpl(optionalhook=True)  # of xdist
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> LoadFileScheduling:
    return _SharedServers(config, log)


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """The developer's own settings must not change what a test sees."""
    kept = ("RD_INSPECT_HOME", "RD_INSPECT_TORCH_THREADS", "RD_INSPECT_ENGINE")
    for name in list(os.environ):
        if name.startswith("RD_INSPECT_") and name not in kept:
            monkeypatch.delenv(name)


@pytest.fixture(scope="session")
def prefect_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="session")
def prefect_api(prefect_home: Path) -> Iterator[str]:
    """The embedded server, started as a command starts it, once for all tests."""
    os.environ["RD_INSPECT_HOME"] = str(prefect_home)
    os.environ.pop("PREFECT_API_URL", None)
    os.environ["PREFECT_HOME"] = str(prefect_home / "client")
    os.environ["PREFECT_LOGGING_LEVEL"] = "WARNING"
    os.environ["PREFECT_LOGGING_COLORS"] = "false"
    prefect_database.put_database(prefect_home)
    with prefect_server() as url:
        yield url


@pytest.fixture(scope="session")
def scheduler(prefect_api: str) -> Iterator[str]:
    """A Dask cluster of two worker processes, as an embedded run has."""
    import dask  # noqa: PLC0415  # takes a second to import, and most tests use no cluster
    from distributed import LocalCluster  # noqa: PLC0415  # brings tornado and the scheduler, for the cluster fixture alone

    worker_start.begin_imports()
    # Its own `silence_logs` may take the root logger's handlers for its own, and pytest would hear no warnings.
    logging.getLogger("distributed").setLevel(logging.ERROR)
    with (
        dask.config.set(worker_start.DASK_CONFIG),
        LocalCluster(
            n_workers=2,
            threads_per_worker=1,
            host="127.0.0.1",
            dashboard_address="127.0.0.1:0",
            silence_logs=False,
            env=dict(os.environ),
        ) as cluster,
    ):
        yield cluster.scheduler_address
