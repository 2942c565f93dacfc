"""Folds text at words to a terminal's width; what is copied from it stays in one piece."""

import re

from rich.cells import cell_len

_QUOTED = r"'[^'\n]*'|\"[^\"\n]*\""
_VALUE = rf"(?:{_QUOTED}|[^\s\"'])+"
_ARGUMENT = rf"--?[a-z][\w-]*(?:[ =](?!-){_VALUE})?|{_QUOTED}|[A-Z]{{2,}}\S*|{_VALUE}(?= --)"
_COMMAND = rf"(?:rd-inspect(?: [a-z]+\b)?|prefect(?: [a-z-]+\b)+|python -m [\w.]+)(?: (?:{_ARGUMENT}))*"
_ROOTS = "images|labels|models|trainings|manifests|maps|scores|seals|settled|merged|reports|comparisons"
_ENDINGS = "png|jpe?g|tiff?|bmp|webp|pgm|ppm|json|parquet|csv|tsv|safetensors|zarr|html"
_KEY = rf"(?:{_ROOTS})/(?:(?![:;] )[^\n'\"])*?\.(?i:{_ENDINGS})\b(?!/)"  # names of files may have blanks
_PIECE = re.compile(rf"(?:\(?(?:{_COMMAND}|{_KEY}|{_QUOTED})|\S)\S*")


def fold(text: str, width: int | None, first: int | None = None) -> list[str]:
    """The lines of `text`, at most `width` cells long unless one piece is longer: a word, a command, a key, a
    quotation. None folds nothing. `first`: cells for the first line."""
    paragraphs = text.splitlines() or [""]
    if width is None:
        return paragraphs
    lines = _folded(paragraphs[0], width, width if first is None else first)
    return lines + [line for paragraph in paragraphs[1:] for line in _folded(paragraph, width, width)]


def _folded(paragraph: str, width: int, room: int) -> list[str]:
    if cell_len(paragraph) <= room:
        return [paragraph]
    lines, line = list[str](), ""
    for piece in _PIECE.finditer(paragraph):
        longer = f"{line} {piece[0]}" if line else piece[0]
        if line and cell_len(longer) > room:
            lines.append(line)
            longer, room = piece[0], width
        line = longer
    return [*lines, line]
