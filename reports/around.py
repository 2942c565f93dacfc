"""Relative links from a report to the index page and to its neighbours, so that they survive copying the folder.

Later reports are unknown when one is drawn, so templates have an empty element for the links. Filing a report fills
it in, there and in the neighbours.
"""

import posixpath
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote

from markupsafe import Markup

_OPEN, _CLOSE = b'<nav class="around" aria-label="Other reports">', b"</nav>"


@dataclass(frozen=True)
class Around:
    """The neighbours of a report. Paths start at the folder of all reports, unquoted; '' if there is none."""

    index: str = ""
    previous: tuple[str, str] = ("", "")
    """(day, path) of the report of this kind before it"""
    next: tuple[str, str] = ("", "")
    same_day: Sequence[tuple[str, str]] = ()
    """(kind, path) of the day's other reports"""


def linked(html: bytes, path: str, around: Around) -> bytes:
    """The report at `path` with its links; a page without the element for them is returned unchanged."""
    start = html.find(_OPEN)
    end = html.find(_CLOSE, start)
    if start < 0 or end < 0:
        return html
    return html[: start + len(_OPEN)] + _links(path, around).encode() + html[end:]


def _links(path: str, around: Around) -> Markup:
    links = [_link(path, around.index, "All reports")] if around.index else []
    (before, previous), (after, following) = around.previous, around.next
    if previous:
        links.append(_link(path, previous, f"← {before}", "prev"))
    if following:
        links.append(_link(path, following, f"{after} →", "next"))
    if around.same_day:
        same = Markup(", ").join(_link(path, other, kind) for kind, other in around.same_day)
        links.append(Markup("<span>same day: {}</span>").format(same))
    return Markup(" ").join(links)


def _link(path: str, target: str, words: str, rel: str = "") -> Markup:
    href = quote(posixpath.relpath(target, posixpath.dirname(path)), safe="/", errors="replace")
    return Markup('<a href="{}"{}>{}</a>').format(href, Markup(' rel="{}"').format(rel) if rel else "", words)
