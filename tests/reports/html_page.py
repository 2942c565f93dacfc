"""A report's page, taken apart."""

import re
from html.parser import HTMLParser

_VOID = {"meta", "img", "br", "wbr"}


class Page(HTMLParser):
    """What stands in a page; parsing fails if an element is not closed in order."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(html)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in _VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self._open.pop() == tag

    def handle_data(self, data):
        self.text += data

    def all(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]


def words(html: str) -> str:
    """Its text, as one line."""
    return re.sub(r"[ \n]+", " ", Page(html).text).strip()
