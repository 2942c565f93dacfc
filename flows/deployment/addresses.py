"""The step of prefect.yaml that refuses deployments which no run could use."""

from pathlib import Path

from flows.settings import SettingsError, store_uri
from storage.errors import StorageError


def refuse_unusable(store: str | None = None, code: str | None = None) -> dict[str, str]:
    """A build step. Prefect omits arguments whose variable is not set, and without a store every run would fail at
    night.

    Ends the command if the store's address is missing, relative (to `code` on the worker) or invalid, or if the
    code's folder is not named.
    """
    if problem := _problem(store, code):
        # Prefect shows any other error of a step with four tracebacks, and not this sentence first.
        raise SystemExit(f"rd-inspect: {problem} Nothing was deployed.")
    return {}


def _problem(store: str | None, code: str | None) -> str | None:
    if not store:
        return (
            "RD_INSPECT_STORE is not set, so the deployments would have no store. Set it to the store's URI, such as "
            "s3://plant/inspection, and deploy again."
        )
    try:
        store_uri(store, {})
    except (StorageError, SettingsError) as e:
        return f"RD_INSPECT_STORE = {store!r} is of no store: {e}"
    if "://" not in store and not Path(store).is_absolute():
        return (
            f"RD_INSPECT_STORE = {store!r} is relative: the worker would look for it below {code or 'its code'}. Set "
            f"it to {str(Path(store).absolute())!r}, and deploy again."
        )
    if not code:
        return (
            "RD_INSPECT_CODE is not set, so a worker would not find the flows. Set it to this repository's folder on "
            "the worker's machine, and deploy again."
        )
    return None
