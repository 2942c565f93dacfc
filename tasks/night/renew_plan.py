"""Resuming an interrupted run's plan: rewriting its manifest protects it from gc."""

from prefect import task
from prefect.cache_policies import NO_CACHE

from storage.errors import Conflict
from storage.filesystem import open_store
from tasks.worker.faults import ON_STORAGE_FAULT


@task(name="renew-plan", cache_policy=NO_CACHE, **ON_STORAGE_FAULT)
def renew_plan(store_uri: str, manifest: str) -> None:
    """Rewrite the manifest unchanged: `rd-inspect gc` skips days with young unsealed objects.

    Raises KeyNotFound if it has been removed: plan again.
    """
    store = open_store(store_uri)
    data, etag = store.read_with_etag(manifest)
    try:
        store.replace(manifest, data, etag)
    except Conflict:
        store.read_with_etag(manifest)  # another run has just renewed it; gone, it raises
