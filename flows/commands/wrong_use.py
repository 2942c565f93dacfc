"""Wrong options and arguments, as plain lines; a frame would break values and commands."""

from collections.abc import Iterator
from contextlib import contextmanager
from copy import copy
from typing import Any

import typer
from typer._click.exceptions import ClickException  # raised by typer, which does not export it
from typer.core import TyperCommand, TyperGroup, TyperOption

from flows.errors import in_plain_words, sentence


class PlainGroup(TyperGroup):
    """All commands; a wrong option is reported on one unbroken line."""

    def make_context(self, *args: Any, **kwargs: Any) -> Any:
        with _plainly():
            return super().make_context(*args, **kwargs)

    def invoke(self, ctx: Any) -> Any:
        with _plainly():
            return super().invoke(ctx)


class PlainCommand(TyperCommand):
    """A command that refuses two values for an option that takes one; typer would take the last and say nothing."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        singles = [one for one in self.get_params(ctx) if isinstance(one, TyperOption) and not one.multiple]
        parser = self.make_parser(ctx)
        for option in singles:
            collecting = copy(option)
            collecting.multiple = True
            collecting.add_to_parser(parser, ctx)  # in place of the option
        given, _, _ = parser.parse_args(list(args))
        for option in singles:
            _refuse_several(option, list(dict.fromkeys(given.get(option.name, ()))), self.name)
        return super().parse_args(ctx, args)


def _refuse_several(option: TyperOption, values: list[Any], command: str | None) -> None:
    if len(values) < 2:
        return
    if option.is_flag:
        both = " and ".join((option.opts[0], option.secondary_opts[0]))
        raise typer.BadParameter(f"{both} contradict each other, so nothing was started. Give one of them.")
    name, words = option.opts[0], " and ".join(map(repr, values))
    raise typer.BadParameter(
        f"{name} is given with {words}, and {command} takes one value, so nothing was started. Give {name} once; for "
        "several, run the command for each."
    )


@contextmanager
def _plainly() -> Iterator[None]:
    try:
        yield
    except ClickException as e:
        if e.message:  # a missing option has none
            e.message = sentence(in_plain_words(e.message))
        e.show()
        raise typer.Exit(e.exit_code) from e
