"""What README, docs/ and the help texts tell people to type: every block of code, every command."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer

from flows.cli import app

ROOT = Path(__file__).parent.parent
DOCUMENTS = [ROOT / name for name in ("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "SECURITY.md")] + sorted(
    ROOT.glob("docs/**/*.md")
)
_FENCE = re.compile(r"^ *```(\w*)\n(.*?)^ *```$", re.DOTALL | re.MULTILINE)
_INDENTED = re.compile(r"(?<=\n\n)((?: {4}\S.*\n(?:\n(?= {4}))?)+)")
_INLINE = re.compile(r"`+((?:[^`\n]* \| )?rd-inspect [^`]+)`+")
CLI: Any = typer.main.get_command(app)


@dataclass(frozen=True)
class Snippet:
    """Something to type."""

    where: str
    """'README.md:31'"""
    kind: str
    """the language of its fence; '' without one, 'indented' without a fence, 'inline', 'help'"""
    text: str

    @property
    def lines(self) -> list[str]:
        """Its commands: continued lines are one, comments and empty lines are none."""
        joined = self.text.replace("\\\n", " ")
        return [line.strip() for line in joined.splitlines() if line.strip() and not line.strip().startswith("#")]


def snippets() -> list[Snippet]:
    """All of them, in order."""
    return [*(snippet for path in DOCUMENTS for snippet in _of(path)), *_of_help()]


def _of(path: Path) -> Iterator[Snippet]:
    text, name = path.read_text(), str(path.relative_to(ROOT))

    def snippet(kind: str, start: int, body: str) -> Snippet:
        return Snippet(f"{name}:{text[:start].count(chr(10)) + 1}", kind, body)

    fences = list(_FENCE.finditer(text))
    for match in fences:
        yield snippet(match[1], match.start(), match[2])
    rest = _FENCE.sub(lambda match: re.sub(r"[^\n]", "~", match[0]), text)
    for match in _INDENTED.finditer(rest):
        yield snippet("indented", match.start(), re.sub(r"^ {4}", "", match[1], flags=re.MULTILINE))
    for match in _INLINE.finditer(rest):
        yield snippet("inline", match.start(), " ".join(match[1].split()))


def _of_help() -> Iterator[Snippet]:
    for name, command in {"": CLI, **CLI.commands}.items():
        texts = [command.help or "", *(getattr(option, "help", "") or "" for option in command.params)]
        for match in _INLINE.finditer("\n".join(texts)):
            yield Snippet(f"rd-inspect {name} --help".replace("  ", " "), "help", " ".join(match[1].split()))
