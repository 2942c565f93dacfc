"""The embedded cluster."""

import contextlib
import itertools
import logging
import os
import resource
import signal
import socket
import ssl
import sys
from typing import Any

import dask
import psutil
import pytest
import torch
from distributed import Client
from distributed.security import Security
from prefect import flow, task
from prefect.context import SettingsContext
from prefect.settings import PREFECT_API_URL, PREFECT_TASK_DEFAULT_RETRIES, temporary_settings

from flows.category_settings import CategorySettings
from flows.dask_cluster import dask_cluster, dask_runner
from flows.settings import PlantSettings, Settings
from tasks.worker.worker_process import prepare_worker_process

LISTENS = "LISTEN"


def settings(**plant: object) -> Settings:
    return Settings(store=".", plant=PlantSettings(**plant), defaults=CategorySettings(), categories={})


def test_a_running_cluster_is_used_by_its_address_and_dask_tells_warnings_alone_meanwhile() -> None:
    logger = logging.getLogger("distributed")
    before = logger.level
    logger.setLevel(logging.INFO)  # other tests of this process may have it quieter
    try:
        with dask_cluster(settings(dask_address="tcp://10.0.0.1:8786")) as address:
            assert address == "tcp://10.0.0.1:8786"
            assert logger.level == logging.WARNING
        assert logger.level == logging.INFO
        with dask.config.set({"logging": {}}), dask_cluster(settings(dask_address="tcp://10.0.0.1:8786")):
            assert logger.level == logging.INFO
    finally:
        logger.setLevel(before)


@pytest.mark.parametrize(
    ("cores", "tasks", "workers", "threads"), [(4, 1, 1, 4), (4, 2, 2, 2), (2, None, 2, 1), (None, None, 1, 1)]
)
def test_spare_cores_become_threads_of_the_workers_and_without_a_setting_those_count_that_may_be_used(
    monkeypatch: pytest.MonkeyPatch, cores: int | None, tasks: int | None, workers: int, threads: int
) -> None:
    asked: dict = {}

    class Refused(Exception):
        pass

    def cluster(**options: object) -> None:
        asked.update(options)
        raise Refused

    monkeypatch.setattr("flows.dask_cluster.LocalCluster", cluster)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0})
    with pytest.raises(Refused), dask_cluster(settings(workers=cores), most_workers=tasks):
        pass
    assert asked["n_workers"] == workers
    assert asked["env"] == {**os.environ, "RD_INSPECT_TORCH_THREADS": str(threads)}


def test_it_listens_on_loopback_alone_and_leaves_the_environment_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    """Dask sets OMP_NUM_THREADS=1 where it starts workers, and so would take cores from what this process starts."""
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    before = dict(os.environ)
    others = {one.laddr.port for one in _listening()}  # of other tests
    with dask_cluster(settings(workers=1)) as address, Client(address, set_as_default=False) as client:
        client.wait_for_workers(1)
        assert dict(os.environ) == before
        assert set(client.run(os.getenv, "OMP_NUM_THREADS").values()) == {"1"}  # a worker is one process a core
        sockets = [one for one in _listening() if one.laddr.port not in others]
        assert len(sockets) > 2
        assert {one.laddr.ip for one in sockets} == {"127.0.0.1"}
        assert address.startswith("tls://")
        answers = [_to_a_stranger(one.laddr.port) for one in sockets]
        # Dask's own servers, scheduler and workers, say nothing; pages of theirs there are none.
        assert {answer.split(b"\r\n")[0] for answer in answers} == {b"", b"HTTP/1.1 404 Not Found"}
        with pytest.raises(OSError, match=r"Timed out|TLS|connect"):
            Client(address, security=Security.temporary(), timeout=3, set_as_default=False)


def _listening() -> list[Any]:
    """Sockets of this process and of those it has started."""
    me = psutil.Process()
    processes = (me, *me.children(recursive=True))
    return [one for process in processes for one in process.net_connections() if one.status == LISTENS]


def _to_a_stranger(port: int) -> bytes:
    """What is answered to somebody on this machine who has no certificate: to a plain request, else over TLS."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as bare:
        bare.sendall(b"GET /info/main/workers.html HTTP/1.0\r\n\r\n")
        with contextlib.suppress(ConnectionResetError):
            answer = bare.recv(100)
            if answer.startswith(b"HTTP"):
                return answer
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with socket.create_connection(("127.0.0.1", port), timeout=10) as bare, context.wrap_socket(bare) as wrapped:
        try:
            return wrapped.recv(1)  # Dask speaks first, to whom it lets in
        except (ssl.SSLError, ConnectionResetError):
            return b""


def test_workers_have_imported_what_they_need_when_they_begin_and_have_todays_environment_and_hear_no_ctrl_c(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    heard = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    with dask_cluster(settings(workers=1)):
        assert (
            signal.pthread_sigmask(signal.SIG_BLOCK, ()) == heard
        )  # the process that workers are forked from is there
    monkeypatch.setenv("RD_INSPECT_TEST_MARK", "set after that")
    with dask_cluster(settings(workers=1)) as address, Client(address, set_as_default=False) as client:
        (imported, mark), *_ = client.run(_imported_and_mark).values()
        assert client.run(_blocked_signals) == {worker: {signal.SIGINT} for worker in client.nthreads()}
    assert imported
    assert mark == "set after that"


def _blocked_signals() -> set[signal.Signals]:
    return {signal.Signals(one) for one in signal.pthread_sigmask(signal.SIG_BLOCK, ())}


def test_a_large_tensor_of_a_task_is_not_asked_of_the_kernel_anew() -> None:
    with dask_cluster(settings(workers=1)) as address, Client(address, set_as_default=False) as client:
        pages = client.submit(_pages_of_100_mb_again_and_again).result()
    assert pages[0] > 20_000
    # What another thread of the worker keeps for a while may lie in the way of a few.
    assert sorted(pages[-20:])[10] < 100


def test_a_task_has_the_flows_prefect_settings_which_are_not_made_plain_data_for_it(
    prefect_api: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("the settings were serialised")

    monkeypatch.setattr(SettingsContext, "serialize", refuse)
    with dask_cluster(settings(workers=1)) as address:
        assert _ask.with_options(task_runner=dask_runner(address))() == (prefect_api, 7)


@task
def _url_and_retries() -> tuple[str | None, int]:
    return PREFECT_API_URL.value(), PREFECT_TASK_DEFAULT_RETRIES.value()


@flow
def _ask() -> tuple[str | None, int]:
    with temporary_settings({PREFECT_TASK_DEFAULT_RETRIES: 7}):
        return _url_and_retries.submit().result()


def _pages_of_100_mb_again_and_again() -> list[int]:
    """Pages that the kernel gives this thread for each of 60 tensors of one size, of which none is kept.

    Each of the first may cost them anew: aligning one leaves a scrap beside it, and glibc keeps up to seven scraps of
    a size for the thread, so that what is freed there is too small for the next. Then there is room.
    """
    prepare_worker_process()
    given = [resource.getrusage(resource.RUSAGE_THREAD).ru_minflt]
    for _ in range(60):
        torch.ones(25_000_000)
        given.append(resource.getrusage(resource.RUSAGE_THREAD).ru_minflt)
    return [after - before for before, after in itertools.pairwise(given)]


def _imported_and_mark() -> tuple[bool, str | None]:
    """Of the worker that runs it."""
    return {"torch", "tasks.night.score_batch", "tasks.worker.scorer"} <= set(sys.modules), os.environ.get(
        "RD_INSPECT_TEST_MARK"
    )
