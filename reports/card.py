"""One image of a report's gallery."""

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from reports.heat_scale import Tick, ticks
from reports.review_address import picture_address
from reports.scored_image import ScoredImage
from reports.thumbnails import Thumbnail


@dataclass(frozen=True)
class Card:
    """An image of a gallery with its thumbnail and overlay."""

    image: ScoredImage
    picture: Markup | None
    """data URI; None without a picture"""
    overlay: Markup | None
    """data URI; None without a picture or an anomaly map"""
    review: str | None = None
    """its address on the review page; None without a review page"""

    @property
    def times_threshold(self) -> float | None:
        """score / threshold; None if one of them is missing."""
        image = self.image
        return image.score / image.threshold if image.score is not None and image.threshold else None


def card_of(image: ScoredImage, thumbnail: Thumbnail | None, review_url: str | None) -> Card:
    """The card of an image and its thumbnail; `review_url`: address of the review page."""
    review = picture_address(review_url, image.image_key) if review_url else None
    if thumbnail is None:
        return Card(image, None, None, review)
    overlay = None if thumbnail.overlay is None else Markup(thumbnail.overlay)
    return Card(image, Markup(thumbnail.picture), overlay, review)


def legend_ticks(cards: Sequence[Card]) -> list[Tick]:
    """The legend's ticks for cards of one model; empty if none has a map."""
    drawn = [card.image for card in cards if card.overlay is not None]
    return ticks(drawn[0].pixel_threshold, drawn[0].map_threshold) if drawn else []
