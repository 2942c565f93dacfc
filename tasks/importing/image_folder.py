"""A category's folder in the MVTec layout: the role of each file, from its path.

train/good/<name>                       normal, for training
test/good/<name>                        normal, for evaluation
test/<kind>/<name>                      anomalous
ground_truth/<kind>/<stem>_mask.png     mask of test/<kind>/<stem>.*; other names: folder_masks

A name may have folders: test/<kind>/<camera>/<name>. 'good' has other names (storage.labels.words); case is
ignored. A folder whose meaning is unclear is reported, never guessed.
"""

import re
import unicodedata
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from storage.labels.words import CHOICES, meanings_of, plain_choice
from tasks.importing.folder_files import Remark, list_files, marked_stems, shown, without_suffix

TRAIN, TEST, MASKS = "train", "test", "ground_truth"
_TABLES = (".csv", ".tsv", ".parquet")
_NORMAL = frozenset(choice for choice, word in CHOICES.items() if word == "normal")
_ANOMALOUS = frozenset(choice for choice, word in CHOICES.items() if word == "anomalous")
_NEGATIONS = frozenset({"no", "non", "not", "without", "free"})
_NO_PICTURES = frozenset(
    {"gt", "mask", "masks", "ground truth", "xyz", "depth", "label", "labels", "annotation", "annotations"}
)
_PERHAPS_GOOD = frozenset({
    "bien", "bon", "bonne", "bueno", "buono", "clean", "conform", "conforme", "correct", "correcto", "flawless",
    "goed", "golden", "gut", "gute", "gutteile", "healthy", "intact", "io", "perfect", "годен", "норма", "合格",
    "正常", "良品", "양품", "정상",
})  # fmt: skip
_NO_KIND = _NO_PICTURES | _PERHAPS_GOOD | {
    "all", "extra", "image", "images", "img", "imgs", "misc", "mixed", "neg", "negative", "new", "nio", "other",
    "others", "pos", "positive", "reference", "rgb", "test", "todo", "train", "unclassified", "unknown", "unlabeled",
    "unlabelled", "unsorted", "val", "valid", "validation",
}  # fmt: skip
"""names that are no kind of defect; only the owner knows whether such a folder has good parts"""
_IN_ORDER = re.compile(r"\b(?:(n) )?i o\b")
"""i.O. and n.i.O.: German for good and bad"""


class NotAnImageFolder(Exception):
    """The folder has nothing that could be a category's images."""


@dataclass(frozen=True)
class FolderImage:
    """A file in the place of an image, unopened."""

    path: Path
    name: str
    """'<kind>/<name>' below train/ or test/, with '/', in composed Unicode"""
    word: str | None
    """'normal', 'anomalous' or 'unsure', by its folder; None if unknown or contradictory"""
    purpose: str
    """'training' below train/, else 'evaluation': test images must not be trained on"""
    kind: str | None = None
    """of defect"""
    masks: tuple[Path, ...] = ()
    """files whose marked pixels together are the defect"""
    flat: bool = False
    """True if its folder has no meaning: `name` is below the folder itself, and a table has the labels"""

    @property
    def place(self) -> str:
        """Path below the folder, for messages."""
        return self.name if self.flat else f"{TRAIN if self.purpose == 'training' else TEST}/{self.name}"


@dataclass
class ImageFolder:
    """The contents of a folder."""

    images: list[FolderImage] = field(default_factory=list)
    """those of train/ first, each sorted by name; masks come from tasks.importing.folder_masks"""
    masks: dict[str, Path] = field(default_factory=dict)
    """files below ground_truth/, by path there"""
    left_out: list[Remark] = field(default_factory=list)
    litter: list[str] = field(default_factory=list)
    """litter (storage.stores.litter), by path"""


def is_category_folder(folder: Path) -> bool:
    """Whether the folder has train/ or test/, in any case."""
    return any(entry.name.lower() in {TRAIN, TEST} and entry.is_dir() for entry in folder.glob("*"))


def read_folder(folder: Path, words: Mapping[str, str] | None = None) -> ImageFolder:
    """The contents of `folder`, from names alone. Raises NotAnImageFolder without train/ and test/.

    `words`: meaning of further folders, such as {"ok_front": "normal"}.
    """
    refuse_no_folder(folder)
    _require_category(folder)
    known = meanings_of(words or {})
    listing = list_files(folder)
    contents = ImageFolder(left_out=listing.left_out, litter=listing.litter)
    mixed = {of for place in listing.files if (of := _mixed_folder(place, known))}
    for place, file in listing.files.items():
        split, _, name = place.partition("/")
        why = None
        if name and split.lower() in {TRAIN, TEST}:
            image = _image(file, split.lower(), name, known, mixed)
            if isinstance(image, FolderImage):
                contents.images.append(image)
            else:
                why = image
        elif name and plain_choice(split) == "ground truth":
            contents.masks[unicodedata.normalize("NFC", name)] = file
        else:
            why = f"neither in {TRAIN}/ nor in {TEST}/"
        if why:
            contents.left_out.append(Remark(shown(place), why))
    set_masks_apart(contents)
    contents.images.sort(key=lambda image: (image.purpose != "training", image.name))
    return contents


def refuse_no_folder(folder: Path) -> None:
    """Raises NotAnImageFolder if it is missing or no folder."""
    if not folder.exists():
        raise NotAnImageFolder(f"{folder}: there is no such folder. Check the name.")
    if not folder.is_dir():
        raise NotAnImageFolder(
            f"{folder} is a file, not a folder. Unpack it if it is an archive, and name the folder."
        )


def _require_category(folder: Path) -> None:
    try:
        if is_category_folder(folder):
            return
        below = sorted(entry.name for entry in folder.glob("*") if entry.is_dir() and is_category_folder(entry))
    except OSError as e:
        raise NotAnImageFolder(f"{folder} cannot be read: {e.strerror}. Change its mode or owner.") from e
    hint = f" It holds folders that have: {', '.join(below[:5])}; name one of them." if below else ""
    table = next((file.name for file in sorted(folder.iterdir()) if file.suffix.lower() in _TABLES), "labels.csv")
    raise NotAnImageFolder(
        f"{folder} has neither {TRAIN}/good/ nor {TEST}/, so nothing was taken.{hint} Sort one category's images "
        f"into {TRAIN}/good/, {TEST}/good/ and {TEST}/<kind>/ (masks: {MASKS}/<kind>/); or bring in what lies there "
        f"with a table of names and labels: --table {folder / table}"
    )


def _image(file: Path, split: str, name: str, known: Mapping[str, str], mixed: set[str]) -> FolderImage | str:
    """The file as an image, or why it is none."""
    name = unicodedata.normalize("NFC", name)
    *folders, _ = name.split("/")
    if not folders:
        return f"directly in {split}/, where no folder says if they are good: put them into {split}/good/ or such"
    kind, *inner = folders
    if holds_no_pictures(inner):
        return "in folders of masks or other data among the images"
    word = None if split == TEST and kind in mixed else _meaning(kind, known)
    if word is None:
        return (
            f"{split}/{kind}/ does not say whether its parts are good: rename it, or import it with --word "
            f"'{kind}=normal' (or anomalous)"
        )
    if any(known.get(plain_choice(folder), word) != word for folder in inner):
        return "in folders that say both good and bad"
    if split == TRAIN and word != "normal":
        return f"{split}/{kind}/ is not named like good parts, and only those are trained on"
    purpose = "training" if split == TRAIN else "evaluation"
    return FolderImage(file, name, word, purpose, kind if word == "anomalous" else None)


def holds_no_pictures(folders: Sequence[str]) -> bool:
    """Whether one of them is named like a folder of masks or other data."""
    return any(plain_choice(folder) in _NO_PICTURES for folder in folders)


def set_masks_apart(contents: ImageFolder, images: Collection[str] = ()) -> None:
    """Leaves out masks beside their images, such as 000_gt.png beside 000.png. `images`: names of files known to be
    no images."""
    stems = {without_suffix(image.place.casefold()) for image in contents.images}
    kept = []
    for image in contents.images:
        folder, slash, stem = without_suffix(image.place.casefold()).rpartition("/")
        if image.name not in images and any(
            f"{folder}{slash}{other}" in stems for other in marked_stems(stem) if other != stem
        ):
            contents.left_out.append(
                Remark(shown(image.place), f"masks among the images: move them to {MASKS}/<kind>/")
            )
        else:
            kept.append(image)
    contents.images = kept


def _meaning(folder: str, known: Mapping[str, str]) -> str | None:
    """The word that a folder's name means: 'anomalous' for a kind of defect, None if unclear."""
    plain = plain_choice(folder)
    if plain in known:
        return known[plain]
    spelled = _IN_ORDER.sub(lambda match: f"{match[1] or ''}io", plain)
    words = {word.rstrip("0123456789") for word in spelled.split()} - {""}
    undone = bool(words & _NEGATIONS) and any(word in _ANOMALOUS or word.rstrip("s") in _ANOMALOUS for word in words)
    if not words or words <= _NO_KIND or words & (_NORMAL | _PERHAPS_GOOD) or undone:
        return None
    return "anomalous"


def _mixed_folder(place: str, known: Mapping[str, str]) -> str | None:
    """A folder of test/ that is named like a kind of defect but has a subfolder of good parts."""
    split, *folders = unicodedata.normalize("NFC", place).split("/")[:-1] or [""]
    if split.lower() != TEST or not folders or plain_choice(folders[0]) in known:
        return None
    inner = {known.get(plain_choice(folder)) for folder in folders[1:]}
    return folders[0] if inner & {"normal", "unsure"} else None
