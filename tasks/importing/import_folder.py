"""Import of one category's folder (tasks.importing.image_folder): images, masks and labels.

Everything is checked before the first write. Stored objects stay: an equal image is not written again, another image
under its key is refused, and only new labels are written (tasks.importing.folder_words). So an import can be
repeated, and a grown folder imported again.
"""

import hashlib
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from reports.number_format import counted
from storage import layout
from storage.errors import AlreadyExists, StorageError, UnreadableImage
from storage.filesystem import Store
from storage.images import list_images
from storage.labels import labels
from storage.labels.labels import Label
from storage.pictures.headers import displayed_size
from storage.pictures.masks import mask_png
from storage.records import ObjectInfo
from tasks.importing.folder_files import Remark, shown
from tasks.importing.folder_masks import marked_by, with_masks
from tasks.importing.folder_twins import twins
from tasks.importing.folder_words import BY, verdict
from tasks.importing.image_folder import MASKS, FolderImage, ImageFolder, NotAnImageFolder

WRITERS = 8
"""threads; each mostly waits for the store"""
_NAMED = 3
"""examples in a message"""
_PROPORTION = 0.02
"""tolerated relative difference of a mask's and its image's aspect ratio, for rounded sizes"""

_BROUGHT_BY = {BY, None}
"""annotators of a folder's labels: the folder itself, or its table without names"""

Progress = Callable[[Sequence[Any], str], Iterable[Any]]
"""passes a sequence on and shows progress"""


class ImportRefused(Exception):
    """The folder is valid, but importing it would lose something; nothing was written."""


class ImportStopped(StorageError):
    """A file disappeared during the import. Repeating it continues from there."""


@dataclass(frozen=True)
class ImportRequest:
    """The source and destination of an import."""

    folder: Path
    category: str
    run_date: date
    """production day of test/"""
    normals_date: date
    """production day of train/"""
    prefix: str = ""
    """subfolders of the day, such as 'camera-b', so that equal names of two folders do not collide"""


@dataclass(frozen=True)
class FoundImage:
    """One file to import."""

    source: FolderImage
    key: str
    is_new: bool
    """not in the store yet"""
    mask_digest: str | None = None
    """digest of the pixels that its masks mark together; None without a usable mask"""

    @property
    def mask_key(self) -> str | None:
        """Named by its content, so that a mask in use is never replaced."""
        if self.mask_digest is None:
            return None
        _, category, day, name = self.key.split("/", 3)
        return layout.mask_key(category, date.fromisoformat(day), f"{name}.{self.mask_digest}.png")


@dataclass(frozen=True)
class ImportPlan:
    """Everything that an import writes or leaves out."""

    request: ImportRequest
    images: tuple[FoundImage, ...]
    """imported now or before"""
    words: tuple[Label, ...]
    """new ones"""
    left_out: tuple[Remark, ...] = ()
    noted: tuple[Remark, ...] = ()
    """remarks about imported files; the path may be a key"""
    litter: tuple[str, ...] = ()


@dataclass
class _Looked:
    """The state of one file."""

    image: FoundImage | None = None
    clashes: bool = False
    """another image has its key"""
    left_out: list[Remark] = field(default_factory=list)
    noted: list[Remark] = field(default_factory=list)


def plan_import(
    store: Store,
    request: ImportRequest,
    folder: ImageFolder,
    now: datetime,
    progress: Progress = lambda all_, _: all_,
) -> ImportPlan:
    """Check every file of the folder and the stored objects of its days; writes nothing.

    Raises NotAnImageFolder without anything to import, ImportRefused if an image would replace another.
    """
    images, unused = with_masks(folder)
    keyed, twice = _keyed(images, request)
    days = sorted({request.run_date, request.normals_date})
    there = {info.key: info for day in days for info in list_images(store, request.category, day)}
    composed = {unicodedata.normalize("NFC", key): key for key in there}  # a line may write its names otherwise
    keyed = [
        image if image.key in there else replace(image, key=composed.get(image.key, image.key)) for image in keyed
    ]
    with ThreadPoolExecutor(WRITERS) as pool:
        work = pool.map(partial(_look, store, request.folder, there), keyed)
        looked = [seen for _, seen in zip(progress(keyed, "look at"), work, strict=True)]
    _refuse_clashes(store, [seen for seen in looked if seen.clashes])
    history: dict[str, list[Label]] = defaultdict(list)
    for label in labels.to_labels(labels.read_label_history(store, request.category)):
        history[label.image_key].append(label)
    taken = _moved_back(store, request, [seen.image for seen in looked if seen.image], there, history)
    left_out = [*folder.left_out, *unused, *twice, *(remark for seen in looked for remark in seen.left_out)]
    noted = [
        *(_bare(taken) if folder.masks else ()),
        *_alike(taken),
        *_twins(taken),
        *_on_other_days(store, taken, history),
        *(remark for seen in looked for remark in seen.noted),
    ]
    if not taken:
        raise NotAnImageFolder(_nothing(request.folder, left_out))
    words = []
    for image in (image for image in taken if not image.source.flat):
        judged = verdict(_label_of(image, now), history[image.key])
        words += [judged.word] if judged.word else []
        noted += [Remark(image.key, judged.remark)] if judged.remark else []
    return ImportPlan(request, tuple(taken), tuple(words), tuple(left_out), tuple(noted), tuple(folder.litter))


def import_images(store: Store, plan: ImportPlan, progress: Progress = lambda all_, _: all_) -> str | None:
    """Write the new images and masks, then the new labels; returns the key of the label file, None without new
    labels."""
    new = [image for image in plan.images if image.is_new or image.mask_key]
    with ThreadPoolExecutor(WRITERS) as pool:
        for _ in zip(progress(new, "import"), pool.map(partial(_write, store), new), strict=True):
            pass
    if not plan.words:
        return None
    days = sorted({word.image_key.split("/")[2] for word in plan.words})
    digest = hashlib.sha256(repr(plan.words).encode()).hexdigest()[:12]
    return labels.write_labels(store, plan.request.category, plan.words, f"import-{'-'.join(days)}-{digest}")


def _keyed(images: Sequence[FolderImage], request: ImportRequest) -> tuple[list[FoundImage], list[Remark]]:
    """Images with their keys, and those whose key another file has."""
    by_key: dict[str, FoundImage] = {}
    twice = []
    prefix = f"{request.prefix}/" if request.prefix else ""
    for image in images:
        day = request.normals_date if image.purpose == "training" else request.run_date
        key = layout.image_key(request.category, day, prefix + image.name)
        other = by_key.setdefault(key, FoundImage(image, key, is_new=True))
        if other.source.purpose != image.purpose:
            raise ImportRefused(
                f"{other.source.place} and {image.place} would both be {key}, so nothing was imported. Give train/ a "
                "day of its own by --normals-date."
            )
        if other.source is not image:
            twice.append(
                Remark(shown(image.place), "names that differ from another file's only in the encoding of letters")
            )
    return list(by_key.values()), twice


def _look(store: Store, folder: Path, there: Mapping[str, ObjectInfo], image: FoundImage) -> _Looked:
    source = image.source
    try:
        with source.path.open("rb") as file:
            size = displayed_size(file)
        old = there.get(image.key)
        same = old is None or (
            old.size == source.path.stat().st_size and store.read(image.key) == source.path.read_bytes()
        )
    except UnreadableImage as e:
        return _Looked(left_out=[Remark(shown(source.place), str(e))])
    except OSError as e:
        return _Looked(left_out=[Remark(shown(source.place), f"cannot be read ({e.strerror})")])
    looked = _Looked(replace(image, is_new=old is None), clashes=not same)
    if source.masks:
        _look_at_masks(looked, folder, source.masks, size)
    return looked


def _look_at_masks(looked: _Looked, folder: Path, masks: Sequence[Path], size: tuple[int, int]) -> None:
    """Set the digest of the image's masks, or the reason why there is none."""
    assert looked.image is not None
    place = shown(masks[0].relative_to(folder).as_posix())
    try:
        marked = marked_by(masks)
    except (UnreadableImage, OSError):
        looked.left_out.append(Remark(place, "masks that cannot be read"))
        return
    if marked is None or abs(marked.shape[0] * size[1] / (marked.shape[1] * size[0]) - 1) > _PROPORTION:
        looked.left_out.append(Remark(place, "masks of another size than their image"))
    elif not marked.any():
        looked.left_out.append(Remark(place, "masks that mark nothing"))
    else:
        if marked.shape != size:
            looked.noted.append(Remark(place, "masks with the proportions of their image, but another size"))
        digest = hashlib.sha256(repr(marked.shape).encode() + np.packbits(marked).tobytes()).hexdigest()[:12]
        looked.image = replace(looked.image, mask_digest=digest)


def _refuse_clashes(store: Store, clashes: Sequence[_Looked]) -> None:
    images = [clash.image for clash in clashes if clash.image]
    if images:
        first = ", ".join(f"{image.source.place} ({image.key})" for image in images[:_NAMED])
        more = ", ..." if len(images) > _NAMED else ""
        raise ImportRefused(
            f"{counted(len(images), 'image')} in {store.uri} would be replaced by others: {first}{more}. "
            "Nothing was imported or replaced. From another camera or batch? Put them into a folder of their "
            "own: --prefix camera-b. Of another day? --run-date and --normals-date."
        )


def _moved_back(
    store: Store,
    request: ImportRequest,
    images: Sequence[FoundImage],
    there: Mapping[str, ObjectInfo],
    history: Mapping[str, Sequence[Label]],
) -> list[FoundImage]:
    """The images; those moved to another kind's folder since the last import get their earlier key.

    The image is stored once; only its label changes.
    """
    gone: dict[str, list[str]] = defaultdict(list)
    claimed = {image.key for image in images}
    for key in there:
        if key not in claimed and any(label.labelled_by in _BROUGHT_BY for label in history.get(key, ())):
            gone[_within_kind(key, request)].append(key)
    return [
        _moved(store, image, gone[_within_kind(image.key, request)], there) if image.is_new else image
        for image in images
    ]


def _moved(store: Store, image: FoundImage, candidates: list[str], there: Mapping[str, ObjectInfo]) -> FoundImage:
    for key in candidates:
        if there[key].size == image.source.path.stat().st_size and store.read(key) == image.source.path.read_bytes():
            candidates.remove(key)
            return replace(image, key=key, is_new=False)
    return image


def _within_kind(key: str, request: ImportRequest) -> str:
    """The parts of a key that survive a move to another kind's folder: prefix and name, not the day."""
    name = key.split("/", 3)[3]
    inside = name.removeprefix(f"{request.prefix}/") if request.prefix else name
    return f"{len(name) - len(inside)} {inside.partition('/')[2]}"


def _bare(images: Sequence[FoundImage]) -> list[Remark]:
    without = [image.source for image in images if image.source.word == "anomalous" and not image.source.masks]
    return [Remark(shown(image.place), f"defects without a mask in {MASKS}/") for image in without]


def _alike(images: Sequence[FoundImage]) -> list[Remark]:
    counts = Counter(image.key.casefold() for image in images)
    why = "names that differ in upper and lower case only: a copy on Windows or macOS would lose one"
    return [Remark(shown(image.source.place), why) for image in images if counts[image.key.casefold()] > 1]


def _twins(images: Sequence[FoundImage]) -> list[Remark]:
    try:
        return twins(image.source for image in images)
    except OSError as e:
        raise ImportStopped(f"{e.filename} disappeared during the check: nothing was written. Import again.") from e


def _on_other_days(
    store: Store, images: Sequence[FoundImage], history: Mapping[str, Sequence[Label]]
) -> Iterator[Remark]:
    """New images that were imported before under another day."""
    days: dict[str, list[str]] = defaultdict(list)
    for key, words in history.items():
        if any(label.labelled_by in _BROUGHT_BY for label in words):
            days[key.split("/", 3)[3]].append(key)
    for image in images:
        for key in days[image.key.split("/", 3)[3]] if image.is_new else ():
            info = store.info(key)
            if (
                info
                and info.size == image.source.path.stat().st_size
                and store.read(key) == image.source.path.read_bytes()
            ):
                day = key.split("/")[2]
                yield Remark(shown(image.source.place), f"already in the store under {day}, so they count twice")
                break


def _label_of(image: FoundImage, now: datetime) -> Label:
    source = image.source
    assert source.word is not None
    return Label(image.key, source.word, image.mask_key, BY, now, source.kind, source.purpose)


def _nothing(folder: Path, left_out: Sequence[Remark]) -> str:
    first = "; ".join(f"{remark.path}: {remark.why}" for remark in left_out[:_NAMED])
    return (
        f"{folder} holds no image that could be imported, so nothing was written. "
        f"{f'Left out: {first}' if first else 'It is empty'}{'; ...' if len(left_out) > _NAMED else ''}."
    )


def _write(store: Store, image: FoundImage) -> None:
    try:
        if image.is_new:
            data = image.source.path.read_bytes()
            try:
                store.create(image.key, data)
            except AlreadyExists:
                if store.read(image.key) != data:
                    raise
        if (
            image.mask_key
            and store.info(image.mask_key) is None
            and (mask := marked_by(image.source.masks)) is not None
        ):
            store.write(image.mask_key, mask_png(mask))
    except (OSError, UnreadableImage) as e:
        raise ImportStopped(
            f"{image.source.path} or its mask changed during the import ({e}): images before it are in the "
            "store, no label is. Import the folder again."
        ) from e
