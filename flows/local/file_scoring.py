"""Scores files at once, without a server, a cluster, or a write to the store."""

import os
import shlex
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from flows.errors import RunFailed
from flows.preflight.model_choice import chosen_version, ready_model
from flows.printing.output import say
from flows.printing.result_file import refuse_unusable, write_file
from flows.printing.score import print_scores
from flows.settings import SettingsError, load_settings
from storage.filesystem import LocalStore, Store, open_store
from storage.stores.left_out import LeftOut
from tasks.scoring.local_pictures import LocalPicture, names_as_they_come, pictures_named
from tasks.worker.worker_process import prepare_worker_process

if TYPE_CHECKING:
    from tasks.scoring.file_scores import ReadyModel

STANDARD_INPUT = "-"
_NAMED = 5
"""images without a score that the last line names"""


@dataclass(frozen=True)
class ScoringRequest:
    """Files to score, with which model, and where the rows go."""

    names: tuple[str, ...]
    """files, folders, patterns, and '-' for names on standard input"""
    store_uri: str
    category: str
    version: str | None = None
    """None: the champion"""
    output_format: str = "table"
    out: Path | None = None
    """file for the rows, which are then not printed"""
    overlays: Path | None = None
    """folder for images with their maps"""


class NotAllScored(RunFailed):
    """Some images have no score; the others have theirs."""


@dataclass
class _Summary:
    """Counts for the last line of the command."""

    words: Counter[str] = field(default_factory=Counter)
    without: list[str] = field(default_factory=list)
    """the first few, such as 'a.png: the file is empty'"""

    def add(self, batch: pa.RecordBatch) -> None:
        for path, decision, status, error in zip(
            *(batch[name].to_pylist() for name in ("path", "decision", "status", "error")), strict=True
        ):
            self.words[decision or status] += 1
            if decision is None and len(self.without) < _NAMED:
                self.without.append(f"{path}: {error}")


def score_now(request: ScoringRequest) -> None:
    """Score the files, print or write the rows as they come, and summarise at the end.

    Raises SettingsError and StorageError before anything is scored; NotAllScored at the end.
    """
    store = open_store(request.store_uri, read_only=True)
    _refuse(request, store)
    store.check()
    settings = load_settings(request.store_uri)
    version = chosen_version(store, request.category, request.version)
    if request.overlays is not None:
        _make_folder(request.overlays)
    prepare_worker_process()
    model = ready_model(store, settings, request.category, version)
    left_out, summary = LeftOut(), _Summary()
    batches = _rows(model, _rounds(request.names, left_out), request.overlays, summary)
    from tasks.scoring.file_scores import FILE_SCHEMA  # noqa: PLC0415  # imports Arrow and SciPy, a second that a refused command need not wait

    if request.out is None:
        print_scores(batches, FILE_SCHEMA, request.output_format)
    else:
        write_file(request.out, FILE_SCHEMA, batches)
    _say_summary(request, model, left_out, summary)


def _refuse(request: ScoringRequest, store: Store) -> None:
    """SettingsError for impossible combinations of options."""
    for name in request.names:
        if "://" in name:
            raise SettingsError(
                f"{name} is an address, and only files of this machine can be scored; nothing was started. Copy it "
                "here first, or have the store's whole day scored: rd-inspect inspect --run-date DAY"
            )
    if request.out is not None:
        refuse_unusable(request.out)
        _refuse_within("--out", request.out, store)
    if request.overlays is not None:
        _refuse_within("--overlays", request.overlays, store)
        for name in request.names:
            if os.path.isdir(name) and _is_within(request.overlays, name):  # noqa: PTH112  # False for a name too long for any file, where Path.is_dir raises
                raise SettingsError(
                    f"--overlays {request.overlays} lies within {name}, so the next run would score its "
                    "images too. Nothing was started; name a folder elsewhere."
                )


def _refuse_within(option: str, path: Path, store: Store) -> None:
    if isinstance(store, LocalStore) and _is_within(path, store.uri):
        raise SettingsError(
            f"{option} {path} lies within the store {store.uri}, where score must not write. Nothing was started; "
            "name a place elsewhere."
        )


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        why = None if os.access(folder, os.W_OK | os.X_OK) else "it may not be written to"
    except OSError as e:
        why = e.strerror
    if why:
        raise SettingsError(
            f"--overlays {folder} cannot be used as a folder ({why}). Nothing was started; name another."
        )


def _is_within(path: Path, folder: str | Path) -> bool:
    return Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder))


def _rounds(names: Sequence[str], left_out: LeftOut) -> Iterator[Iterable[LocalPicture]]:
    """The names before standard input, those from it as they come, and the names after it."""
    at = names.index(STANDARD_INPUT) if STANDARD_INPUT in names else len(names)
    yield pictures_named(names[:at], left_out)
    if at < len(names):
        for some in names_as_they_come(sys.stdin.fileno()):
            yield pictures_named(some, left_out, again=True)
        yield pictures_named([name for name in names[at:] if name != STANDARD_INPUT], left_out)


def _rows(
    model: "ReadyModel", rounds: Iterable[Iterable[LocalPicture]], folder: Path | None, summary: _Summary
) -> Iterator[pa.RecordBatch]:
    from tasks.scoring.file_scores import file_rows, score_files  # noqa: PLC0415  # brings torch, which a refused command does not wait for
    from tasks.scoring.overlay_files import OverlayFolder  # noqa: PLC0415  # brings Pillow and zarr, which a refused command does not wait for

    overlays = None if folder is None else OverlayFolder(folder, model.scorer)
    for scored in score_files(model.scorer, rounds):
        drawn = [None if overlays is None else overlays.write(picture) for picture in scored]
        batch = file_rows(
            model, [picture.picture.path for picture in scored], [picture.scored for picture in scored], drawn
        )
        summary.add(batch)
        yield batch


def _say_summary(request: ScoringRequest, model: "ReadyModel", left_out: LeftOut, summary: _Summary) -> None:
    count = summary.words.total()
    words = ", ".join(
        f"{summary.words[word]:,} {word}"
        for word in ("accept", "review", "reject", "unreadable", "rejected")
        if summary.words[word]
    )
    images = f"{count:,} image{'' if count == 1 else 's'}"
    say(f"{images} by model {model.version} of {model.category}{': ' if words else ''}{words}.")
    if left_out.litter:
        say(f"Skipped what systems leave behind, {left_out.litter_in_words}")
    if request.out is not None:
        say(f"Rows: {request.out}")
    if request.overlays is not None:
        drawn = sum(summary.words[word] for word in ("accept", "review", "reject"))
        say(f"Images with their maps: {request.overlays}" if drawn else "No image could be drawn.")
    elif summary.words["review"] or summary.words["reject"]:
        say(f"Next, to see where: {_again(request)} --overlays FOLDER")
    without = summary.words["unreadable"] + summary.words["rejected"]
    if without:
        more = f"; and {without - len(summary.without):,} more" if without > len(summary.without) else ""
        raise NotAllScored(f"{without:,} of {count:,} could not be scored: {'; '.join(summary.without)}{more}")
    if not count:
        raise NotAllScored("No image was named, so nothing was scored. Name files or folders.")


def _again(request: ScoringRequest) -> str:
    """The command, ready to paste."""
    if len(request.names) > 3 or STANDARD_INPUT in request.names:
        return "the same command with"
    options = ["--category", request.category, "--store", request.store_uri]
    if request.version:
        options += ["--model", request.version]
    return shlex.join(["rd-inspect", "score", *request.names, *options])
