"""What the Prefect server does by itself, from automations.yaml: `python -m flows.automations [FILE]`."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from prefect.automations import AutomationCore
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.exceptions import ObjectNotFound
from rich.console import Console

from flows.settings import SettingsError

DEFAULT_FILE = Path("automations.yaml")


def put_automations(client: SyncPrefectClient, file: Path) -> list[str]:
    """Create the automations of `file`, or bring those of the same name up to date; their names.

    Each is as Prefect has it, but an action may give `deployment: <flow>/<name>` in place of a deployment_id and
    `block: <type>/<name>` in place of a block_document_id. Raises SettingsError if one of these is not on the server;
    then nothing is created.
    """
    wanted = [_resolved(client, one) for one in yaml.safe_load(file.read_text("utf-8"))["automations"]]
    for automation in wanted:
        known = client.read_automations_by_name(automation.name)
        if known:
            client.update_automation(known[0].id, automation)
        else:
            client.create_automation(automation)
    return [automation.name for automation in wanted]


def _resolved(client: SyncPrefectClient, described: dict[str, Any]) -> AutomationCore:
    actions = [_with_ids(client, action) for action in described["actions"]]
    return AutomationCore.model_validate({**described, "actions": actions})


def _with_ids(client: SyncPrefectClient, action: dict[str, Any]) -> dict[str, Any]:
    rest = {key: value for key, value in action.items() if key not in ("deployment", "block")}
    try:
        if "deployment" in action:
            return {**rest, "deployment_id": client.read_deployment_by_name(action["deployment"]).id}
        if "block" in action:
            kind, _, name = action["block"].partition("/")
            return {**rest, "block_document_id": client.read_block_document_by_name(name, kind).id}
    except ObjectNotFound as e:
        missing = action.get("deployment") or action.get("block")
        raise SettingsError(
            f"{missing!r} is not on the Prefect server {client.api_url}, so no automation was created. Run `prefect "
            "deploy --all` for deployments; make blocks with `prefect block create` or in the server's pages."
        ) from e
    return rest


def main(arguments: Sequence[str]) -> None:
    """Entry point: at most one argument, the file."""
    file = Path(arguments[0]) if arguments else DEFAULT_FILE
    with get_client(sync_client=True) as client:
        for name in put_automations(client, file):
            Console().print(f"{name} is in force", highlight=False)


if __name__ == "__main__":
    main(sys.argv[1:])
