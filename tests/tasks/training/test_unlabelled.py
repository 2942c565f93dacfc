"""A training on a pile that nobody has labelled."""

from dataclasses import replace
from datetime import date, timedelta

import numpy as np
import pytest

from flows.commands.tables.training import training_table
from flows.preflight.unlabelled_choice import choose_unlabelled
from flows.settings import SettingsError, load_settings
from flows.training import TrainingRun
from rd_core.detectors.padim.settings import PaDiMSettings
from storage.filesystem import Store
from storage.labels import labels
from storage.models import models
from tasks.training.fit_model import NoNormals, fit_model
from tasks.training.fitted_model import FittedModel
from tasks.training.normal_images import read_normal_images, unlabelled_keys
from tests.factories import DAY, NOW, SIZE, put_images, quick_request
from tests.rd_core.striped_images import textured, with_blot
from tests.retraining_plants import put_labels, put_pictures

NEXT = DAY + timedelta(days=1)
PADIM = PaDiMSettings(image_height=SIZE, image_width=SIZE, dimensions=20)


def train(store: Store, *days: date) -> FittedModel:
    request = quick_request(settings=PADIM, part_pattern=None, unlabelled=days, calibration="cross")
    return fit_model.fn(store.uri, store.uri, request, run_id="run-1", now=NOW, promote=False)


def test_all_images_of_the_days_are_normals_but_those_that_somebody_knows_better(store: Store) -> None:
    first, second = (put_images(store, "cloth", [f"{n}.png" for n in range(6)], day) for day in (DAY, NEXT))
    put_labels(store, "cloth", "bad", first[:1], "anomalous")
    put_labels(store, "cloth", "kept", first[1:2], purpose="evaluation")
    put_labels(store, "cloth", "one", second[:2])
    put_labels(store, "cloth", "other", second[:1], "anomalous", by="bob", labelled_at=NOW - timedelta(hours=1))
    keys = unlabelled_keys(store, store, "cloth", (DAY, NEXT))
    assert set(keys) == {*first[2:], *second[1:]}
    found = replace(read_normal_images(store, keys, quick_request().image_format), unlabelled=(DAY, NEXT))
    assert (found.left_out or "").startswith("4 of 9 images are not used: 4 duplicates")


def test_a_model_of_an_unlabelled_pile_says_so_and_writes_no_label(store: Store) -> None:
    keys = put_pictures(store, "cloth", np.concatenate([textured(15), with_blot(textured(1, seed=9))]), DAY)
    keys += put_pictures(store, "cloth", textured(8, seed=1), NEXT)
    fitted = train(store, DAY, NEXT)
    card = models.read_card(store, "cloth", fitted.version)
    assert card.images.unlabelled == fitted.unlabelled == (DAY, NEXT)
    assert list(card.images.set_aside) == [keys[15]]
    assert sorted(card.images.used) == sorted(keys)
    assert labels.read_labels(store, "cloth").num_rows == 0
    assert "Nobody had looked at the 24 images" in store.read(fitted.page or "").decode()
    notes = training_table(TrainingRun("run", (fitted,)), "/plant").notes
    assert notes[0].startswith(
        "cloth: Promised false-alarm rate 20\u202f%. 23 held-out scores with each part left out prove"
    )
    assert notes[1].startswith("cloth: nobody has looked at the 23 images behind it; 1 other stood out and was set")
    assert f"cloth: {keys[15]}: {card.images.set_aside[keys[15]]}" in notes
    assert f"cloth: their pictures: /plant/{fitted.page}" in notes


def test_days_without_a_readable_image_train_nothing(store: Store) -> None:
    store.write(f"images/cloth/{DAY}/a.png", b"")
    with pytest.raises(NoNormals, match=rf"no readable image of {DAY} to {DAY} in .* Name other days"):
        train(store, DAY)


def test_what_the_training_means_is_known_before(store: Store) -> None:
    for name, day, count in (("cloth", DAY, 3), ("cloth", NEXT, 2), ("tile", DAY - timedelta(days=9), 4)):
        put_images(store, name, [f"{number}.png" for number in range(count)], day)
    settings = load_settings(store.uri)
    (one,) = choose_unlabelled(settings, None, DAY, NEXT)
    assert (one.category, one.days, one.images) == ("cloth", (DAY, NEXT), 5)
    assert one.words.startswith("cloth: 5 images of 2 days are taken for normals, except those that somebody called")
    for categories, last, told in (
        (["cloth", "tile"], NEXT, "tile has no images from"),
        (None, DAY - timedelta(days=1), "after the last"),
    ):
        with pytest.raises(SettingsError, match=told):
            choose_unlabelled(settings, categories, DAY, last)
    with pytest.raises(SettingsError, match="There are no images"):
        choose_unlabelled(settings, None, NEXT + timedelta(days=1), NEXT + timedelta(days=2))
