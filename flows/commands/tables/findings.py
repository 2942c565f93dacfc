"""The tables of `rd-inspect verify` and `rd-inspect gc`."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from flows.printing.numbers import counted
from flows.printing.plain_table import PlainTable, plain_table
from storage.verification.garbage import Leftover
from storage.verification.verification import Verification


def findings_table(verification: Verification) -> PlainTable:
    """One row a finding, errors first."""
    table = plain_table("finding", "where", "what", "consequence", "cure", prose=("what", "consequence", "cure"))
    for finding in verification.findings:
        table.add_row(
            "wrong" if finding.wrong else "note", finding.where, finding.what, finding.consequence, finding.cure
        )
    notes = len(verification.findings) - verification.wrong
    days = f"{counted(verification.partitions, 'complete day')} with {counted(verification.images, 'row')}"
    seen = days if verification.partitions else "No day is complete yet; the rest of the store was"
    found = f"{counted(verification.wrong, 'error')}, {counted(notes, 'note')}"
    table.title = f"{seen} checked: {found if verification.findings else 'nothing is wrong'}"
    return table


def findings_json(verification: Verification) -> dict[str, Any]:
    """The same as JSON values."""
    return {
        "partitions": verification.partitions,
        "images": verification.images,
        "wrong": verification.wrong,
        "findings": [asdict(finding) for finding in verification.findings],
    }


def leftovers_table(leftovers: Sequence[Leftover], *, removed: bool) -> PlainTable:
    """Files to remove, or removed, with their bytes."""
    table = plain_table("what", "key", "objects", "bytes", "last written")
    for leftover in leftovers:
        written = f"{leftover.modified:%Y-%m-%d %H:%M}"
        table.add_row(leftover.what, leftover.key, str(leftover.objects), f"{leftover.size:,}", written)
    size = sum(leftover.size for leftover in leftovers)
    total = f"{counted(len(leftovers), 'left-over')}, {counted(size, 'byte')}"
    table.title = f"Removed: {total}" if removed else f"Would be removed by --yes: {total}"
    return table
