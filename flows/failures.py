"""Which errors are wrong use and which a failed run; everything else is a bug and keeps its traceback."""

from pydantic import ValidationError

from flows.prefect_server import ServerNotStarted, ServerNotUsable
from flows.run_failed import RUN_FAILED, WRONG_USE, RunFailed
from flows.settings import SettingsError
from storage.errors import (
    AccessDenied,
    InvalidAddress,
    InvalidKey,
    NoConditionalWrites,
    QueryError,
    StorageError,
    StoreNotFound,
)

_WRONG_USE = (
    SettingsError,
    InvalidAddress,
    StoreNotFound,
    AccessDenied,
    InvalidKey,
    NoConditionalWrites,
    QueryError,
    ValidationError,
)


def exit_code_of(error: Exception) -> int | None:
    """1 or 2 for errors whose message an operator can act on, None for a bug."""
    if isinstance(error, _WRONG_USE):
        return WRONG_USE
    if isinstance(error, (StorageError, ServerNotStarted, ServerNotUsable, RunFailed)):
        return RUN_FAILED
    return _of_tasks(error)


def _of_tasks(error: Exception) -> int | None:
    """Imported only here: these modules bring Prefect and the networks, seconds that most errors need not pay."""
    from tasks.image_folder import NotAnImageFolder
    from tasks.import_folder import ImportRefused
    from tasks.preprocessing import OtherPreprocessing
    from tasks.training.fit_model import NoNormals

    if isinstance(error, OtherPreprocessing):
        return RUN_FAILED
    return WRONG_USE if isinstance(error, (NoNormals, NotAnImageFolder, ImportRefused)) else None
