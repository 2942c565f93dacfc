"""The model card: what is kept is what was known, and what is not so is told by its field's name."""

from collections.abc import Callable
from typing import Any

import pytest

from proofs.model_cards import made_up_card
from storage.errors import CorruptObject
from storage.models import card as cards
from storage.stores import checked_json


def changed(change: Callable[[dict[str, Any]], Any]) -> bytes:
    content = checked_json.from_bytes(cards.to_bytes(made_up_card()), "card.json", "a model card")
    change(content)
    return checked_json.to_bytes(content)


def test_a_card_comes_back_as_it_was() -> None:
    card = made_up_card(
        calibration={"scores": (0.5, 1.5), "statistics": {"brightness": (0.1, 0.2)}},
        images={"unreadable": {"k": "cut"}},
    )
    assert cards.from_bytes(cards.to_bytes(card), "card.json") == card


@pytest.mark.parametrize(
    "change, told",
    {
        "a field is gone": (lambda card: card["threshold"].pop("value"), "ModelCard.threshold lacks 'value'"),
        "a field is of no use": (lambda card: card.update(model={}), "ModelCard has 'model', which is unknown"),
        "a number is text": (lambda card: card["threshold"].update(value="high"), "threshold.value is 'high'"),
        "another version": (lambda card: card.update(schema_version=2), "names format 2, and only 1 is known"),
        "no version": (lambda card: card.pop("schema_version"), "lacks 'schema_version'"),
    }.values(),
)
def test_what_is_not_so_is_told_with_its_cure(change: Callable[[dict[str, Any]], Any], told: str) -> None:
    with pytest.raises(CorruptObject, match=told) as refused:
        cards.from_bytes(changed(change), "models/cloth/v1/card.json")
    assert "models/cloth/v1/card.json" in str(refused.value)
    assert any(cure in str(refused.value) for cure in ("Restore", "Read it with"))


def test_a_map_is_held_against_its_own_threshold_where_its_maximum_is_no_score() -> None:
    same, other = made_up_card(), made_up_card(maps={"maximum_is_score": False})
    assert (same.map_threshold, same.defect_peak) == (same.threshold.value, same.threshold.low)
    assert (other.map_threshold, other.defect_peak) == (other.pixel_threshold.value, other.pixel_threshold.value)


def test_the_sets_of_images() -> None:
    images = made_up_card(
        images={
            "train": ("t",), "early_stop": ("e",), "calibration": ("c",), "test": ("x",),
            "duplicates": ("d",), "unreadable": {"u": "cut"}, "set_aside": {"s": "odd"},
        }
    ).images  # fmt: skip
    assert (images.seen, images.used) == (("t", "e", "c", "s"), ("t", "e", "c", "s", "x"))
    assert images.named == ("t", "e", "c", "s", "x", "d", "u")


def test_an_image_that_trained_and_set_the_threshold_is_named_once() -> None:
    images = made_up_card(images={"train": ("t", "b"), "early_stop": ("e",), "calibration": ("b", "e", "t")}).images
    assert images.seen == images.used == images.named == ("t", "b", "e")
