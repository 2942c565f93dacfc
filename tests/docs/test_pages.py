"""Tables and drawings of the pages, held against the code that they describe."""

import ast
import re
import tomllib
from dataclasses import MISSING, fields
from typing import Any

import pytest

from flows.category_settings import CategorySettings
from flows.settings import PlantSettings
from rd_core.detectors.registry import METHODS, settings_class
from rd_core.detectors.reverse_distillation.settings import TrainingSettings
from rd_core.drift.settings import DriftSettings
from storage.partitions.scores import SCHEMA
from tests.documents import CLI, ROOT

SETTINGS = (ROOT / "docs/settings.md").read_text()
PACKAGES = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["root_packages"]


def section(text: str, heading: str) -> str:
    """What stands below a heading, up to the next one of any level."""
    return re.split(r"^#.*\n", text.split(f"\n{heading}\n")[1], flags=re.MULTILINE)[0]


def first_cells(text: str) -> list[str]:
    """The names in the first cells of a table's rows."""
    return [
        name for cell in re.findall(r"^\| (`[^|]*) \|", text, re.MULTILINE) for name in re.findall(r"`(\w+)`", cell)
    ]


def on_the_page(heading: str) -> dict[str, Any]:
    """Settings and defaults of a table; the value of a default is written as TOML has it, or as `none`."""
    rows = re.findall(r"^\| `(\w+)` \| `?([^|`]+)`? \|", section(SETTINGS, heading), re.MULTILINE)
    return {name: None if value == "none" else tomllib.loads(f"x = {value}")["x"] for name, value in rows}


def in_the_code(record: Any) -> dict[str, Any]:
    """Settings and defaults of a dataclass or a pydantic model, tuples as lists."""
    if hasattr(record, "model_fields"):
        defaults = {name: field.default for name, field in record.model_fields.items() if name != "tables"}
    else:
        defaults = {field.name: field.default for field in fields(record) if field.default is not MISSING}
    return {name: list(value) if isinstance(value, tuple) else value for name, value in defaults.items()}


@pytest.mark.parametrize(
    ("heading", "record"),
    [("## The plant", PlantSettings), ("## A category", CategorySettings), ("## Drift", DriftSettings)],
)
def test_the_page_has_every_setting_and_its_default(heading: str, record: Any) -> None:
    assert on_the_page(heading) == in_the_code(record)


@pytest.mark.parametrize("method", METHODS)
def test_the_page_has_every_setting_of_a_method_and_its_default(method: str) -> None:
    settings = settings_class(method)
    known = in_the_code(settings) | (in_the_code(TrainingSettings) if "recipe" in settings.table_names() else {})
    page = on_the_page("## A method") | on_the_page(f"### {method}")
    assert page == {name: known[name] for name in settings.table_names()}


def test_the_page_has_every_column_of_the_scores() -> None:
    text = (ROOT / "docs/store.md").read_text()
    assert sorted(first_cells(section(text, "## Columns of `scores`"))) == sorted(SCHEMA.names)


def test_the_page_has_every_command() -> None:
    text = (ROOT / "docs/nights.md").read_text()
    assert sorted(first_cells(section(text, "## Commands"))) == sorted(CLI.commands)


def test_the_drawing_of_the_house_has_every_import() -> None:
    drawn = re.findall(
        r"^ +(\w+) --> (\w+)$", section((ROOT / "ARCHITECTURE.md").read_text(), "## Packages"), re.MULTILINE
    )
    imported = {(package, other) for package in PACKAGES for other in imports_of(package)}
    assert set(drawn) <= imported
    reached = set(drawn)
    for _ in PACKAGES:
        reached |= {(upper, lower) for upper, middle in reached for other, lower in drawn if middle == other}
    assert imported <= reached


def imports_of(package: str) -> set[str]:
    """Other packages of the house that its modules import."""
    names: set[str] = set()
    for path in (ROOT / package).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                names |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                names.add(node.module.partition(".")[0])
    return names & set(PACKAGES) - {package}


def test_readme_is_read_in_a_minute() -> None:
    text = (ROOT / "README.md").read_text()
    assert len(text.split()) <= 700 and text.count("![") <= 4
