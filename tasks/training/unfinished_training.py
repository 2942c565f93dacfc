"""An interruptible training: its last state is in the store, and the next attempt resumes it."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from prefect.logging import get_run_logger

from rd_core.detectors import checkpoint
from rd_core.detectors.detector import Detector
from rd_core.detectors.settings import DetectorSettings
from rd_core.files import training_state
from rd_core.files.training_state import Resumption
from storage import layout
from storage.errors import KeyNotFound, StorageError
from storage.filesystem import Store
from tasks.worker.software import code_digest

APART = training_state.APART


class UnfinishedTraining:
    """The state of one training, named by all inputs that decide its result."""

    def __init__(self, store: Store, category: str, digest: str) -> None:
        self._store = store
        self._category = category
        self._key = layout.training_state_key(category, digest)

    def resumption(self) -> Resumption:
        """Resume from the last state, if there is one."""
        try:
            state = self._store.read(self._key)
        except KeyNotFound:
            return self.from_the_first_step()
        get_run_logger().info("training resumed category=%s state=%s", self._category, self._key)
        return Resumption(state, self._keep, APART)

    def from_the_first_step(self) -> Resumption:
        """Delete any state."""
        return Resumption(None, self._keep, APART)

    def discard(self) -> None:
        """Delete the state of a finished training."""
        self._store.remove(self._key)

    def _keep(self, state: bytes) -> None:
        """A state that cannot be stored does not stop the training."""
        try:
            self._store.write(self._key, state)
        except StorageError as e:
            get_run_logger().warning(
                "training state not stored category=%s: %s An interruption would restart the training.",
                self._category,
                e,
            )


def training_digest(
    method: str,
    settings: DetectorSettings,
    data_digest: str,
    train: Sequence[str],
    early_stop: Sequence[str],
    start: Detector | None,
    pixels: Mapping[str, Any],
    cross: Sequence[str] | None,
) -> str:
    """SHA-256 (hex) over code, settings, images, starting model, preprocessing and parts of a cross-fitting: equal
    trainings give equal weights."""
    inputs = {
        "code": code_digest(),
        "method": method,
        "settings": settings.to_dict(),
        "data": data_digest,
        "train": list(train),
        "early_stop": list(early_stop),
        "pixels": dict(pixels),
        "cross": None if cross is None else list(cross),
        "start": hashlib.sha256(checkpoint.to_bytes(start)).hexdigest() if start else None,
    }
    return hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()
