"""Complete model cards with invented values, for proofs and tests."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from rd_core.pictures.image_view import ImageView
from storage.models import models
from storage.models.card import (
    Calibration,
    Engine,
    Fit,
    ImageSets,
    ImageThreshold,
    Maps,
    Method,
    ModelCard,
    PixelThreshold,
    Preprocessing,
    WeightsFile,
)
from storage.stores.store import Store

CARD = ModelCard(
    category="cloth",
    version="v1",
    created_at=datetime(2026, 3, 1, 9, 0, tzinfo=UTC),
    run_id="run-0",
    method=Method("reverse_distillation", {"seed": 0}, teacher_weights=None),
    fit=Fit("2 steps", {"steps": 2}, seconds=1.5),
    preprocessing=Preprocessing(
        "p1", ImageView(8, 8).to_dict(), white_level=65535, black_level=None, max_pixels=1_000_000
    ),
    maps=Maps(8, 8, "a distance", maximum_is_score=True),
    threshold=ImageThreshold(2.0, 0.05, 40, 1 / 41, extrapolated=False, low=1.5, high=2.5, interval="tail"),
    pixel_threshold=PixelThreshold(0.45, 0.001, 40),
    calibration=Calibration((), {}, "split", None, (), 0.05, 0),
    images=ImageSets("0" * 64, None, (), (), (), (), (), {}, {}, ()),
    retraining=None,
    engine=Engine("torch", "of no meaning", {}),
    weights=WeightsFile.of(b"weights"),
    software={},
)


def made_up_card(
    category: str = "cloth", version: str = "v1", weights: bytes = b"weights", *, side: int = 8, **changes: Any
) -> ModelCard:
    """CARD for this model, `side` pixels high and wide, with changes; a dict changes fields of the existing
    record."""
    view = {"view": ImageView(side, side).to_dict()}
    sized = {
        "preprocessing": view | changes.get("preprocessing", {}),
        "maps": {"height": side, "width": side} | changes.get("maps", {}),
    }
    for name, value in {**changes, **sized}.items():
        record: Any = getattr(CARD, name)
        changes[name] = (
            replace(record, **value) if isinstance(value, dict) and not isinstance(record, dict) else value
        )
    return replace(CARD, category=category, version=version, weights=WeightsFile.of(weights), **changes)


def publish_made_up(
    store: Store, category: str = "cloth", version: str = "v1", weights: bytes = b"weights", **changes: Any
) -> None:
    """Publish a version with `made_up_card`; it cannot score with weights such as the default's."""
    models.publish_model(store, made_up_card(category, version, weights, **changes), weights)
