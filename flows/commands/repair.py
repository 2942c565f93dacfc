"""`rd-inspect verify` and `rd-inspect gc`: check a store, and remove what interrupted runs left."""

import json
from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer

from flows.commands.backfill import FormatOption, GridFormat
from flows.commands.frame import (
    DATE_FORMATS,
    DAY,
    CategoriesOption,
    ImagesOption,
    StoreOption,
    day_of,
    plain_errors,
    resolved_store,
)
from flows.errors import RUN_FAILED
from flows.printing.output import print_text, say
from flows.printing.plain_table import print_table


def verify(
    deep: Annotated[bool, typer.Option("--deep", help="Read every byte: score files, maps, weights.")] = False,
    first_day: Annotated[
        datetime | None,
        typer.Option("--from", formats=DATE_FORMATS, metavar=DAY, help="First day; default: the first of all."),
    ] = None,
    last_day: Annotated[
        datetime | None,
        typer.Option("--to", formats=DATE_FORMATS, metavar=DAY, help="Last day, included; default: the last of all."),
    ] = None,
    store: StoreOption = None,
    category: CategoriesOption = None,
    images: ImagesOption = None,
    output_format: FormatOption = GridFormat.TABLE,
) -> None:
    """Check the store for missing, damaged or contradictory files, and say how to repair each.

    It checks every complete day: one row for each image, its maps, its manifest, its model. It also checks
    champions, labels, images that came late, changed or are gone, and what interrupted runs left behind. `--deep`
    reads every byte: digests of score files and weights, and each map's maximum against its score. Nothing is
    changed. Exit code 1 if something is wrong; notes alone end with 0.

    Examples:

    * `rd-inspect verify`
    * `rd-inspect verify --deep --from 2026-11-15`

    Next: `rd-inspect backfill --mend` scores damaged batches anew; `rd-inspect gc` removes what is left over.
    """
    with plain_errors():
        from flows.commands.frame import first_then_count
        from flows.commands.tables.findings import findings_json, findings_table
        from flows.preflight.checks import checked_settings, refuse_reversed
        from storage.filesystem import open_store
        from storage.verification.verification import Scope
        from storage.verification.verification import verify as hold_against_itself

        days = (day_of(first_day), day_of(last_day))
        settings = checked_settings(store, category, images=images, days=days)
        refuse_reversed(*days)
        line = open_store(settings.images, read_only=True)
        scope = Scope(*days, tuple(category or ()), deep)
        with first_then_count(say) as tell:
            verification = hold_against_itself(open_store(settings.store), line, scope, tell=tell)
        if output_format is GridFormat.JSON:
            print_text(json.dumps(findings_json(verification), indent=2) + "\n")
        else:
            print_table(findings_table(verification))
        if verification.wrong:
            raise typer.Exit(RUN_FAILED)


def gc(
    older_than: Annotated[
        float, typer.Option("--older-than", min=0, metavar="DAYS", help="Leave files written in the last DAYS days.")
    ],
    maps_older_than: Annotated[
        float | None,
        typer.Option(
            "--maps-older-than", min=0, metavar="DAYS",
            help="Also remove the anomaly maps of older production days; their scores stay.",
        ),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Remove the files; default: only show them.")] = False,
    store: StoreOption = None,
) -> None:  # fmt: skip
    """Remove files of interrupted runs that no complete day uses.

    These are score files, maps and manifests of runs that never finished, temporary files, and trainings and
    comparisons that nobody continued. Scores of complete days, seals and models are never removed, nor any file that
    a damaged, shortened or lost seal could mean; what stays for this reason is listed.

    Without `--yes`, only the list of files is shown. If any other file of a day is younger than DAYS, a run may be
    at work, and the whole day is left. Choose more DAYS than an interrupted run may wait for its continuation: 7
    is safe for most plants.

    Example:

    * `rd-inspect gc --older-than 7`

    Next: `rd-inspect gc --older-than 7 --yes` removes what was shown.
    """
    with plain_errors():
        from flows.commands.tables.findings import leftovers_table
        from storage.filesystem import open_store
        from storage.verification.comparisons import find_old_comparisons
        from storage.verification.garbage import (
            find_expired_maps,
            find_old_temporaries,
            find_old_trainings,
            find_unsealed,
            removable,
            remove_leftovers,
        )

        opened, now = open_store(resolved_store(store)), datetime.now(UTC)
        opened.check()
        age = timedelta(days=older_than)
        seen = find_unsealed(opened)
        leftovers = removable(seen.leftovers, now=now, older_than=age)
        leftovers += find_old_temporaries(opened, now=now, older_than=age)
        leftovers += find_old_trainings(opened, now=now, older_than=age)
        leftovers += find_old_comparisons(opened, now=now, older_than=age)
        if maps_older_than is not None:
            leftovers += find_expired_maps(opened, before=(now - timedelta(days=maps_older_than)).date())
        removed = remove_leftovers(opened, leftovers, now=now, older_than=age) if yes else leftovers
        print_table(leftovers_table(removed, removed=yes))
        for kept in seen.kept:
            stays = "It stays" if kept.whole else "All of that day stays"
            say(f"{kept.category} {kept.run_date}: {kept.why}. {stays}; rd-inspect verify names the cure.")
        if leftovers and not yes:
            say("Nothing was removed. Give --yes to remove it.")
