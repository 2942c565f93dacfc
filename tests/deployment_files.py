"""The files below deploy/, as their tools read them."""

import re
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[1]
DEPLOY = ROOT / "deploy"
INSTALLED = "/opt/rd-inspect"
"""where the units look for the repository"""


def unit(name: str) -> dict[str, list[str]]:
    """Every setting of a systemd unit: its values in their order; an unknown section has nobody to read it."""
    found: defaultdict[str, list[str]] = defaultdict(list)
    for line in (DEPLOY / "systemd" / name).read_text().splitlines():
        setting, equals, value = line.partition("=")
        if equals and not line.startswith("#"):
            found[setting].append(value)
    return dict(found)


def unit_command(name: str, environment: Mapping[str, str], instance: str = "1") -> list[str]:
    """What the unit starts, as systemd splits it: `${NAME}` is one word, `%i` the instance, `%H` the host's name."""
    (line,) = unit(name)["ExecStart"]
    words = line.replace("%i", instance).replace("%H", "host").split()
    return [re.sub(r"\$\{(\w+)\}", lambda found: environment[found[1]], word) for word in words]


def environment_file(path: Path) -> dict[str, str]:
    """NAME=value lines; what is commented out is left out."""
    lines = (line.partition("=") for line in path.read_text().splitlines() if line and not line.startswith("#"))
    return {name: value for name, _, value in lines}


def composed(name: str, environment: Mapping[str, str]) -> dict[str, Any]:
    """A compose file after its variables are put in: `${A}`, `${A:-default}` and `${A:?why it must be there}`."""

    def value(found: re.Match[str]) -> str:
        given = environment.get(found[1], "")
        if not given and found[2] == ":?":
            raise KeyError(f"{found[1]}: {found[3]}")
        return given or (found[3] if found[2] == ":-" else "")

    def filled(node: Any) -> Any:
        if isinstance(node, dict):
            return {key: filled(inner) for key, inner in node.items()}
        if isinstance(node, list):
            return [filled(inner) for inner in node]
        if isinstance(node, str):
            return re.sub(r"\$\{(\w+)(?:(:[-?])([^}]*))?\}", value, node)
        return node

    return dict(filled(yaml.safe_load((DEPLOY / name).read_text())))
