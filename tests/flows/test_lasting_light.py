"""The loop closed: light changes for good, drift asks, somebody labels at the page, a retraining comes into force."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from proofs.lasting_light import ALPHA, CATEGORY, CHANGED, LATER, ORDINARY, Night, fill, run_story
from rd_core.metrics.intervals import clopper_pearson
from review.app import create_app
from review.desk import Desk
from storage.filesystem import Store
from storage.labels.labels import read_label_history
from storage.models import models
from tests.review.chromium import CHROMIUM, Tab, chromium
from tests.review.serving import served

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed: nobody can label at the page"),
]

NAME = "document.getElementById('name').textContent"
DONE = "!document.getElementById('nothing').hidden"
KEPT = "JSON.parse(sessionStorage.getItem('outbox') || '[]').length === 0"
DRAWN = "document.getElementById('picture').complete && document.getElementById('picture').naturalWidth > 0"


def label_at_the_page(tab: Tab, url: str, flagged: Sequence[str]) -> None:
    """Look at each image the page shows, press n or d, until every flagged one has been seen and kept."""
    tab.open(url)
    waiting = set(flagged)
    while waiting:
        tab.wait(f"({NAME} !== '' && {DRAWN}) || {DONE}")
        assert not tab.run(DONE), f"the page never showed {sorted(waiting)}"
        shown = tab.run(NAME)
        tab.press("n" if "/good/" in shown else "d")
        waiting.discard(shown)
        tab.wait(f"{NAME} !== {shown!r} || {DONE}")
    tab.wait(KEPT)


def rate(nights: Sequence[Night]) -> tuple[int, int]:
    return sum(one.false_alarms for one in nights), sum(one.good for one in nights)


def recall(nights: Sequence[Night]) -> float:
    return sum(one.found for one in nights) / sum(one.defective for one in nights)


def test_the_plant_learns_to_live_with_a_new_light(store: Store, scheduler: str, tmp_path: Path) -> None:
    fill(store)
    asked: list[int] = []
    spoken: list[int] = []

    def at_the_page(there: Store, flagged: Sequence[str]) -> None:
        asked.append(len(flagged))
        app = create_app(Desk(there, there, [CATEGORY]), hosts={"127.0.0.1"}, reviewer="ann")
        with served(app) as url, chromium(tmp_path / "profile") as tab:
            label_at_the_page(tab, url, flagged)
        spoken.append(read_label_history(there, CATEGORY).column("labelled_by").to_pylist().count("ann"))

    story = run_story(store, scheduler, at_the_page)
    before, changed, later = ([story.nights[i] for i in some] for some in (ORDINARY, CHANGED, LATER))
    assert story.before == "hold"
    assert story.verdict == "retrain"
    false, good = rate(changed)
    assert clopper_pearson(false, good).low > ALPHA, "the new light does not raise false alarms: there is no story"
    assert spoken[0] >= asked[0] > 0
    assert story.retraining.outcome == "promoted", story.retraining.words
    champion = models.read_champion(store, CATEGORY)
    assert champion is not None
    assert {one.model_version for one in later} == {champion.version} != {before[0].model_version}
    false, good = rate(later)
    assert clopper_pearson(false, good).low <= ALPHA, f"{false} of {good} good parts still alarm"
    assert recall(later) >= recall(before) - 0.1
