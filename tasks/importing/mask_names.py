"""How people call the mask of an image: by the image's name, with a word for mask before or behind it, or none."""

import re
from collections.abc import Iterator

_WORDS = r"(?:mask|gt|ground[ _-]?truth|label|seg(?:mentation)?|anno(?:tation)?)s?"
_BEHIND = re.compile(rf"(.+?)[ _.-]+{_WORDS}(?:[ _.-]?\d+)?")
_BEFORE = re.compile(rf"{_WORDS}[ _.-]+(.+)")


def marked_stems(stem: str) -> Iterator[str]:
    """Stems of the images that a mask of this stem may be of, the likeliest first. All in lower case."""
    yield stem
    for form in (_BEHIND, _BEFORE):
        if named := form.fullmatch(stem):
            yield named[1]


def without_suffix(name: str) -> str:
    """A path with '/' without its last suffix."""
    folder, slash, file = name.rpartition("/")
    stem, dot, _ = file.rpartition(".")
    return f"{folder}{slash}{stem}" if dot and stem else name
