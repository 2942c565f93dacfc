"""Pictures under their anomaly maps, as local files."""

import io
import os
import secrets
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

from reports.overlay import overlay, shrunk
from reports.scored_image import box_in_shares, boxes_in_shares
from storage.errors import StorageError, UnreadableImage
from storage.images import content_digest
from storage.stores.local_store import LocalStore
from tasks.scoring.file_scores import FileScore
from tasks.scoring.local_pictures import this_machine
from tasks.scoring.picture_scores import columns_of

if TYPE_CHECKING:
    from tasks.worker.scorer import Scorer

LONGEST_SIDE = 1600
"""pixels; larger pictures are shrunk"""
ENDING = ".overlay.png"


class OverlayNotWritten(StorageError):
    """A folder or file that cannot be written."""


class OverlayFolder:
    """Writes one file for each picture below one folder; names are unique within a run, and only files with ENDING
    are replaced."""

    def __init__(self, folder: Path, scorer: "Scorer") -> None:
        self._folder = folder
        self._scorer = scorer
        self._machine: LocalStore = this_machine()
        self._taken: set[str] = set()

    def write(self, scored: FileScore) -> str | None:
        """Draw and write; returns the file's path, or None without a score or for a changed picture.

        Raises OverlayNotWritten.
        """
        if scored.anomaly_map is None:
            return None
        try:
            data = self._machine.read(scored.picture.key)
            picture = self._scorer.image_format.decode(data)
        except (StorageError, UnreadableImage):
            return None
        if content_digest(data) != scored.scored.loaded.digest:
            return None
        columns = columns_of(scored.scored, self._scorer)
        view, (height, width) = self._scorer.image_format.view, picture.shape[:2]
        small, offset = shrunk(picture, LONGEST_SIDE), scored.scored.loaded.offset
        anomaly_map, covered = view.over_image(scored.anomaly_map, (height, width), offset)
        drawn = overlay(
            small,
            anomaly_map,
            self._scorer.pixel_threshold,
            boxes_in_shares(columns["defect_boxes"], height, width),
            covered=box_in_shares(covered, height, width),
            ignored=view.ignored_on((small.shape[0], small.shape[1]), (height, width), offset),
        )
        path = self._free(scored.picture.place)
        out = io.BytesIO()
        Image.fromarray(drawn).save(out, "PNG", compress_level=1)
        _write(path, out.getvalue())
        return str(path)

    def _free(self, place: str) -> Path:
        """A unique path; pictures in folders are below folders of that name."""
        safe = "/".join(segment for segment in place.split("/") if segment not in ("", ".", ".."))
        name, number = f"{safe}{ENDING}", 1
        while name.casefold() in self._taken:
            number += 1
            name = f"{safe}-{number}{ENDING}"
        self._taken.add(name.casefold())
        return self._folder / name


def _write(path: Path, data: bytes) -> None:
    """Atomically, so that nobody opens half a picture."""
    beside = path.parent / f".{secrets.token_hex(8)}.part"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            beside.write_bytes(data)
            os.replace(beside, path)  # noqa: PTH105  # as Path.replace, which takes no longer name
        finally:
            beside.unlink(missing_ok=True)
    except OSError as e:
        raise OverlayNotWritten(
            f"{path} cannot be written ({e.strerror}), so no further image was drawn or scored. Free space or "
            "change the folder's rights, or name another with --overlays."
        ) from e
