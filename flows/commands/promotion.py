"""`rd-inspect promote` and `rd-inspect rollback`: a person chooses the champion."""

import getpass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from flows.commands.frame import StoreOption, plain_errors, resolved_store
from flows.printing.output import say

if TYPE_CHECKING:
    from storage.records import Champion
    from storage.stores.store import Store

CategoryOption = Annotated[str, typer.Option("--category", metavar="NAME", help="Category of the model.")]
ByOption = Annotated[
    str | None,
    typer.Option("--by", metavar="WHO", help="Who decides, kept with the change; default: your login name."),
]


def promote(
    category: CategoryOption,
    version: Annotated[
        str, typer.Option("--version", metavar="V", help="Model version, as listed by rd-inspect models.")
    ],
    store: StoreOption = None,
    by: ByOption = None,
) -> None:
    """Make a model version the champion of its category, from the next run on.

    Runs under way keep the model they began with. `rd-inspect retrain` promotes by itself when its gate
    allows it; by hand you overrule the gate, and its words against the version are kept with the promotion, for
    `rd-inspect models --history` to show. Damaged weights are refused, and so is a
    change that conflicts with one that somebody else has just made.

    Example:

    * `rd-inspect promote --category cloth --version 20261121T020000Z-8a13af72`

    Next: `rd-inspect rollback --category cloth` undoes it.
    """
    with plain_errors():
        from storage.models import models

        opened = _opened(store)
        _refuse_unknown(opened, category, version)
        _refuse_other_preprocessing(opened, category, version)
        before = models.read_champion(opened, category)
        expected = before.version if before else None
        overruled = _gate_against(opened, category, version)
        champion = models.promote(
            opened, category, version,
            by=login_name(by), now=datetime.now(UTC), expected=expected, overruled=overruled,
        )  # fmt: skip
        _tell(category, champion, expected)
        if overruled and version != expected:
            say(f"Kept with this promotion, against which the gate had decided: {overruled}")


def rollback(
    category: CategoryOption,
    version: Annotated[
        str | None,
        typer.Option("--version", metavar="V", help="An earlier champion; default: the last before this one."),
    ] = None,
    store: StoreOption = None,
    by: ByOption = None,
) -> None:
    """Make an earlier champion the champion again, from the next run on.

    Runs under way keep the model they began with. A second rollback goes one champion further back, never to one
    that was rolled back from. Nothing is deleted: `rd-inspect models --history` shows all changes, and
    `rd-inspect promote` makes the newer version champion again. Scores of earlier nights stay;
    `rd-inspect inspect` scores such a day anew.

    Example:

    * `rd-inspect rollback --category cloth`

    Next: `rd-inspect models --history` shows the champion; `rd-inspect inspect --run-date 2026-11-21` scores a day
    anew.
    """
    with plain_errors():
        from storage.models import models

        opened = _opened(store)
        if version is not None:
            _refuse_unknown(opened, category, version)
        target = version or models.version_before(opened, category)
        if target is not None:
            _refuse_other_preprocessing(opened, category, target)
        before = models.read_champion(opened, category)
        champion = models.rollback(opened, category, by=login_name(by), now=datetime.now(UTC), version=version)
        _tell(category, champion, before.version if before else None)


def _opened(store: str | None) -> "Store":
    from storage.filesystem import open_store

    opened = open_store(resolved_store(store))
    opened.check()
    return opened


def _refuse_unknown(store: "Store", category: str, version: str) -> None:
    """Refuse a misspelt category or version."""
    from flows.settings import nearest
    from storage.models.models import list_model_categories, list_versions

    known = list_versions(store, category)
    if not known:
        raise typer.BadParameter(
            f"{category!r} has no model{nearest(category, list_model_categories(store))} Nothing was changed."
        )
    if version not in known:
        raise typer.BadParameter(
            f"{category!r} has no model {version!r}{nearest(version, known)} Nothing was changed. "
            f"See: rd-inspect models --category {category}"
        )


def _refuse_other_preprocessing(store: "Store", category: str, version: str) -> None:
    """Refuse a version that could score nothing, so that every night would fail."""
    from storage.models.models import read_card
    from tasks.worker.preprocessing import OtherPreprocessing, check_preprocessing

    try:
        check_preprocessing(read_card(store, category, version))
    except OtherPreprocessing as e:
        raise typer.BadParameter(f"{e} Nothing was changed.") from e


def _gate_against(store: "Store", category: str, version: str) -> str | None:
    """The gate's words against the version; None if it was not refused."""
    from storage.models.models import read_decision

    decision = read_decision(store, category, version)
    if decision is None or decision.get("promote"):
        return None
    return f"Compared with {decision.get('champion')}: {decision.get('words')}"


def login_name(given: str | None) -> str:
    """`given`, else the login name. Raises BadParameter if the machine knows none."""
    if given:
        return given
    try:
        return getpass.getuser()
    except (KeyError, ImportError, OSError) as e:  # the user has no name, as in many containers
        raise typer.BadParameter(
            "this machine does not know your login name, so nothing was changed. Give --by NAME."
        ) from e


def _tell(category: str, champion: "Champion", before: str | None) -> None:
    if champion.version == before:
        since = f"{champion.since:%Y-%m-%d %H:%M} UTC by {champion.by}"
        say(f"{category}: {champion.version} is in force since {since}; nothing was changed.")
        return
    say(f"{category}: {champion.version} is in force now, {f'in place of {before}' if before else 'the first one'}.")
    if before:
        undo = f"promote --category {category} --version {before}"
        say(f"To undo: rd-inspect {undo if champion.rolled_back_from else f'rollback --category {category}'}")
