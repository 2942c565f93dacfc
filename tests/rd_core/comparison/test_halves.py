"""Halves: whole parts, both labels and all kinds on either side, the same whatever the order."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rd_core.comparison.halves import FEWEST_PARTS, halves_of
from rd_core.comparison.judged_images import JudgedImage
from rd_core.errors import ConfigError
from tests.rd_core.comparison.simulated_comparisons import judged

IMAGES = st.lists(
    st.tuples(st.integers(0, 30), st.sampled_from([None, "hole", "stain"])), min_size=1, max_size=80
).map(lambda rows: [JudgedImage(str(n), f"part {part}", bool(kind), kind) for n, (part, kind) in enumerate(rows)])


@given(IMAGES, st.randoms(use_true_random=False))
def test_whole_parts_lie_on_one_side_whatever_the_order(images, random) -> None:
    halves = halves_of(images, fewest=1)
    assert (halves.choosing ^ halves.reporting).all()
    for half in (halves.choosing, halves.reporting):
        inside = {image.part for image, chosen in zip(images, half, strict=True) if chosen}
        assert all(chosen == (image.part in inside) for image, chosen in zip(images, half, strict=True))
    shuffled = random.sample(range(len(images)), len(images))
    again = halves_of([images[place] for place in shuffled], fewest=1)
    assert np.array_equal(again.choosing, halves.choosing[shuffled])


@given(IMAGES)
def test_parts_that_show_the_same_are_halved_and_those_of_a_label(images) -> None:
    halves = halves_of(images, fewest=1)
    if not halves.both:
        return
    shown, sides = {}, {}
    for image, choosing in zip(images, halves.choosing, strict=True):
        shown.setdefault(image.part, set()).add((image.anomalous, image.kind))
        sides[image.part] = choosing
    counts = Counter((frozenset(content), sides[part]) for part, content in shown.items())
    for content in map(frozenset, shown.values()):
        assert abs(counts[content, True] - counts[content, False]) <= 1
    for anomalous in (True, False):
        of_label = [part for part, content in shown.items() if anomalous in {label for label, _ in content}]
        assert abs(2 * sum(sides[part] for part in of_label) - len(of_label)) <= 1


@given(IMAGES, st.sampled_from([None, "hole", "stain"]))
def test_a_new_part_moves_few_others_to_the_other_half(images, kind) -> None:
    more = [*images, JudgedImage("new", "new part", bool(kind), kind)]
    before, after = halves_of(images, fewest=1), halves_of(more, fewest=1)
    if before.both and after.both:
        moved = before.choosing != after.choosing[:-1]
        assert len({image.part for image, other in zip(images, moved, strict=True) if other}) <= 4


def test_twice_the_labels_leave_nearly_all_parts_in_their_half() -> None:
    few, many = judged(40), judged(80)
    side = {image.part: chooses for image, chooses in zip(many, halves_of(many).choosing, strict=True)}
    moved = sum(side[image.part] != chooses for image, chooses in zip(few, halves_of(few).choosing, strict=True))
    assert moved <= 8, "of 80"


def test_the_sentence_says_what_either_half_has() -> None:
    assert halves_of(judged(40)).sentence == (
        "20 parts with normal and 20 with anomalous images choose; 20 parts with normal and 20 with anomalous images "
        "report."
    )


def test_names_that_are_no_text_divide_too() -> None:
    images = [replace(image, part=f"{image.part}\udcff") for image in judged(40)]
    assert halves_of(images).both


def test_too_few_parts_choose_nothing_and_the_cure_is_told() -> None:
    enough = judged(2 * FEWEST_PARTS)
    assert halves_of(enough).both
    halves = halves_of(enough[:-1])
    assert not halves.choosing.any() and halves.reporting.all() and not halves.both
    assert halves.sentence == (
        "The judged images show 32 parts with normal and 31 with anomalous images: too few to choose a method by one "
        "half and report on the other, which takes 32 of each. Label 1 more with anomalous images for evaluation."
    )
    drawn = halves_of([replace(one, drawn=one.anomalous) for one in enough[:-1]]).sentence
    assert "and 31 with drawn defects" in drawn and "Label 32 more with anomalous images for" in drawn


def test_many_images_of_one_part_are_one_part() -> None:
    one = [replace(image, part="the one good part") if not image.anomalous else image for image in judged(40)]
    halves = halves_of(one)
    assert not halves.both
    assert "1 part with normal and 40 with anomalous images" in halves.sentence
    assert "Label 31 more with normal images for evaluation." in halves.sentence


def test_a_part_that_shows_a_normal_and_a_drawn_defect_stays_whole() -> None:
    normal = [JudgedImage(f"{n}", f"part {n}", False) for n in range(32)]
    drawn = [JudgedImage(f"{n}#drawn", f"part {n}", True, "drawn", 0.01, drawn=True) for n in range(32)]
    halves = halves_of(normal + drawn)
    assert np.array_equal(halves.choosing[:32], halves.choosing[32:])
    assert halves.choosing.sum() == 32


def test_an_image_that_is_there_twice_is_refused() -> None:
    with pytest.raises(ConfigError, match="'good/0' is judged twice"):
        halves_of([*judged(20), judged(20)[0]])


@pytest.mark.parametrize("wrong", [{"kind": "hole"}, {"defect_share": 0.1}, {"drawn": True}])
def test_a_normal_image_with_a_defect_is_refused(wrong) -> None:
    with pytest.raises(ConfigError, match="labelled normal but has a defect"):
        JudgedImage("a", "a", False, **wrong)


@pytest.mark.parametrize("share", [0.0, 1.1, float("nan")])
def test_a_defect_without_a_size_is_refused(share) -> None:
    with pytest.raises(ConfigError, match="no size of a defect"):
        JudgedImage("a", "a", True, defect_share=share)
