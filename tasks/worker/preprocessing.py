"""The version of everything between an image's bytes and the networks: no model scores pixels made another way."""

from collections.abc import Mapping
from typing import Any

from rd_core.detectors.reverse_distillation.settings import RESIZING_VERSION
from storage.pictures.images import DECODING_VERSION

PREPROCESSING_VERSION = f"{DECODING_VERSION}+{RESIZING_VERSION}"
"""in every model card and every score row"""


class OtherPreprocessing(Exception):
    """A model that learnt from pixels which this release would make differently."""


def check_preprocessing(category: str, version: str, card: Mapping[str, Any]) -> None:
    """OtherPreprocessing unless the model of that card was made with the preprocessing of this release."""
    if why := why_unusable(category, version, card):
        raise OtherPreprocessing(why)


def why_unusable(category: str, version: str, card: Mapping[str, Any]) -> str | None:
    """Why the model of that card scores nothing any more, and the cure; None if it does."""
    made_with = card.get("preprocessing")
    if made_with == PREPROCESSING_VERSION:
        return None
    return (
        f"Model {version} of {category} was made with the preprocessing {made_with!r}, and this release makes "
        f"pixels by {PREPROCESSING_VERSION!r}: its threshold would not hold for them, so it scores nothing. "
        f"Train again: rd-inspect train --category {category} --promote"
    )
