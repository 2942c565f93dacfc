"""Puts the automations of automations.yaml on the Prefect server: `python -m flows.deployment.automations [FILE]`."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from prefect.automations import AutomationCore
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.exceptions import ObjectNotFound
from pydantic import ValidationError

from flows.machinery.configured_server import trouble_with_configured
from flows.machinery.prefect_client import configured_url
from flows.printing.output import say
from flows.settings import SettingsError

DEFAULT_FILE = Path("automations.yaml")
USAGE = (
    "python -m flows.deployment.automations [FILE]: put the automations of FILE (automations.yaml) in force on the "
    "Prefect server of PREFECT_API_URL; one of the same name is brought up to date. Before it: prefect deploy --all"
)
_CURES = {
    "deployment": "Make it with `prefect deploy --all`, and run this again.",
    "block": "Make it on the server's pages (Blocks), or with `prefect block create`, and run this again.",
}


@dataclass(frozen=True)
class PutAutomations:
    """What happened to the automations of a file."""

    in_force: tuple[str, ...]
    """names of those created or updated"""
    missing: tuple[tuple[str, str], ...]
    """(name, what the server lacks and the cure) of those left out"""


class _Missing(Exception):
    """The server lacks a deployment or block that an automation needs."""


def put_automations(client: SyncPrefectClient, file: Path) -> PutAutomations:
    """Create the automations of `file`, or update those of the same name.

    The format is Prefect's; besides, an action may give `deployment: <flow>/<name>` for a deployment_id and
    `block: <type>/<name>` for a block_document_id. An automation whose names the server does not have is left out
    and listed. Raises SettingsError, before anything is created, if the file holds no automations.
    """
    in_force, missing = [], []
    for described in _read(file):
        try:
            automation = _resolved(client, described)
        except _Missing as e:
            missing.append((described["name"], str(e)))
            continue
        known = client.read_automations_by_name(automation.name)
        if known:
            client.update_automation(known[0].id, automation)
        else:
            client.create_automation(automation)
        in_force.append(automation.name)
    return PutAutomations(tuple(in_force), tuple(missing))


def _read(file: Path) -> list[dict[str, Any]]:
    """Each has a name and a list of actions; Prefect judges the rest."""
    try:
        described = yaml.safe_load(file.read_text("utf-8"))["automations"]
        names = [(automation["name"], [dict(action) for action in automation["actions"]]) for automation in described]
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as e:
        raise SettingsError(f"{file} cannot be read: {e}. No automation was created.") from e
    except (KeyError, TypeError, ValueError) as e:
        raise SettingsError(
            f"{file} is no list of automations, each with a name and actions, below `automations:`. None was created."
        ) from e
    if not names:
        raise SettingsError(f"{file} names no automation, so none was created.")
    return list(described)


def _resolved(client: SyncPrefectClient, described: dict[str, Any]) -> AutomationCore:
    actions = [_with_ids(client, action) for action in described["actions"]]
    try:
        return AutomationCore.model_validate({**described, "actions": actions})
    except ValidationError as e:
        problems = "; ".join(
            f"{'.'.join(map(str, error['loc']))}: {error['msg']}" for error in e.errors(include_url=False)
        )
        raise SettingsError(f"The automation {described['name']!r} is not one that Prefect takes: {problems}.") from e


def _with_ids(client: SyncPrefectClient, action: dict[str, Any]) -> dict[str, Any]:
    rest = {key: value for key, value in action.items() if key not in ("deployment", "block")}
    for kind in ("deployment", "block"):
        if kind in action:
            try:
                return {**rest, **_id(client, kind, action[kind])}
            except ObjectNotFound as e:
                raise _Missing(f"the {kind} {action[kind]!r} is not on the Prefect server. {_CURES[kind]}") from e
    return rest


def _id(client: SyncPrefectClient, kind: str, name: str) -> dict[str, Any]:
    if kind == "deployment":
        return {"deployment_id": client.read_deployment_by_name(name).id}
    block_type, _, block = name.partition("/")
    return {"block_document_id": client.read_block_document_by_name(block, block_type).id}


def main(arguments: Sequence[str]) -> int:
    """Entry point; at most one argument, the file. Exit code 1 if an automation was left out, 2 for wrong use."""
    if len(arguments) > 1 or any(argument.startswith("-") for argument in arguments):
        say(USAGE)
        return 0 if {"-h", "--help"} & {*arguments} else 2
    if not configured_url():
        say("rd-inspect: PREFECT_API_URL is not set, so there is no server to put automations on. Set it to yours.")
        return 2
    if trouble := trouble_with_configured(or_own=False):
        say(f"rd-inspect: {trouble}")
        return 2
    try:
        with get_client(sync_client=True) as client:
            put = put_automations(client, Path(arguments[0]) if arguments else DEFAULT_FILE)
    except SettingsError as e:
        say(f"rd-inspect: {e}")
        return 2
    for name in put.in_force:
        say(f"{name} is in force")
    for name, why in put.missing:
        say(f"{name} is NOT in force: {why}")
    return 1 if put.missing else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
