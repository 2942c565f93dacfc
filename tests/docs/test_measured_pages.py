"""The pages with figures say what the records below benchmarks/results say."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.documents import ROOT

PAGES = ("docs/benchmarks.md", "README.md", "docs/methods.md")


def tables(*arguments: object) -> "subprocess.CompletedProcess[str]":
    """A process: tests import nothing from benchmarks."""
    command = [sys.executable, "-m", "benchmarks.tables", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder with copies of the pages."""
    for page in PAGES:
        (tmp_path / page).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / page, tmp_path / page)
    return tmp_path


def test_the_pages_are_what_the_records_say() -> None:
    done = tables("--check")
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_figures_changed_by_hand_are_told_page_by_page(root: Path) -> None:
    for page in PAGES:
        text = (root / page).read_text()
        before, mark, measured = text.partition("# Benchmarks" if page == PAGES[0] else "<!-- measured -->")
        changed, count = re.subn(r"\b0\.\d\d\d\b", "0.123", measured, count=1)
        assert count == 1
        (root / page).write_text(before + mark + changed)
    done = tables("--check", "--root", root)
    told = "is not what the records say. Run make tables, and change no figure by hand."
    assert (done.returncode, done.stdout.splitlines()) == (1, [f"{page} {told}" for page in PAGES])


def test_the_readme_says_what_a_retraining_gained() -> None:
    figures = json.loads((ROOT / "benchmarks/results/lasting_light.json").read_text())["figures"]
    alarms, good = (int(figures["after the retraining"][name]["median"]) for name in ("false_alarms", "good"))
    assert f"{alarms} of {good} do" in " ".join((ROOT / "README.md").read_text().split())


def test_rendering_again_changes_nothing_and_mends_a_page(root: Path) -> None:
    (root / PAGES[0]).write_text("")
    assert tables("--root", root).returncode == 0
    assert [(root / page).read_text() for page in PAGES] == [(ROOT / page).read_text() for page in PAGES]


def test_records_of_two_machines_are_refused(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "benchmarks/results", tmp_path / "results")
    record = next((tmp_path / "results").rglob("*.json"))
    record.write_text(record.read_text().replace('"cores": 2', '"cores": 64'))
    done = tables("--check", "--results", tmp_path / "results")
    assert done.returncode == 1
    assert "2 machines" in done.stderr
