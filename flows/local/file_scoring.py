"""Scores of files, now: without a server, a cluster, or a write to the store."""

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
"""pictures without a score that the last line names"""


@dataclass(frozen=True)
class ScoringRequest:
    """What somebody asks about."""

    names: tuple[str, ...]
    """files, folders, patterns, and '-' for names on standard input"""
    store_uri: str
    category: str
    version: str | None = None
    """None: the champion"""
    output_format: str = "table"
    out: Path | None = None
    """a file for the rows, which are not printed then"""
    overlays: Path | None = None
    """a folder for pictures with their maps"""


class NotAllScored(RunFailed):
    """Some pictures have no score; the others have theirs."""


@dataclass
class _Told:
    """What the end of the command says."""

    words: Counter[str] = field(default_factory=Counter)
    without: list[str] = field(default_factory=list)
    """such as 'a.png: the file is empty'; not of all if there are many"""

    def add(self, batch: pa.RecordBatch) -> None:
        for path, decision, status, error in zip(
            *(batch[name].to_pylist() for name in ("path", "decision", "status", "error")), strict=True
        ):
            self.words[decision or status] += 1
            if decision is None and len(self.without) < _NAMED:
                self.without.append(f"{path}: {error}")


def score_now(asked: ScoringRequest) -> None:
    """Score, print or write the rows as they come, and say at the end what was found.

    Raises SettingsError and StorageError before anything is scored; NotAllScored at the end.
    """
    store = open_store(asked.store_uri, read_only=True)
    _refuse(asked, store)
    store.check()
    settings = load_settings(asked.store_uri)
    version = chosen_version(store, asked.category, asked.version)
    if asked.overlays is not None:
        _make_folder(asked.overlays)
    prepare_worker_process()
    model = ready_model(store, settings, asked.category, version)
    left_out, told = LeftOut(), _Told()
    batches = _rows(model, _rounds(asked.names, left_out), asked.overlays, told)
    from tasks.scoring.file_scores import FILE_SCHEMA  # noqa: PLC0415  # brings Arrow and SciPy, a second that a refused command does not wait

    if asked.out is None:
        print_scores(batches, FILE_SCHEMA, asked.output_format)
    else:
        write_file(asked.out, FILE_SCHEMA, batches)
    _say_what_was_found(asked, model, left_out, told)


def _refuse(asked: ScoringRequest, store: Store) -> None:
    """SettingsError for what cannot be meant."""
    for name in asked.names:
        if "://" in name:
            raise SettingsError(
                f"{name} is an address, and only files of this machine are scored so; nothing was started. Copy it "
                "here first, or have the store's whole day scored: rd-inspect inspect --run-date DAY"
            )
    if asked.out is not None:
        refuse_unusable(asked.out)
        _refuse_within("--out", asked.out, store)
    if asked.overlays is not None:
        _refuse_within("--overlays", asked.overlays, store)
        for name in asked.names:
            if os.path.isdir(name) and _is_within(asked.overlays, name):  # noqa: PTH112  # False for a name too long for any file, where Path.is_dir raises
                raise SettingsError(
                    f"--overlays {asked.overlays} lies within {name}, so the next time its pictures would be scored "
                    "too. Nothing was started; name a folder elsewhere."
                )


def _refuse_within(option: str, path: Path, store: Store) -> None:
    if isinstance(store, LocalStore) and _is_within(path, store.uri):
        raise SettingsError(
            f"{option} {path} lies within the store {store.uri}, to which this command writes nothing. Nothing was "
            "started; name a place elsewhere."
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
    """What is named before and behind standard input, and what comes there, when it comes."""
    at = names.index(STANDARD_INPUT) if STANDARD_INPUT in names else len(names)
    yield pictures_named(names[:at], left_out)
    if at < len(names):
        for some in names_as_they_come(sys.stdin.fileno()):
            yield pictures_named(some, left_out, again=True)
        yield pictures_named([name for name in names[at:] if name != STANDARD_INPUT], left_out)


def _rows(
    model: "ReadyModel", rounds: Iterable[Iterable[LocalPicture]], folder: Path | None, told: _Told
) -> Iterator[pa.RecordBatch]:
    from tasks.scoring.file_scores import file_rows, score_files  # noqa: PLC0415  # brings torch, which a refused command does not wait for
    from tasks.scoring.overlay_files import OverlayFolder  # noqa: PLC0415  # brings Pillow and zarr, which a refused command does not wait for

    overlays = None if folder is None else OverlayFolder(folder, model.scorer)
    for scored in score_files(model.scorer, rounds):
        drawn = [None if overlays is None else overlays.write(picture) for picture in scored]
        batch = file_rows(
            model, [picture.picture.path for picture in scored], [picture.found for picture in scored], drawn
        )
        told.add(batch)
        yield batch


def _say_what_was_found(asked: ScoringRequest, model: "ReadyModel", left_out: LeftOut, told: _Told) -> None:
    count = told.words.total()
    words = ", ".join(
        f"{told.words[word]:,} {word}"
        for word in ("accept", "review", "reject", "unreadable", "rejected")
        if told.words[word]
    )
    pictures = f"{count:,} picture{'' if count == 1 else 's'}"
    say(f"{pictures} by model {model.version} of {model.category}{': ' if words else ''}{words}.")
    if left_out.litter:
        say(f"Skipped what systems leave behind, {left_out.litter_in_words}")
    if asked.out is not None:
        say(f"Rows: {asked.out}")
    if asked.overlays is not None:
        drawn = sum(told.words[word] for word in ("accept", "review", "reject"))
        say(f"Pictures with their maps: {asked.overlays}" if drawn else "There is no picture to draw.")
    elif told.words["review"] or told.words["reject"]:
        say(f"Next, to see where: {_again(asked)} --overlays FOLDER")
    without = told.words["unreadable"] + told.words["rejected"]
    if without:
        more = f"; and {without - len(told.without):,} more" if without > len(told.without) else ""
        raise NotAllScored(f"{without:,} of {count:,} could not be scored: {'; '.join(told.without)}{more}")
    if not count:
        raise NotAllScored("No picture was named, so nothing was scored. Name files or folders.")


def _again(asked: ScoringRequest) -> str:
    """The command, as it can be pasted."""
    if len(asked.names) > 3 or STANDARD_INPUT in asked.names:
        return "the same command with"
    options = ["--category", asked.category, "--store", asked.store_uri]
    if asked.version:
        options += ["--model", asked.version]
    return shlex.join(["rd-inspect", "score", *asked.names, *options])
