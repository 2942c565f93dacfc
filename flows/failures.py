"""Which errors are wrong use and which a failed run; everything else is a bug and keeps its traceback."""

from pydantic import ValidationError

from flows.prefect_server import ServerNotStarted
from flows.settings import SettingsError
from storage.errors import AccessDenied, InvalidAddress, InvalidKey, QueryError, StorageError, StoreNotFound

RUN_FAILED, WRONG_USE = 1, 2
_WRONG_USE = (
    SettingsError,
    InvalidAddress,
    StoreNotFound,
    AccessDenied,
    InvalidKey,
    QueryError,
    ValidationError,
)


def exit_code_of(error: Exception) -> int | None:
    """1 or 2 for errors whose message an operator can act on, None for a bug."""
    if isinstance(error, _WRONG_USE):
        return WRONG_USE
    if isinstance(error, (StorageError, ServerNotStarted)):
        return RUN_FAILED
    return _of_training(error)


def _of_training(error: Exception) -> int | None:
    """The rest needs the networks' packages, which only a command that trained has imported already."""
    from flows.inspection import InspectionFailed  # noqa: PLC0415
    from flows.training import TrainingFailed  # noqa: PLC0415
    from tasks.fit_model import NoNormals  # noqa: PLC0415
    from tasks.import_folder import NotAnImageFolder  # noqa: PLC0415

    if isinstance(error, (NoNormals, NotAnImageFolder)):
        return WRONG_USE
    return RUN_FAILED if isinstance(error, (TrainingFailed, InspectionFailed)) else None
