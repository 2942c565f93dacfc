"""docs/decisions/: each page has the form, the index lists all numbers, and nothing leads to a page that is gone."""

import re
from pathlib import Path

import pytest

from tests.documents import DOCUMENTS, ROOT

FOLDER = ROOT / "docs" / "decisions"
PAGES = sorted(FOLDER.glob("[0-9]*.md"))
HEADINGS = ["Status", "Context", "Decision", "Consequences"]
MOST_WORDS = 350
ACCEPTED = re.compile(r"Accepted, 2\d{3}-\d{2}-\d{2}\.")
SUPERSEDED = re.compile(r"(?:Superseded|Partly superseded) by \[\d+\]\((?P<page>[^)]+)\)", re.IGNORECASE)
LINKED_ROW = re.compile(
    r"\| \[(?P<number>\d+)\]\((?P<page>[^)]+)\) \| (?P<title>[^|]+) \| (?P<status>[^|]+) \| [^|]+ \|"
)
BARE_ROW = re.compile(r"\| (?P<number>\d+) \| [^|]+ \| (?P<status>[^|]+) \| [^|]+ \|")
REFERENCE = re.compile(r"decisions?/(\d{4})(-[a-z0-9-]+\.md)?|\bdecision \[?(\d+)")
"""a file of the folder, or "decision 31" in prose"""
CODE = (
    "rd_inspect",
    "flows",
    "tasks",
    "rd_core",
    "storage",
    "reports",
    "review",
    "demo",
    "proofs",
    "benchmarks",
    "research",
)
PATH = re.compile(r"`((?:" + "|".join((*CODE, "tests", "deploy")) + r")/[\w./-]*)`")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name[:4])
def test_page_has_the_form(page: Path) -> None:
    text = page.read_text()
    assert text.startswith(f"# {int(page.name[:4])}. ")
    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == HEADINGS
    assert len(text.split()) <= MOST_WORDS
    status = text.partition("## Status\n")[2].strip()
    superseded = SUPERSEDED.match(status)
    assert ACCEPTED.match(status) or superseded
    assert not superseded or (FOLDER / superseded["page"]).is_file()
    assert [name for name in PATH.findall(text) if not (ROOT / name).exists()] == []


def test_index_lists_every_number() -> None:
    index = (FOLDER / "README.md").read_text()
    linked = {row["page"]: row for row in LINKED_ROW.finditer(index)}
    bare = list(BARE_ROW.finditer(index))
    assert list(linked) == [page.name for page in PAGES]
    for page in PAGES:
        row, text = linked[page.name], page.read_text()
        assert text.startswith(f"# {row['number']}. {row['title']}\n")
        assert text.partition("## Status\n")[2].strip().lower().startswith(row["status"])
    superseding = [SUPERSEDED.match(row["status"]) for row in bare]
    assert [
        row["number"] for row, by in zip(bare, superseding, strict=True) if not by or by["page"] not in linked
    ] == []
    numbers = sorted(int(row["number"]) for row in (*linked.values(), *bare))
    assert numbers == list(range(1, len(numbers) + 1))


def test_references_lead_to_pages() -> None:
    files = [
        *DOCUMENTS,
        ROOT / "research" / "LOG.md",
        *(file for room in CODE for file in (ROOT / room).rglob("*.py")),
    ]
    there = {int(page.name[:4]): page.name for page in PAGES}
    gone = [
        f"{file.relative_to(ROOT)}: {match[0]}"
        for file in files
        for match in REFERENCE.finditer(file.read_text())
        if (number := int(match[1] or match[3])) not in there
        or (match[2] and f"{match[1]}{match[2]}" != there[number])
    ]
    assert gone == []
