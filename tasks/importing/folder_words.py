"""Whether what a folder says of an image is new, and whether it holds against what people said.

A folder says the same every time it is brought in: only what it says anew is a word. Where it still says good, or
still says defect, the words that people said since stand; where a file was moved from one to the other, somebody
decided so since, and the new word holds.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from storage.labels.labels import Label, moment_after

BY = "import"
"""who says what a folder says"""


@dataclass(frozen=True)
class Verdict:
    """What becomes of a folder's word."""

    word: Label | None
    """to be written; None if it was said before, or if people's word stands against it"""
    remark: str | None = None
    """what somebody should know: that a word changed, or that one stands"""


def verdict(said: Label, before: Sequence[Label]) -> Verdict:
    """`said`: the folder's word of one image, now; `before`: all words on that image, by time."""
    mine = next((label for label in reversed(before) if label.labelled_by == BY), None)
    latest = before[-1] if before else None
    if latest is None:
        return Verdict(said)
    stands = (
        None if latest.label == said.label else f"stay {latest.label}, as {latest.labelled_by or 'somebody'} said"
    )
    word = replace(said, labelled_at=moment_after(before, said.labelled_at))
    if mine is None:
        return Verdict(None, stands) if stands else Verdict(_with_what_is_known(word, latest))
    if _claim(said, mine) == _claim(mine, mine):
        return Verdict(None, stands)
    if mine.label != said.label:
        return Verdict(word, f"now {_named(said)}, before {_named(latest)}")
    spoken_since = latest.labelled_by != BY
    if spoken_since and (stands or latest.mask_key not in {None, mine.mask_key}):
        return Verdict(None, stands or f"keep the mask that {latest.labelled_by or 'somebody'} drew")
    return Verdict(_with_what_is_known(word, latest), f"now {_detailed(said)}")


def _claim(label: Label, mine: Label) -> tuple[object, ...]:
    """What the label says; a folder without a mask does not say that there is none."""
    return (
        label.label,
        label.kind,
        label.purpose,
        label.mask_key or (mine.mask_key if label.label == mine.label else None),
    )


def _with_what_is_known(word: Label, latest: Label) -> Label:
    """The word of the same label, with the mask and kind that it does not name itself."""
    return replace(word, mask_key=word.mask_key or latest.mask_key, kind=word.kind or latest.kind)


def _named(label: Label) -> str:
    return f"{label.label} ({label.kind})" if label.kind else label.label


def _detailed(label: Label) -> str:
    return f"{_named(label)}, for {label.purpose}, {'with a mask' if label.mask_key else 'without a mask'}"
