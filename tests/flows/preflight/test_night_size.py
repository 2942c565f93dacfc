"""How much there is to score, from a glance."""

from datetime import UTC, date, datetime

import pytest

from flows.preflight import night_size
from flows.preflight.night_size import seconds_to_come, seconds_to_score
from flows.settings import Settings, load_settings
from proofs.model_cards import publish_made_up
from rd_core.pictures.image_view import ImageView
from storage.filesystem import Store
from storage.layout import champion_key, image_key
from storage.models import models
from storage.partitions import seals
from storage.records import Partition
from tests.factories import SIZE, put_model

DAY = date(2026, 11, 21)
NOW = datetime(2026, 11, 22, tzinfo=UTC)
AN_IMAGE = seconds_to_score(1, SIZE * SIZE)
ENOUGH = 5


def settings(store: Store) -> Settings:
    return load_settings(store.uri, environment={})


def put_night(store: Store, category: str, images: int) -> None:
    put_model(store, category)
    for number in range(images):
        store.write(image_key(category, DAY, f"{number:03}.png"), b"unread")


def test_images_count_by_the_pixels_that_their_champions_see(store: Store) -> None:
    put_night(store, "tile", 3)
    put_night(store, "cloth", 2)
    assert seconds_to_come(settings(store), DAY, ["tile", "cloth"]) == pytest.approx(5 * AN_IMAGE)
    assert seconds_to_score(4, 256 * 256) == pytest.approx(seconds_to_score(1, 512 * 512))


def test_pixels_that_tiles_share_count_in_each(store: Store) -> None:
    tiled = ImageView(448, 448, tile=256, overlap=64)  # four tiles
    publish_made_up(store, "tile", "v1", b"weights", side=SIZE, preprocessing={"view": tiled.to_dict()})
    models.promote(store, "tile", "v1", by="test", now=NOW)
    store.write(image_key("tile", DAY, "1.png"), b"unread")
    assert seconds_to_come(settings(store), DAY, ["tile"]) == pytest.approx(seconds_to_score(1, 4 * 256 * 256))


def test_no_more_is_listed_than_shows_that_it_is_much(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(night_size, "WORTH_SECONDS", (ENOUGH - 0.5) * AN_IMAGE)
    put_night(store, "tile", ENOUGH + 5)
    assert seconds_to_come(settings(store), DAY, ["tile"]) == pytest.approx(ENOUGH * AN_IMAGE)


def test_what_is_sealed_has_no_model_or_cannot_be_read_counts_as_nothing(store: Store) -> None:
    put_night(store, "tile", 2)
    assert seconds_to_come(settings(store), DAY, ["tile"]) > 0
    plan = seals.SealedPlan("m", "d", "maps", 2, 2, 0, 0, 0, (), "run", NOW)
    seals.add_plan(store, Partition("tile", DAY, "v1"), plan)
    store.write(image_key("cloth", DAY, "1.png"), b"unread")  # no model
    put_night(store, "broken", 1)
    store.write(champion_key("broken"), b"no pointer")
    assert seconds_to_come(settings(store), DAY, ["tile", "cloth", "broken"]) == 0
