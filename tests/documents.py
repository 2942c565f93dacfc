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
    return [*(one for path in DOCUMENTS for one in _of(path)), *_of_help()]


def _of(path: Path) -> Iterator[Snippet]:
    text, name = path.read_text(), str(path.relative_to(ROOT))

    def found(kind: str, start: int, body: str) -> Snippet:
        return Snippet(f"{name}:{text[:start].count(chr(10)) + 1}", kind, body)

    fences = list(_FENCE.finditer(text))
    for one in fences:
        yield found(one[1], one.start(), one[2])
    rest = _FENCE.sub(lambda one: re.sub(r"[^\n]", "~", one[0]), text)
    for one in _INDENTED.finditer(rest):
        yield found("indented", one.start(), re.sub(r"^ {4}", "", one[1], flags=re.MULTILINE))
    for one in _INLINE.finditer(rest):
        yield found("inline", one.start(), " ".join(one[1].split()))


def _of_help() -> Iterator[Snippet]:
    for name, command in {"": CLI, **CLI.commands}.items():
        texts = [command.help or "", *(getattr(one, "help", "") or "" for one in command.params)]
        for one in _INLINE.finditer("\n".join(texts)):
            yield Snippet(f"rd-inspect {name} --help".replace("  ", " "), "help", " ".join(one[1].split()))
