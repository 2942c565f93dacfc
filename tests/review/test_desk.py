"""What the reviewer gets to see, and what becomes of what they say."""

import io
import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from proofs.model_cards import made_up_card
from rd_core.pictures.crop import Crop
from rd_core.pictures.ignored_regions import Ignore
from rd_core.pictures.image_view import ImageView
from review import ledger, sealed_rows
from review.desk import Desk, WrongRequest, reviewer_name
from review.pictures import ImageChanged
from review.selection import Selection
from storage.errors import KeyNotFound, TransientFault
from storage.filesystem import LocalStore
from storage.labels import labels
from storage.labels.labels import Label, append_label, read_label_history, read_labels, write_labels
from storage.layout import card_key, seal_key
from storage.models.card import to_bytes
from tests.review.night import NOW, SIDE, THRESHOLD, Scored, png, put_night
from tests.storage.faulty_store import FaultyStore


def names(answer: dict) -> list[str]:
    return [row["key"].rpartition("/")[2] for row in answer["rows"]]


def to_label(desk: Desk, reviewer: str = "ann", category: str | None = None) -> dict:
    return desk.page(Selection(category=category), reviewer, 20, 0)


def queue(desk: Desk, reviewer: str = "ann", category: str | None = None) -> list[str]:
    return names(to_label(desk, reviewer, category))


def say(desk: Desk, key: str, word: str, reviewer: str = "ann", kind: str | None = None) -> dict:
    return desk.add_label({"key": key, "etag": desk.row(key).etag, "word": word, "kind": kind}, reviewer)


def history(store: LocalStore, category: str = "cloth") -> list[Label]:
    return labels.to_labels(read_label_history(store, category))


def test_flagged_and_borderline_images_the_nearest_to_the_threshold_first(desk: Desk) -> None:
    answer = to_label(desk)
    assert names(answer) == ["near.png", "borderline.png", "far.png"]
    assert answer["count"] == 3
    assert [row["flagged"] for row in answer["rows"]] == [True, False, True]
    first = answer["rows"][0]
    assert (first["score"], first["threshold"], first["p_value"], first["model"]) == ("1.05", "1", "0.020", "v1")
    assert (first["day"], first["area"], first["mine"], first["words"]) == ("2026-03-02", "6.2\u202f%", None, [])


def test_pages_of_the_queue(desk: Desk) -> None:
    pages = [desk.page(Selection(), "ann", 2, offset) for offset in (0, 2, 4)]
    assert [names(page) for page in pages] == [["near.png", "borderline.png"], ["far.png"], []]
    assert [page["count"] for page in pages] == [3, 3, 3]


def test_what_a_reviewer_has_labelled_leaves_their_queue_alone(desk: Desk, keys: dict[str, str]) -> None:
    say(desk, keys["near.png"], "normal")
    say(desk, keys["far.png"], "unsure")
    assert queue(desk) == ["borderline.png"]
    # Nobody has decided two of them; the decided one comes last.
    assert queue(desk, "bob") == ["borderline.png", "far.png", "near.png"]
    say(desk, keys["near.png"], "anomalous", "bob")
    assert queue(desk, "eve") == ["near.png", "borderline.png", "far.png"]
    assert [found.image_key for found in desk.contradictions(None)] == [keys["near.png"]]


def test_a_label_tells_who_when_and_what_they_saw(desk: Desk, store: LocalStore, keys: dict[str, str]) -> None:
    told = say(desk, keys["far.png"], "anomalous", kind=" dent ")
    [label] = history(store)
    assert (label.label, label.kind, label.labelled_by, label.purpose) == ("anomalous", "dent", "ann", "training")
    assert (label.model_version, label.score) == ("v1", 2.0)
    assert told.pop("row")["mine"] == "anomalous"
    told_of = {"word": "anomalous", "kind": "dent", "purpose": "training"}
    assert told == {"labelled_at": label.labelled_at.isoformat(), **told_of}
    assert to_label(desk, "bob")["kinds"] == ["dent"]
    assert desk.image(keys["far.png"], "ann")["mine"] == "anomalous"


def test_an_image_keeps_its_purpose_and_a_defect_its_mask(
    desk: Desk, store: LocalStore, keys: dict[str, str]
) -> None:
    before = Label(keys["far.png"], "anomalous", "labels/cloth/masks/m.png", "import", NOW, "dent", "evaluation")
    write_labels(store, "cloth", [before], "import")
    say(desk, keys["far.png"], "normal")
    say(desk, keys["far.png"], "anomalous", "bob")
    say(desk, keys["far.png"], "anomalous", "eve", kind="hole")
    words = history(store)[1:]
    assert [(word.label, word.mask_key, word.kind, word.purpose) for word in words] == [
        ("normal", None, None, "evaluation"),
        ("anomalous", before.mask_key, "dent", "evaluation"),
        ("anomalous", before.mask_key, "hole", "evaluation"),
    ]


def test_the_same_word_twice_is_kept_once_but_not_after_another_persons(
    desk: Desk, store: LocalStore, keys: dict[str, str]
) -> None:
    first = say(desk, keys["far.png"], "normal")
    assert say(desk, keys["far.png"], "normal") == first
    say(desk, keys["far.png"], "anomalous", "bob")
    say(desk, keys["far.png"], "normal")
    assert [word.label for word in history(store)] == ["normal", "anomalous", "normal"]


@pytest.mark.parametrize("after", [True, False])
def test_a_label_whose_answer_was_lost_is_kept_once(
    store: LocalStore, keys: dict[str, str], after: bool, desk_of: Callable[..., Desk]
) -> None:
    desk = desk_of(FaultyStore(store.root, fails_at=1, after=after), store)
    with pytest.raises(TransientFault):
        say(desk, keys["far.png"], "normal")
    say(desk, keys["far.png"], "normal")
    assert len(history(store)) == 1


def test_undo(desk: Desk, store: LocalStore, keys: dict[str, str]) -> None:
    write_labels(store, "cloth", [Label(keys["near.png"], "anomalous", None, "import", NOW, "dent")], "import")
    said = say(desk, keys["near.png"], "normal")
    taken = {"key": keys["near.png"], "labelled_at": said["labelled_at"]}
    answer = desk.undo(taken, "ann")
    assert (answer["word"], answer["row"]["key"]) == ("anomalous", keys["near.png"])
    assert desk.undo(taken, "ann")["word"] == "anomalous"  # the answer was lost, and the page asks again
    assert [word.label for word in history(store)] == ["anomalous", "normal", "anomalous"]
    assert "near.png" in queue(desk)
    say(desk, keys["near.png"], "anomalous", kind="dent")
    assert "near.png" not in queue(desk)
    assert read_labels(store, "cloth").to_pylist()[0]["label"] == "anomalous"


def test_undo_of_two_words_in_turn(
    desk: Desk, store: LocalStore, keys: dict[str, str], desk_of: Callable[..., Desk]
) -> None:
    said = [say(desk, keys["far.png"], word) for word in ("normal", "anomalous")]
    answers = [desk.undo({"key": keys["far.png"], "labelled_at": one["labelled_at"]}, "ann") for one in said[::-1]]
    assert [answer["word"] for answer in answers] == ["normal", "withdrawn"]
    assert len(read_labels(store, "cloth")) == 0
    assert "far.png" in queue(desk_of(store, store))


@pytest.mark.parametrize("who", ["bob", "ann"])
def test_only_ones_own_words_can_be_taken_back(desk: Desk, keys: dict[str, str], who: str) -> None:
    said = say(desk, keys["far.png"], "normal")
    when = said["labelled_at"] if who == "bob" else (NOW + timedelta(days=1)).isoformat()
    with pytest.raises(WrongRequest, match="did not label"):
        desk.undo({"key": keys["far.png"], "labelled_at": when}, who)


def test_an_image_that_changed_is_refused(desk: Desk, store: LocalStore, keys: dict[str, str]) -> None:
    key, etag = keys["far.png"], desk.row(keys["far.png"]).etag
    with pytest.raises(ImageChanged):
        desk.add_label({"key": key, "etag": "another", "word": "normal"}, "ann")
    store.write(key, png(7))
    for look in (lambda: desk.add_label({"key": key, "etag": etag, "word": "normal"}, "ann"),
                 lambda: desk.pictures.picture(desk.row(key))):  # fmt: skip
        with pytest.raises(ImageChanged, match=r"far\.png"):
            look()
    store.root.joinpath(key).unlink()
    with pytest.raises(KeyNotFound):
        desk.add_label({"key": key, "etag": etag, "word": "normal"}, "ann")
    assert history(store) == []


def test_a_copied_store_has_the_same_images(
    store: LocalStore, keys: dict[str, str], tmp_path: Path, desk_of: Callable[..., Desk]
) -> None:
    shutil.copytree(store.root, tmp_path / "copy")
    copy = LocalStore(tmp_path / "copy")
    say(desk_of(copy, copy), keys["far.png"], "normal")
    assert len(history(copy)) == 1


def test_what_no_page_sends_is_refused(desk: Desk, store: LocalStore, keys: dict[str, str]) -> None:
    good = {"key": keys["far.png"], "etag": desk.row(keys["far.png"]).etag, "word": "normal"}
    for field, wrong in (
        ("word", "withdrawn"), ("word", "good"), ("word", None), ("key", 7), ("key", ""), ("key", "a\0b"),
        ("etag", None), ("kind", "k" * 61), ("kind", ["dent"]), ("kind", "\ud800"),
    ):  # fmt: skip
        with pytest.raises(WrongRequest):
            desk.add_label({**good, field: wrong}, "ann")
    assert history(store) == []


def test_only_images_with_a_sealed_score_can_be_reached(desk: Desk, keys: dict[str, str]) -> None:
    for key in ("images/cloth/2026-03-01/other.png", "categories.toml", "../store/x", "' OR 1=1 --"):
        with pytest.raises(KeyNotFound):
            desk.row(key)
    assert desk.row(keys["ordinary.png"]).score == 0.5  # not in the queue, but scored


def test_only_the_chosen_categories(store: LocalStore, keys: dict[str, str], desk_of: Callable[..., Desk]) -> None:
    other = put_night(store, "metal", {"m.png": Scored(1.5, 0.01)})
    desk = desk_of(store, store, ["metal"])
    assert queue(desk) == ["m.png"]
    assert len(queue(desk_of(store, store))) == 4
    assert queue(desk_of(store, store), category="metal") == ["m.png"]
    desk.row(other["m.png"])
    for look in (lambda: desk.row(keys["far.png"]), lambda: to_label(desk, category="cloth")):
        with pytest.raises(KeyNotFound, match="not reviewed here"):
            look()


def test_nights_and_words_that_come_meanwhile_are_seen(
    desk: Desk, store: LocalStore, keys: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert len(queue(desk)) == 3
    monkeypatch.setattr(ledger, "_LOOK_AGAIN_SECONDS", 0)
    monkeypatch.setattr(sealed_rows, "_LOOK_AGAIN_SECONDS", 0)
    append_label(store, "cloth", Label(keys["far.png"], "normal", None, None, NOW), reviewer="ann")
    put_night(store, "metal", {"m.png": Scored(1.5, 0.01)})
    put_night(store, "cloth", {"near.png": Scored(0.2, 0.9)}, version="v2", scored_at=NOW + timedelta(hours=1))
    assert queue(desk) == ["borderline.png", "m.png"]


def test_a_label_file_that_does_not_read_costs_no_other_word(
    desk: Desk, store: LocalStore, keys: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger, "_LOOK_AGAIN_SECONDS", 0)
    append_label(store, "cloth", Label(keys["far.png"], "normal", None, None, NOW), reviewer="Ann")
    bad = "labels/cloth/bad.csv"
    store.write(bad, b"image_key,label\na,okay\n")
    asked = to_label(desk)
    assert [row["name"].rpartition("/")[2] for row in asked["rows"]] == ["near.png", "borderline.png"]
    assert (
        len(asked["unread"]) == 1
        and asked["unread"][0].startswith(f"{bad} cannot be read")
        and "line 2" in asked["unread"][0]
    )
    assert say(desk, keys["near.png"], "anomalous")["word"] == "anomalous"
    desk.undo({"key": keys["far.png"], "labelled_at": NOW.isoformat()}, "ANN")
    store.write(bad, b"image_key,label\na,normal\n")
    assert desk.unread(None) == []
    assert desk.history(None, 10, 0)[1] == 4


def test_nothing_scored_yet(store: LocalStore, desk_of: Callable[..., Desk]) -> None:
    desk = desk_of(store, store)
    found = to_label(desk)
    assert (found["rows"], found["count"], found["kinds"], found["unread"]) == ([], 0, [], [])
    assert desk.history(None, 10, 0) == ([], 0)


def test_the_trail_is_newest_first(desk: Desk, keys: dict[str, str]) -> None:
    for name, word in (("far.png", "normal"), ("near.png", "anomalous"), ("far.png", "unsure")):
        say(desk, keys[name], word)
    spoken, count = desk.history("cloth", 2, 0)
    assert (count, [one.label.label for one in spoken]) == (3, ["unsure", "anomalous"])
    assert [one.label.label for one in desk.history(None, 2, 2)[0]] == ["normal"]


def pixels(webp: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(webp)).convert("RGB"))


def test_pictures_are_the_image_and_its_map(desk: Desk, store: LocalStore, keys: dict[str, str]) -> None:
    row = desk.row(keys["far.png"])
    picture, over = pixels(desk.pictures.picture(row)), pixels(desk.pictures.overlay(row))
    assert np.array_equal(picture, np.asarray(Image.open(io.BytesIO(store.read(row.image_key)))))
    coloured = np.ptp(over, axis=2) > 0  # beside the map it is the picture in grey
    assert coloured[5:11, 5:11].any()  # but for the ring at the peak
    assert not coloured[18:, 18:].any()


def test_the_map_of_a_crop_lies_where_the_model_looked(
    store: LocalStore, keys: dict[str, str], desk_of: Callable[..., Desk]
) -> None:
    """The map is hot at its pixels 4 to 12 of SIDE, and the model sees the lower right quarter of the image."""
    view = ImageView(SIDE, SIDE, Crop.of([0.5, 0.5, 0.5, 0.5]), Ignore((((0.0, 0.0), (0.3, 0.0), (0.0, 0.3)),)))
    card = made_up_card(side=SIDE, threshold={"value": THRESHOLD}, preprocessing={"view": view.to_dict()})
    store.root.joinpath(card_key("cloth", "v1")).write_bytes(to_bytes(card))
    desk = desk_of(store, store)
    row = replace(desk.row(keys["far.png"]), defect_boxes=None)
    picture, over = pixels(desk.pictures.picture(row)), pixels(desk.pictures.overlay(row))
    coloured = np.ptp(over, axis=2) > 0
    assert coloured[SIDE // 2 :, SIDE // 2 :].any()
    assert not coloured[: SIDE // 2].any() and not coloured[:, : SIDE // 2].any()
    grey = np.round(picture @ np.array([0.299, 0.587, 0.114]))
    assert (np.abs(over[:3, :3, 0] - grey[:3, :3]) > 20).any(), "ignored, so darker stripes"
    np.testing.assert_allclose(over[:8, 14:, 0], grey[:8, 14:], atol=1)


def test_the_nearest_normal_is_one_that_is_there_and_looks_like_it(desk: Desk, keys: dict[str, str]) -> None:
    found = desk.nearest(keys["far.png"])
    assert found == {"name": "images/cloth/2026-03-01/like-far.png", "distance": "0.0"}
    assert desk.pictures.nearest_picture(desk.row(keys["far.png"])) is not None


def test_without_a_champion_there_is_no_normal(
    store: LocalStore, keys: dict[str, str], desk_of: Callable[..., Desk]
) -> None:
    store.root.joinpath("models/cloth/champion.json").unlink()
    desk = desk_of(store, store)
    assert desk.nearest(keys["far.png"]) is None
    assert queue(desk) == ["near.png", "borderline.png", "far.png"]


@pytest.mark.parametrize("name", ["", "  ", "a" * 81, "a\x07b", "a\u202eb"])
def test_names_that_hide_something_are_refused(name: str) -> None:
    with pytest.raises(WrongRequest):
        reviewer_name(name)


def test_a_name_is_kept_without_space_around_it() -> None:
    assert reviewer_name("  Jürgen \n O'Neil ") == "Jürgen O'Neil"


def test_a_seal_that_does_not_read_is_named_and_the_others_are_reviewed(desk: Desk, store: LocalStore) -> None:
    key = seal_key("tile", NOW.date(), "v9")
    store.write(key, b"{}")
    answer = to_label(desk, category="cloth")
    assert len(answer["rows"]) == 3
    assert [why.startswith(f"{key} cannot be read") for why in answer["unread"]] == [True]
