"""The help of every command: a plain first sentence, an example to paste, and the next command."""

import re
import shlex
from itertools import groupby
from typing import Any

import pytest

from flows.cli import app
from tests.documents import CLI
from tests.flows.commands.test_cli import call

PRIVATE = re.compile(
    r"\b(marred|strange(st|r)?|bad ones?|drawn defects?|no news|gravest|pictures?|normals|sealed|held against|"
    r"told|in force by|whole parts|may be given again|nobody needs)\b",
    re.IGNORECASE,
)
"""words with a plainer one, or of another thing than they mean here"""
NAMES = sorted(CLI.commands)
MOST_WORDS = 20


def paragraphs(name: str) -> list[str]:
    return [" ".join(paragraph.split()) for paragraph in CLI.commands[name].help.split("\n\n")]


def examples(name: str) -> list[str]:
    return re.findall(r"^ *\* `(.*)`$", CLI.commands[name].help, re.MULTILINE)


def calls(line: str) -> list[list[str]]:
    """The words of each rd-inspect command that a shell would start."""
    parts = groupby(shlex.split(line), lambda word: word in {"|", "&&", ";"})
    return [words[1:] for _, part in parts if (words := list(part))[0] == "rd-inspect"]


@pytest.mark.parametrize("name", NAMES)
def test_help_begins_with_one_short_sentence(name: str) -> None:
    first = paragraphs(name)[0]
    assert first.endswith(".") and first.count(". ") == 0 and len(first.split()) <= MOST_WORDS


@pytest.mark.parametrize("name", NAMES)
def test_examples_can_be_pasted(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RD_INSPECT_STORE", "plant")
    lines = examples(name)
    assert lines
    for line in lines:
        ((command, *arguments),) = calls(line)
        assert command == name
        CLI.commands[name].make_context(name, arguments)


def test_a_terminal_of_80_columns_breaks_no_example() -> None:
    name, longest = max(((name, line) for name in NAMES for line in examples(name)), key=lambda pair: len(pair[1]))
    assert longest in call(name, "--help", width=80)


@pytest.mark.parametrize("name", NAMES)
def test_help_names_the_next_command(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RD_INSPECT_STORE", "plant")
    (following,) = [paragraph for paragraph in paragraphs(name) if paragraph.startswith("Next: ")]
    commands = [call for quoted in re.findall(r"`(.*?)`", following) for call in calls(quoted)]
    assert commands and commands[0] != [name]
    for command, *arguments in commands:
        if arguments:
            CLI.commands[command].make_context(command, arguments)
        assert command in CLI.commands


@pytest.mark.parametrize("name", ["", *NAMES])
def test_help_has_the_words_of_everybody(name: str) -> None:
    command: Any = CLI.commands[name] if name else CLI
    texts = [command.help, *(getattr(option, "help", None) for option in command.params)]
    prose = re.sub(r"`[^`]*`", "", " ".join(text or "" for text in texts))
    assert not PRIVATE.findall(prose)


@pytest.mark.parametrize("name", NAMES)
def test_every_option_says_what_it_is(name: str) -> None:
    silent = [
        option.name for option in CLI.commands[name].params if not (getattr(option, "help", None) or "").strip()
    ]
    assert silent == []


def test_the_program_groups_its_commands() -> None:
    shown = call("--help")
    panels = ["Set up", "Every day", "Models", "Store"]
    places = [shown.index(f"─ {panel} ─") for panel in panels]
    assert places == sorted(places) and "─ Commands ─" not in shown
    assert list(CLI.commands)[:4] == ["demo", "import", "train", "inspect"]
    assert app.registered_commands[0].rich_help_panel == "Set up"
