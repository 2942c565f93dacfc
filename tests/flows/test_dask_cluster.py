"""The embedded cluster."""

import psutil
import pytest
from distributed import Client

from flows.dask_cluster import dask_cluster
from flows.settings import CategorySettings, PlantSettings, Settings

LISTENS = "LISTEN"


def settings(**plant: object) -> Settings:
    return Settings(store=".", plant=PlantSettings(**plant), defaults=CategorySettings(), categories={})


def test_a_running_cluster_is_used_by_its_address() -> None:
    with dask_cluster(settings(dask_address="tcp://10.0.0.1:8786")) as address:
        assert address == "tcp://10.0.0.1:8786"


@pytest.mark.parametrize(("cores", "tasks", "workers", "threads"), [(4, 1, 1, 4), (4, 2, 2, 2), (2, None, 2, 1)])
def test_spare_cores_become_threads_of_the_workers(
    monkeypatch: pytest.MonkeyPatch, cores: int, tasks: int | None, workers: int, threads: int
) -> None:
    asked: dict = {}

    class Refused(Exception):
        pass

    def cluster(**options: object) -> None:
        asked.update(options)
        raise Refused

    monkeypatch.setattr("flows.dask_cluster.LocalCluster", cluster)
    with pytest.raises(Refused), dask_cluster(settings(workers=cores), most_workers=tasks):
        pass
    assert asked["n_workers"] == workers
    assert asked["env"] == {"RD_INSPECT_TORCH_THREADS": str(threads)}


def test_it_listens_on_loopback_alone() -> None:
    with dask_cluster(settings(workers=1)) as address, Client(address, set_as_default=False) as client:
        client.wait_for_workers(1)
        me = psutil.Process()
        sockets = [
            socket
            for process in (me, *me.children(recursive=True))
            for socket in process.net_connections()
            if socket.status == LISTENS
        ]
        assert sockets
        assert {socket.laddr.ip for socket in sockets} == {"127.0.0.1"}
