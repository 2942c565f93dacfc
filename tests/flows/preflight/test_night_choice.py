"""What there is to inspect on a day, and what is refused before anything is started."""

import errno
import os
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from flows.preflight import checks as preflight
from flows.preflight.checks import checked_night, checked_settings, refuse_future_import
from flows.preflight.night_choice import NoImages, choose_night
from flows.settings import Settings, SettingsError, load_settings
from proofs.model_cards import publish_made_up
from storage.errors import StoreNotFound
from storage.filesystem import Store
from storage.models import models

DAY = date(2026, 11, 20)
NEXT = DAY + timedelta(days=1)


def put_image(store: Store, category: str, day: date = DAY, name: str = "a.png") -> None:
    store.write(f"images/{category}/{day}/{name}", b"x")


def put_champion(store: Store, category: str) -> None:
    publish_made_up(store, category)
    models.promote(store, category, "v1", by="test", now=datetime(2026, 11, 1, tzinfo=UTC))


def settings_of(store: Store, toml: str = "") -> Settings:
    store.write("categories.toml", toml.encode())
    return load_settings(store.uri, environment={})


@pytest.fixture
def plant(store: Store) -> Store:
    """bolt came on both days, nut on the first alone; both have a model."""
    for category, days in (("bolt", (DAY, NEXT)), ("nut", (DAY,))):
        put_champion(store, category)
        for day in days:
            put_image(store, category, day)
    return store


def test_a_camera_that_fell_silent_is_told(plant: Store) -> None:
    choice = choose_night(settings_of(plant), NEXT, None)
    assert (choice.there, choice.silent, choice.idle) == (("bolt",), ("nut",), ())
    assert choose_night(settings_of(plant), NEXT, ["bolt"]).silent == ()


def test_what_is_not_made_every_day_or_has_no_model_is_not_silent(plant: Store) -> None:
    put_image(plant, "washer")
    choice = choose_night(settings_of(plant, "[categories.nut]\nevery_day = false\n"), NEXT, None)
    assert (choice.there, choice.silent) == (("bolt",), ())
    choice = choose_night(settings_of(plant), NEXT, ["bolt", "washer"])
    assert (choice.silent, choice.idle) == ((), ("washer",))


def test_a_model_in_force_without_a_folder_of_images_is_silent(plant: Store) -> None:
    put_champion(plant, "screw")
    publish_made_up(plant, "plate")  # never promoted
    plant.write("models/gear/champion.json", b"{")  # whose pointer is damaged
    assert choose_night(settings_of(plant), DAY, None).silent == ("gear", "screw")


def test_a_day_without_any_image_is_refused_with_the_days_there_are(plant: Store) -> None:
    with pytest.raises(NoImages, match=r"no image of 2026-11-23 .* latest day there is 2026-11-21, of bolt") as e:
        choose_night(settings_of(plant), date(2026, 11, 23), None)
    assert e.value.silent == ("bolt", "nut")
    with pytest.raises(NoImages, match="latest day there is 2026-11-20, of nut"):
        choose_night(settings_of(plant), NEXT, ["nut"])
    idle = settings_of(plant, "[defaults]\nevery_day = false\n")
    assert choose_night(idle, date(2026, 11, 23), None).there == ()


def test_a_store_without_images_is_not_the_lines(plant: Store, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(NoImages, match="--images") as e:
        choose_night(load_settings(plant.uri, options={"images": str(tmp_path / "empty")}), DAY, None)
    assert not e.value.other_days
    with pytest.raises(NoImages, match="No category has images there"):
        choose_night(load_settings(str(tmp_path / "empty")), DAY, None)
    with pytest.raises(StoreNotFound, match="nowhere"):
        checked_night(plant.uri, DAY, images=str(tmp_path / "nowhere"))


def test_a_category_that_cannot_be_looked_into_is_named_and_the_others_are_there(
    plant: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    scandir, closed = os.scandir, f"{plant.uri}/images/bolt"

    def scan(folder: str) -> object:  # root may look into all, so the refusal is put in
        if str(folder) == closed:
            raise PermissionError(errno.EACCES, "Permission denied", folder)
        return scandir(folder)

    monkeypatch.setattr(os, "scandir", scan)
    choice = choose_night(settings_of(plant), DAY, None)
    assert (choice.there, choice.silent) == (("nut",), ())
    assert "images/bolt/: Permission denied" in choice.broken["bolt"]


def test_litter_is_no_category_and_no_odd_folder(plant: Store) -> None:
    for key in ("images/@eaDir/x", f"images/bolt/.AppleDouble/{DAY}", "images/#recycle/y", "images/two words/z"):
        plant.write(key, b"x")
    choice = choose_night(settings_of(plant), DAY, None)
    assert choice.there == ("bolt", "nut")
    assert choice.odd == ("images/two words/",)
    assert choice.left_out.litter_in_words == "3 files and folders: #recycle/, .AppleDouble/, @eaDir/"


def test_files_in_no_days_folder_are_told(plant: Store) -> None:
    for key in ("images/a.png", "images/bolt/c.png", "images/bolt/b.png", "images/bolt/Thumbs.db"):
        plant.write(key, b"x")
    assert choose_night(settings_of(plant), DAY, None).strays == {
        "images/": "1 file in no day's folder, such as a.png",
        "images/bolt/": "2 files in no day's folder, such as b.png",
    }


def test_mistyped_names_are_refused_with_the_nearest(plant: Store) -> None:
    for toml in ("[categories.bold]\nalpha = 0.02\n", "[categories.nuts]\nalpha = 0.02\n[categories.bolt]\n"):
        plant.write("categories.toml", toml.encode())
        with pytest.raises(SettingsError, match=r"no such category; did you mean '(bolt|nut)'"):
            checked_settings(plant.uri)
        with pytest.raises(SettingsError, match="no such category"):
            checked_night(plant.uri, DAY)
    plant.write("categories.toml", b"[categories.nut]\n[categories.nut_m4]\n[categories.gasket]\n")
    checked_settings(plant.uri)
    with pytest.raises(SettingsError, match=r"'nit'.*did you mean 'nut'"):
        checked_settings(plant.uri, ["nit"])
    plant.write("labels/plate/a.csv", b"image_key,label\n")
    checked_settings(plant.uri, ["plate"])


class _Clock(datetime):
    @classmethod
    def now(cls, tz: object = None) -> datetime:  # type: ignore[override]
        return datetime(2026, 11, 21, 23, 30, tzinfo=UTC)


def test_a_day_in_the_future_is_refused_by_the_plants_clock(
    plant: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preflight, "datetime", _Clock)
    checked_settings(plant.uri, days=(None, date(2026, 11, 22)))
    with pytest.raises(SettingsError, match="2026-11-23 is in the future: it is 2026-11-21 at the plant"):
        checked_settings(plant.uri, days=(date(2026, 11, 23),))
    plant.write("categories.toml", b'[plant]\ntime_zone = "Asia/Tokyo"\n')
    checked_settings(plant.uri, days=(date(2026, 11, 23),))
    with pytest.raises(SettingsError, match="future"):
        checked_night(plant.uri, date(2062, 11, 21))
    for store in (plant.uri, str(tmp_path / "new")):
        with pytest.raises(SettingsError, match="future"):
            refuse_future_import(store, (date(2062, 11, 21),))
        refuse_future_import(store, (date(2026, 11, 20),))


def test_silence_by_the_clock_is_left_to_the_run_that_tells_of_it(
    plant: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preflight, "datetime", _Clock)
    (Path(plant.uri) / f"images/bolt/{DAY}").rename(tmp_path / "gone")
    (Path(plant.uri) / f"images/nut/{DAY}").rename(tmp_path / "away")
    checked_night(plant.uri, None)
    with pytest.raises(NoImages):
        checked_night(plant.uri, DAY)
