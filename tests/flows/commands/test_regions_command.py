"""`rd-inspect regions`, and what `rd-inspect status` says of a region that no model has yet."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from storage.filesystem import Store
from storage.ignored_regions import read_history, read_region
from storage.labels import labels
from storage.labels.labels import Label
from storage.layout import image_key
from storage.models import models
from storage.pictures.masks import mask_png
from tasks.training.ignored import ignored_now, ignoring
from tests.factories import DAY, NOW, SIZE, png, put_images, put_model
from tests.flows.commands.test_promotion_commands import call

LEFT = {"polygons": [[[0, 0], [0.5, 0], [0.5, 1], [0, 1]]]}


@pytest.fixture
def regions(store: Store) -> Callable[..., str]:
    """The command on the category cloth, which has a champion and an image labelled normal."""
    put_model(store, "cloth")
    [key] = put_images(store, "cloth", ["a.png"])
    labels.write_labels(store, "cloth", [Label(key, "normal", None, "test", NOW, None, "training")], "test")

    def run(*arguments: str, code: int = 0) -> str:
        named = ("--category", "cloth") if "--category" not in arguments else ()
        return call("regions", "--store", store.uri, *named, *arguments, code=code)

    return run


def written(path: Path, content: object) -> str:
    path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
    return str(path)


def test_a_region_is_set_shown_and_cleared(store: Store, regions: Callable[..., str], tmp_path: Path) -> None:
    assert "Nothing is ignored" in regions()
    said = regions("--set", written(tmp_path / "left.json", LEFT), "--by", "ann")
    assert "Days that are scored stay as they are." in said
    assert "rd-inspect recalibrate --category cloth" in said
    assert "nothing was changed" in regions("--set", str(tmp_path / "left.json"), "--by", "bo")
    out = tmp_path / "out.png"
    assert "51.6% of images/cloth/2026-03-02/a.png is ignored" in regions("--show", str(out))
    shown, image = (
        np.asarray(Image.open(one).convert("RGB")).astype(int)
        for one in (out, store.root / f"images/cloth/{DAY}/a.png")
    )
    changed = (shown != image).any(axis=2)
    half = changed.shape[1] // 2
    assert changed[:, :half].mean() > 0.99
    assert not changed[:, half + 1 :].any()
    mask = np.zeros(image.shape[:2], np.bool_)
    mask[:4] = True
    regions("--set", written(tmp_path / "mask.png", mask_png(mask)), "--by", "bo")
    regions("--clear", "--by", "cy")
    assert read_region(store, "cloth") is None
    assert [version.drawn_by for version in read_history(store, "cloth")] == ["cy", "bo", "ann"]
    for words in ("cy", "nothing ignored", "a mask image", "1 region"):
        assert words in regions()


def test_a_region_that_is_too_small_for_the_model_in_force_is_told(
    store: Store, regions: Callable[..., str], tmp_path: Path
) -> None:
    """The images are larger than what it sees."""
    side = 4 * SIZE
    store.write(image_key("cloth", DAY, "a.png"), png(0, (side, side)))
    tiny = [[0.5, 0.5], [0.502, 0.5], [0.502, 0.502]]
    only = written(tmp_path / "tiny.json", {"polygons": [tiny]})
    assert f"The region is too small: no pixel of the {SIZE} x {SIZE} that" in regions("--set", only, "--by", "ann")
    both = written(tmp_path / "both.json", {"polygons": [*LEFT["polygons"], tiny]})
    assert "1 of 2 regions are too small" in regions("--set", both, "--by", "ann")
    assert "1 of 2 regions are too small" in regions()
    left = written(tmp_path / "left.json", LEFT)
    assert "too small" not in regions("--set", left, "--by", "ann") + regions()


def test_before_the_first_training_a_cleared_region_is_used_by_none(
    store: Store, regions: Callable[..., str], tmp_path: Path
) -> None:
    labels.write_labels(store, "silk", [Label(image_key("silk", DAY, "a.png"), "normal", None, "test", NOW)], "test")
    left = written(tmp_path / "left.json", LEFT)
    assert "The first training uses it" in regions("--category", "silk", "--set", left, "--by", "ann")
    assert "The first training ignores nothing" in regions("--category", "silk", "--clear", "--by", "ann")


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.json", {"polygons": [[[0, 0], [1, 1]]]}, "polygon 1 has 2 different points"),
        ("a.json", b"{", "is not JSON"),
        ("a.json", [], "list of polygons"),
        ("a.png", mask_png(np.eye(30, 10, dtype=np.bool_)), "another aspect"),
        ("a.png", b"x", "the mask cannot be read"),
    ],
)
def test_what_cannot_be_used_is_refused(
    store: Store, regions: Callable[..., str], tmp_path: Path, name: str, content: object, words: str
) -> None:
    said = regions("--set", written(tmp_path / name, content), "--by", "ann", code=2)
    assert words in said
    assert "Nothing was saved." in said
    assert read_history(store, "cloth") == ()


def test_wrong_use(store: Store, regions: Callable[..., str], tmp_path: Path) -> None:
    assert "there is no such file" in regions("--set", str(tmp_path / "no.json"), "--by", "ann", code=2)
    assert "contradict" in regions("--set", "a", "--clear", code=2)
    assert "need --category" in call("regions", "--store", store.uri, "--clear", code=2)
    assert "There is no category 'cloht'" in regions("--category", "cloht", "--clear", code=2)


def test_status_names_a_region_until_a_model_has_it(
    store: Store, regions: Callable[..., str], tmp_path: Path
) -> None:
    status = ("status", "--store", store.uri, "--category", "cloth")
    assert "region" not in call(*status)
    regions("--set", written(tmp_path / "left.json", LEFT), "--by", "ann")
    said = call(*status)
    assert "cloth: model v1 scores with another ignored region than the one in force (1 region, by ann at " in said
    assert "rd-inspect train --category cloth" in said
    assert "recalibrating needs 16 that they have not learnt from, and there are 1." in said
    more = [Label(image_key("cloth", DAY, f"{i}.png"), "normal", None, "test", NOW) for i in range(15)]
    labels.write_labels(store, "cloth", more, "more")
    assert "rd-inspect recalibrate --category cloth" in call(*status)
    card = ignoring(models.read_card(store, "cloth", "v1"), ignored_now(store, "cloth"))
    weights = replace(card.weights, version="v1")
    models.publish_recalibrated(store, replace(card, version="v2", weights=weights, created_at=NOW))
    assert "v2 has it: rd-inspect promote --category cloth --version v2" in call(*status)
    assert list(json.loads(call(*status, "--format", "json"))["regions_to_do"]) == ["cloth"]
    models.promote(store, "cloth", "v2", by="test", now=NOW)
    assert "region" not in call(*status)
    regions("--clear", "--by", "ann")
    assert "(nothing ignored, by ann at " in call(*status)
