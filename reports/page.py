"""The templates of all reports, which escape every text, and their filters for numbers and keys."""

from functools import lru_cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from reports import number_format
from reports.plain_text import shown, state_in_words
from reports.promise import promise_in_words


def page(template: str, **contents: Any) -> str:
    """The HTML of `template`, a file in reports/templates. Raises jinja2.UndefinedError for a missing name."""
    return _environment().get_template(template).render(**contents)


@lru_cache(maxsize=1)
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("reports", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        # Every text passes here, so no field can be forgotten.
        finalize=lambda value: shown(value) if isinstance(value, str) and not hasattr(value, "__html__") else value,
    )
    environment.filters.update(
        score=number_format.score,
        count=number_format.count,
        percent=number_format.percent,
        p_value=number_format.p_value,
        duration=number_format.duration,
        counted=number_format.counted,
        breakable=breakable,
        state=state_in_words,
        promise=promise_in_words,
    )
    return environment


def breakable(key: str, after: str = "/") -> Markup:
    """`key` escaped, with a possible line break after every `after`."""
    return (Markup(after) + Markup("<wbr>")).join(shown(key).split(after))
