"""Trainings from labels or a pile of images to a champion, on a real Prefect server and real Dask workers."""

import numpy as np
import pytest

from flows.training import TrainingFailed, train_model
from storage.filesystem import Store
from storage.models import models
from storage.models.card import CROSS
from tests.factories import DAY, write_settings
from tests.rd_core.striped_images import textured, with_blot
from tests.retraining_plants import put_labels, put_pictures

QUICK = {"steps": 6, "mirrored_below": 0, "pseudo_anomalies": 1, "pseudo_anomalies_in_all": 1}
STRICT = b"""
[categories.strict]
extrapolate = false
method = "padim"
"""


def test_by_default_few_normals_are_cross_fitted_and_a_wrong_label_is_set_aside(store: Store, scheduler: str) -> None:
    write_settings(store, image_size=64, reverse_distillation=QUICK)
    store.write("categories.toml", store.read("categories.toml") + STRICT)
    pictures = np.concatenate([textured(19), with_blot(textured(1, seed=9))])
    keys = {name: put_pictures(store, name, pictures) for name in ("cloth", "strict")}
    for name, of_category in keys.items():
        put_labels(store, name, "normals", of_category)
    with pytest.raises(TrainingFailed, match=r"^strict: 20 held-out normals prove .* extrapolate = false refuses"):
        train_model(store.uri, dask_address=scheduler)
    assert models.list_versions(store, "strict") == []
    (version,) = models.list_versions(store, "cloth")
    champion = models.read_champion(store, "cloth")
    assert champion is not None and champion.version == version
    card = models.read_card(store, "cloth", version)
    assert (card.calibration.method, card.threshold.n, card.threshold.extrapolated) == (CROSS, 19, True)
    assert list(card.images.set_aside) == keys["cloth"][-1:]
    assert keys["cloth"][-1] in store.read(f"reports/training/{card.created_at.date()}/cloth/{version}.html").decode()


def test_a_pile_becomes_a_champion(store: Store, scheduler: str) -> None:
    write_settings(store, image_size=64, method="padim", padim={"dimensions": 20})
    keys = put_pictures(store, "pile", textured(12))
    run = train_model(store.uri, ["pile"], dask_address=scheduler, unlabelled=(DAY, DAY))
    (fitted,) = run.models
    assert fitted.champion and fitted.cross and fitted.unlabelled == (DAY,)
    assert list(models.read_card(store, "pile", fitted.version).images.calibration) == keys
