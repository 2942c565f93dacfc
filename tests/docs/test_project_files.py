"""The files by which others find, cite, install and check the project: they agree wherever two say the same."""

import hashlib
import re
import tomllib
from typing import Any

import pytest
import yaml

from tests.documents import ROOT

PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
CITATION: dict[str, Any] = yaml.safe_load((ROOT / "CITATION.cff").read_text())
WORKFLOW: dict[str, Any] = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text())
HOOKS: list[dict[str, Any]] = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"][0]["hooks"]
MAKEFILE = (ROOT / "Makefile").read_text()
PYTHONS = [one.rpartition(" ")[2] for one in PROJECT["classifiers"] if one.startswith("Programming Language")]
APACHE_2 = "cfc7749b96f63bd31c3c42b5c471bf756814053e847c10f3eb003417bc523d30"
"""SHA-256 of the licence's text as the Apache Software Foundation publishes it"""


def recipe(target: str) -> list[str]:
    """The commands of a target of the Makefile."""
    (lines,) = re.findall(rf"^{target}:.*\n((?:\t.*\n)+)", MAKEFILE, re.MULTILINE)
    return [line.strip().replace("$(BIN)", ".venv/bin") for line in lines.splitlines()]


def test_the_licence_is_one() -> None:
    assert PROJECT["license"] == CITATION["license"] == "Apache-2.0"
    assert PROJECT["license-files"] == ["LICENSE"]
    assert hashlib.sha256((ROOT / "LICENSE").read_bytes()).hexdigest() == APACHE_2


def test_the_version_is_one() -> None:
    newest = re.search(r"^## \[(\d+\.\d+\.\d+)\] - (\S+)$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert newest
    assert newest[1] == PROJECT["version"] == CITATION["version"]
    assert newest[2] == CITATION["date-released"].isoformat()


def test_the_pythons_are_the_same_everywhere() -> None:
    assert WORKFLOW["jobs"]["test"]["strategy"]["matrix"]["python"] == PYTHONS
    assert PROJECT["requires-python"] == f">={PYTHONS[0]}"
    found = re.search(r"^PYTHON \?= (.*)$", MAKEFILE, re.MULTILINE)
    assert found
    assert re.findall(r"command -v python([\d.]+)", found[1]) == PYTHONS


def test_the_workflow_runs_what_ci_runs() -> None:
    *_, last = WORKFLOW["jobs"]["test"]["steps"]
    assert last == {"run": "bash .ci/run", "env": {"PYTHON": "python${{ matrix.python }}"}}
    assert re.findall(r"^make (\w+)$", (ROOT / ".ci/run").read_text(), re.MULTILINE) == ["check", "test"]


def test_the_hooks_are_make_check() -> None:
    assert [one["entry"] for one in HOOKS] == recipe("check")
    assert all(one["language"] == "system" and one["pass_filenames"] is False for one in HOOKS)


def test_every_method_has_its_paper() -> None:
    methods = {one.name for one in (ROOT / "rd_core/detectors").iterdir() if (one / "detector.py").exists()}
    assert {re.sub(r'method "(.*)"', r"\1", one["notes"]) for one in CITATION["references"]} == methods
    for one in CITATION["references"]:
        assert one["url"] == f"https://arxiv.org/abs/{one['identifiers'][0]['value'].removeprefix('arXiv:')}"


@pytest.mark.parametrize("package", sorted(path.parent.name for path in ROOT.glob("*/__init__.py")))
def test_every_shipped_package_is_typed(package: str) -> None:
    setuptools = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    assert setuptools["package-data"]["*"] == ["py.typed"]
    shipped = f"{package}*" in setuptools["packages"]["find"]["include"]
    assert (ROOT / package / "py.typed").exists() == shipped
