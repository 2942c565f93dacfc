"""Prints wrong options and arguments as plain lines; a frame would break values and commands."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import typer
from typer._click.exceptions import ClickException  # raised by typer, which does not export it
from typer.core import TyperGroup

from flows.errors import in_plain_words, sentence


class PlainGroup(TyperGroup):
    """All commands; a wrong option is reported on one unbroken line."""

    def make_context(self, *args: Any, **kwargs: Any) -> Any:
        with _plainly():
            return super().make_context(*args, **kwargs)

    def invoke(self, ctx: Any) -> Any:
        with _plainly():
            return super().invoke(ctx)


@contextmanager
def _plainly() -> Iterator[None]:
    try:
        yield
    except ClickException as e:
        if e.message:  # a missing option has none
            e.message = sentence(in_plain_words(e.message))
        e.show()
        raise typer.Exit(e.exit_code) from e
