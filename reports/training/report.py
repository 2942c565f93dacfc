"""The normals that a training set aside and those that its threshold rests on, with their pictures, as one
self-contained HTML file."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from markupsafe import Markup

from reports.card import card_of, legend_ticks
from reports.heat_scale import gradient_css
from reports.page import page
from reports.scored_image import ScoredImage
from reports.thumbnails import thumbnails

_MOST_PICTURE_BYTES = 4_000_000


@dataclass(frozen=True, eq=False)
class SetAsideReport:
    """The data of the page, filled by the caller."""

    category: str
    version: str
    """the new model"""
    run_id: str
    store_uri: str
    made_at: datetime
    normals: int
    """number of all normals of the training"""
    nobody_looked: bool
    """whether nobody had labelled them"""
    set_aside: Mapping[str, str]
    """key -> why, most suspicious first"""
    more_suspects: int
    """number of further ones, which were used"""
    pictured: tuple[ScoredImage, ...]
    """the first of those set aside"""
    highest: Mapping[str, str]
    """the highest normals that set the threshold: key -> how high; empty if it does not rest on them"""
    pictured_highest: tuple[ScoredImage, ...]
    review_url: str | None
    """address of the review page; None: no links"""


def render_set_aside_report(report: SetAsideReport) -> str:
    """The page as one HTML document with style and images inside, without script or outside request.

    Texts from outside are escaped, credentials in them removed.
    """
    pictured = (*report.pictured_highest, *report.pictured)
    drawn = thumbnails(pictured, _MOST_PICTURE_BYTES)
    cards = [card_of(image, one, report.review_url) for image, one in zip(pictured, drawn, strict=True)]
    highest = len(report.pictured_highest)
    return page(
        "set_aside.html",
        report=report,
        highest=cards[:highest],
        aside=cards[highest:],
        others=list(report.set_aside.items())[len(report.pictured) :],
        ticks=legend_ticks(cards),
        colour_scale=Markup(gradient_css()),
    )
