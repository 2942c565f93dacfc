"""Exit codes of errors: wrong use, or a failed run. Any other error is a bug and keeps its traceback."""

from pydantic import ValidationError

from flows.errors import RUN_FAILED, WRONG_USE, RunFailed
from flows.prefect_server import ServerNotStarted, ServerNotUsable
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


OF_TASKS = {
    "tasks.worker.preprocessing.OtherPreprocessing": RUN_FAILED,
    "tasks.training.fit_model.NoNormals": WRONG_USE,
    "tasks.importing.image_folder.NotAnImageFolder": WRONG_USE,
    "tasks.importing.import_folder.ImportRefused": WRONG_USE,
    "rd_core.errors.EngineUnavailable": RUN_FAILED,
    "rd_core.errors.AlignmentUnavailable": RUN_FAILED,
    "rd_core.errors.NoCommonPart": RUN_FAILED,
    "rd_core.errors.CheckpointError": RUN_FAILED,
}
"""exit codes of errors of tasks and the core"""


def exit_code_of(error: Exception) -> int | None:
    """1 or 2 for errors with a message that an operator can act on, None for a bug."""
    if isinstance(error, _WRONG_USE):
        return WRONG_USE
    if isinstance(error, (StorageError, ServerNotStarted, ServerNotUsable, RunFailed)):
        return RUN_FAILED
    return _of_tasks(error)


def _of_tasks(error: Exception) -> int | None:
    """By name: these modules take seconds to import, and would keep the error's frames until Python ends, where
    DuckDB complains."""
    names = {f"{kind.__module__}.{kind.__qualname__}" for kind in type(error).__mro__}
    return next((code for name, code in OF_TASKS.items() if name in names), None)
