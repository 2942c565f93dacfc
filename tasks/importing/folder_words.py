"""Whether a folder's label of an image is new, and whether it overrules people's labels.

A folder gives the same labels at every import, so only a changed one is new: an unchanged one does not overrule
labels that people gave since, while a file moved to another folder gives a new label.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from storage.labels.labels import Label, moment_after

BY = "import"
"""annotator of a folder's labels"""


@dataclass(frozen=True)
class Verdict:
    """The outcome for a folder's label."""

    word: Label | None
    """label to write; None if it is not new or is overruled"""
    remark: str | None = None
    """remark: a label changed, or an earlier one stands"""


def verdict(new: Label, before: Sequence[Label]) -> Verdict:
    """`said`: the folder's present label of an image; `before`: all its labels, by time."""
    mine = next((label for label in reversed(before) if label.labelled_by == BY), None)
    latest = before[-1] if before else None
    if latest is None:
        return Verdict(new)
    stands = None if latest.label == new.label else f"stay {latest.label}, as {latest.labelled_by or 'somebody'} said"
    word = replace(new, labelled_at=moment_after(before, new.labelled_at))
    if mine is None:
        return Verdict(None, stands) if stands else Verdict(_with_what_is_known(word, latest))
    if _claim(new, mine) == _claim(mine, mine):
        return Verdict(None, stands)
    if mine.label != new.label:
        return Verdict(word, f"now {_named(new)}, before {_named(latest)}")
    spoken_since = latest.labelled_by != BY
    if spoken_since and (stands or latest.mask_key not in {None, mine.mask_key}):
        return Verdict(None, stands or f"keep the mask that {latest.labelled_by or 'somebody'} drew")
    return Verdict(_with_what_is_known(word, latest), f"now {_detailed(new)}")


def _claim(label: Label, mine: Label) -> tuple[object, ...]:
    """The label's contents; a folder without a mask does not say that there is none."""
    return (
        label.label,
        label.kind,
        label.purpose,
        label.mask_key or (mine.mask_key if label.label == mine.label else None),
    )


def _with_what_is_known(word: Label, latest: Label) -> Label:
    """The label's word, completed by the earlier mask and kind."""
    return replace(word, mask_key=word.mask_key or latest.mask_key, kind=word.kind or latest.kind)


def _named(label: Label) -> str:
    return f"{label.label} ({label.kind})" if label.kind else label.label


def _detailed(label: Label) -> str:
    return f"{_named(label)}, for {label.purpose}, {'with a mask' if label.mask_key else 'without a mask'}"
