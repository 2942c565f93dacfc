"""Links between the pages, and from code to pages: files are there, headings are named as GitHub names them."""

import re
from functools import cache
from pathlib import Path

import pytest

from tests.documents import ROOT

PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("[a-z_]*/*.md")])
ROOMS = sorted({path.parent.name for path in ROOT.glob("*/__init__.py")} | {"tests", "deploy"})
CODE = sorted(
    path
    for room in ROOMS
    for path in (ROOT / room).rglob("*")
    if path.is_file() and path.suffix != ".pyc" and path != Path(__file__).resolve()
) + [ROOT / name for name in ("Makefile", "pyproject.toml", "prefect.yaml", "automations.yaml", "CITATION.cff")]
_FENCE = re.compile(r"^ *(`{3,})[^\n]*\n.*?^ *\1`*$", re.DOTALL | re.MULTILINE)
_CODE = re.compile(r"(`+)(?!`).+?(?<!`)\1(?!`)", re.DOTALL)
_LINK = re.compile(
    r"\]\(\s*<?([^\s)>]+)|^ *\[[^\]]+\]:\s*<?(\S+?)>?$|<(?:a|img)\s[^>]*?(?:href|src)=\"([^\"]+)", re.MULTILINE
)
_ELSEWHERE = re.compile(r"[a-z][a-z0-9+.-]*:", re.IGNORECASE)
_NAMED_PAGE = re.compile(
    r"(?<![\w/.-])(docs/[\w./-]*\w|research/LOG\.md|(?:README|ARCHITECTURE|CHANGELOG|CONTRIBUTING|SECURITY)\.md)"
    r"(#[\w-]+)?"
)
_NAMED_FILE = re.compile(rf"`((?:{'|'.join([*ROOMS, 'docs'])})/[\w./-]*\w)/?`")


def links(page: Path) -> list[str]:
    """The targets of a page's links and pictures, those in code left out."""
    text = _CODE.sub("", _FENCE.sub("", page.read_text()))
    return [next(filter(None, groups)) for groups in _LINK.findall(text)]


@cache
def anchors(page: Path) -> frozenset[str]:
    """What may stand behind the # of a link to the page, by GitHub's rules."""
    text = _FENCE.sub("", page.read_text())
    seen: dict[str, int] = {}
    named = set(re.findall(r"<a\s[^>]*?(?:id|name)=\"([^\"]+)", text))
    for heading in re.findall(r"^ {0,3}#{1,6}\s+(.+?)\s*#*$", text, re.MULTILINE):
        shown = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", heading)
        slug = re.sub(r"[^\w\- ]", "", shown.lower()).replace(" ", "-")
        count = seen[slug] = seen.get(slug, -1) + 1
        named.add(f"{slug}-{count}" if count else slug)
    return frozenset(named)


def fault(target: str, folder: Path, page: Path) -> str | None:
    """What is wrong with a link of `page`, whose relative targets begin at `folder`; None if nothing is."""
    name, _, anchor = target.partition("#")
    leads_to = (folder / name).resolve() if name else page
    if not leads_to.is_relative_to(ROOT):
        return f"{target}: outside of the repository"
    if not leads_to.exists():
        return f"{target}: no such file"
    if anchor and (leads_to.suffix != ".md" or anchor not in anchors(leads_to)):
        return f"{target}: no such heading"
    return None


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    targets = [one for one in links(page) if not _ELSEWHERE.match(one)]
    assert [one for one in (fault(target, page.parent, page) for target in targets) if one] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_no_page_has_marks_of_a_conflict(page: Path) -> None:
    assert re.findall(r"^(?:<{7}|={7}|>{7})(?: .*)?$", page.read_text(), re.MULTILINE) == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_file_that_a_page_names_is_there(page: Path) -> None:
    names = set(_NAMED_FILE.findall(_FENCE.sub("", page.read_text())))
    assert sorted(name for name in names if not list(ROOT.glob(f"{name}*"))) == []


def test_every_page_that_code_names_is_there() -> None:
    faults = []
    for path in CODE:
        try:
            text = path.read_text()
        except UnicodeDecodeError:
            continue  # a picture
        for name, anchor in _NAMED_PAGE.findall(text):
            found = list(ROOT.glob(f"{name}*"))  # a decision may be named by its number
            wrong = fault(f"{found[0].relative_to(ROOT)}{anchor}", ROOT, path) if len(found) == 1 else "no such page"
            faults += [f"{path.relative_to(ROOT)}: {name}{anchor}: {wrong}"] if wrong else []
    assert faults == []


def test_headings_are_named_as_github_names_them(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "# Tried, and not\n## `query`: SQL & *more*\n### A [link](x.md) in snake_case\n## Größe 10^8\n"
        '## Same\n## Same\n```\n# a comment\n```\n<a id="by-hand"></a>\n[a](b.md) `[no](c.md)` ![d](e.png)\n'
    )
    assert anchors(page) == {
        "tried-and-not", "query-sql--more", "a-link-in-snake_case", "größe-108", "same", "same-1", "by-hand",
    }  # fmt: skip
    assert links(page) == ["x.md", "b.md", "e.png"]
    assert fault("#same-1", tmp_path, page) == "#same-1: outside of the repository"
