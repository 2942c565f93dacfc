"""What `rd-inspect verify` and `rd-inspect gc` print."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from flows.printing.plain_table import PlainTable, plain_table
from storage.verification.garbage import Leftover
from storage.verification.verification import Verification


def findings_table(found: Verification) -> PlainTable:
    """A finding a row, wrong ones first."""
    table = plain_table("finding", "where", "what", "consequence", "cure", prose=("what", "consequence", "cure"))
    for finding in found.findings:
        table.add_row(
            "wrong" if finding.wrong else "note", finding.where, finding.what, finding.consequence, finding.cure
        )
    notes = len(found.findings) - found.wrong
    seen = f"{found.partitions} complete days with {found.images:,} rows looked at"
    table.title = f"{seen}: {found.wrong} wrong, {notes} to note" if found.findings else f"{seen}: nothing is wrong"
    return table


def findings_json(found: Verification) -> dict[str, Any]:
    """The same as JSON values."""
    return {
        "partitions": found.partitions,
        "images": found.images,
        "wrong": found.wrong,
        "findings": [asdict(finding) for finding in found.findings],
    }


def leftovers_table(leftovers: Sequence[Leftover], *, removed: bool) -> PlainTable:
    """What is or was removed, with its bytes."""
    table = plain_table("what", "key", "objects", "bytes", "last written")
    for leftover in leftovers:
        written = f"{leftover.modified:%Y-%m-%d %H:%M}"
        table.add_row(leftover.what, leftover.key, str(leftover.objects), f"{leftover.size:,}", written)
    total = f"{len(leftovers)} left-overs, {sum(leftover.size for leftover in leftovers):,} bytes"
    table.title = f"Removed: {total}" if removed else f"Would be removed by --yes: {total}"
    return table
