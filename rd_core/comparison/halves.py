"""Judged images divided by part into a half that chooses and one that reports.

A figure of the method that came out best on some images is too high on the same images: some of its lead is luck. So
one half of the parts chooses, and the other, which nobody has looked at before, says how good the named method is.
"""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rd_core.comparison.judged_images import JudgedImage, check_judged

FEWEST_PARTS = 16
"""with a normal image, and with an anomalous one, in each half. With 16 parts of either label to choose by, a method
with an AUROC of 0.95 beside three of 0.75 is named beyond chance in 59 % of simulated comparisons, with 8 in 7 %;
beside one of 0.85 in 36 % and in 10 % (benchmarks/method_choice.py). With fewer, most differences that matter cannot
be told."""


@dataclass(frozen=True, eq=False)
class Halves:
    """Which of n judged images choose, and which report."""

    choosing: NDArray[np.bool_]
    """[n]; none if there are too few for both"""
    reporting: NDArray[np.bool_]
    """[n], the others"""
    sentence: str
    """how many of each, or what is missing"""

    @property
    def both(self) -> bool:
        """Whether there are enough images for both."""
        return bool(self.choosing.any())


def halves_of(images: Sequence[JudgedImage], fewest: int = FEWEST_PARTS) -> Halves:
    """Divide images by whole parts, with about as many parts of each label and kind of defect on either side.

    Of parts with the same content, those choose whose names have the lower hashes: the result depends on no seed and
    not on the order of the images, and images that are added move few parts to the other half. fewest: parts of each
    label in each half; with fewer, all images report. Raises ConfigError for a key that occurs twice.
    """
    check_judged(images)
    choosing_parts = _lower_halves(_contents(images))
    choosing = np.array([image.part in choosing_parts for image in images], dtype=bool)
    counts = [_parts_by_label(images, half) for half in (choosing, ~choosing)]
    if min(min(by_label) for by_label in counts) < fewest:
        return Halves(np.zeros(len(images), bool), np.ones(len(images), bool), _too_few(images, fewest))
    told = [
        f"{_counted(normal, 'part')} with normal and {anomalous} with anomalous images"
        for normal, anomalous in counts
    ]
    return Halves(choosing, ~choosing, f"{told[0]} choose; {told[1]} report.")


def _contents(images: Sequence[JudgedImage]) -> dict[str, tuple[str, ...]]:
    """What each part shows: its label or both, and its kinds of defect."""
    shown = defaultdict(set)
    for image in images:
        shown[image.part].add(f"anomalous {image.kind or ''}" if image.anomalous else "normal")
    return {part: tuple(sorted(content)) for part, content in shown.items()}


def _lower_halves(contents: Mapping[str, tuple[str, ...]]) -> set[str]:
    """The parts with the lower hashes among those of the same content. An odd number leaves one in the middle: of
    these the lower half among those with the same labels, and of what is left then, every second."""
    lower, middle = _halved(contents)
    more, left = _halved({part: tuple(sorted({word.split()[0] for word in contents[part]})) for part in middle})
    return lower | more | set(left[::2])


def _halved(groups: Mapping[str, tuple[str, ...]]) -> tuple[set[str], list[str]]:
    """(the lower half of each group of parts, the middle one of those with an odd number, in the groups' order)."""
    members = defaultdict(list)
    for part in sorted(groups, key=_hash):
        members[groups[part]].append(part)
    ranked = [members[group] for group in sorted(members)]
    lower = {part for own in ranked for part in own[: len(own) // 2]}
    return lower, [own[len(own) // 2] for own in ranked if len(own) % 2]


def _hash(part: str) -> bytes:
    return hashlib.sha256(part.encode("utf-8", "surrogateescape")).digest()


def _parts_by_label(images: Sequence[JudgedImage], half: NDArray[np.bool_]) -> tuple[int, int]:
    """Parts with a (normal, anomalous) image in a half."""
    chosen = [image for image, inside in zip(images, half, strict=True) if inside]
    return _parts(i for i in chosen if not i.anomalous), _parts(i for i in chosen if i.anomalous)


def _parts(images: Iterable[JudgedImage]) -> int:
    return len({image.part for image in images})


def _too_few(images: Sequence[JudgedImage], fewest: int) -> str:
    normal, anomalous = _parts_by_label(images, np.ones(len(images), bool))
    real = _parts(image for image in images if image.anomalous and not image.drawn)
    # Where one real defect is labelled none is drawn, so drawn ones do not count in what is missing.
    missing = {"normal": 2 * fewest - normal, "anomalous": 2 * fewest - real}
    more = " and ".join(f"{count} more with {label}" for label, count in missing.items() if count > 0)
    shown = "anomalous images" if real == anomalous else "drawn defects"
    return (
        f"The judged images show {_counted(normal, 'part')} with normal and {anomalous} with {shown}: too "
        f"few to choose a method by one half and report on the other, which takes {2 * fewest} of each. "
        + (
            f"Label {more} images for evaluation."
            if more
            else "The kinds of defect do not divide evenly: label a few more parts."
        )
    )


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
