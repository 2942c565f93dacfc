"""Suggested views, from a store's images and masks to what is printed."""

import tomllib

import numpy as np

from flows.commands.tables.view_suggestion import view_table
from flows.local.view_suggestion import labelled_categories, suggested_view
from flows.settings import load_settings
from storage.filesystem import Store
from storage.labels import labels
from storage.labels.labels import Label
from tests.factories import NOW
from tests.retraining_plants import encoded, put_labels, put_pictures


def test_small_labelled_defects_ask_for_a_finer_view(store: Store) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (3, 1024, 1024, 1)).astype(np.uint8)
    keys = put_pictures(store, "foil", np.repeat(noise, 3, axis=3))
    put_labels(store, "foil", "normals", keys[:2])
    without, champion = suggested_view(load_settings(store.uri, environment={}), "foil")
    assert without.suggested == without.views[0] and without.small_defect is None and champion is None
    mask = np.zeros((1024, 1024, 3), np.uint8)
    mask[40:52, 50:62] = 255
    store.write("masks/foil/1.png", encoded(mask))
    labels.write_labels(store, "foil", [Label(keys[2], "anomalous", "masks/foil/1.png", None, NOW)], "bad")
    settings = load_settings(store.uri, environment={})
    assert labelled_categories(settings) == ["foil"]
    found, _ = suggested_view(settings, "foil")
    assert (found.views[0].height, found.suggested.height) == (512, 1024)
    assert found.lost[0] > 10 > found.lost[-1] == 0
    table = view_table(found, None)
    assert [row[3] for row in table.rows if "suggested" in row[0]] == ["12 pixels a side"]
    assert tomllib.loads("\n".join(table.notes[-3:])) == {
        "categories": {"foil": {"image_size": [1024, 1024], "tile": 256}}
    }


def test_a_training_costs_by_the_method_of_the_settings(store: Store) -> None:
    """In tiles a method that remembers learns from few crops, and one by steps takes as many on any."""
    pixels = np.random.default_rng(0).integers(0, 255, (4, 1024, 1024, 3)).astype(np.uint8)
    put_labels(store, "foil", "normals", put_pictures(store, "foil", pixels))
    cost = {}
    for method in ("reverse_distillation", "patchcore"):
        found, _ = suggested_view(load_settings(store.uri, options={"method": method}, environment={}), "foil")
        cost[method] = {view.tile: view.training for view in found.views if view.height == 1024}
    assert cost["reverse_distillation"][None] == cost["patchcore"][None] == 16
    assert cost["reverse_distillation"][256] < 1.2
    assert cost["patchcore"][256] > 20
