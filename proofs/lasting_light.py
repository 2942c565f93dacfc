"""The closed loop on the generated factory: the light changes permanently, and a retraining adapts to it.

    python -m proofs.lasting_light [--store lasting-light-run] [--figure docs/lasting-light.svg]

After four ordinary nights a lamp hangs too low and lights all later nights. False alarms rise, drift asks for a
retraining, flagged images are labelled on the page, the good parts of two nights are signed off in a file, a
candidate is judged and promoted, and later nights are scored by it. Two of the changed nights are labelled for
evaluation, to judge the candidate; no image of the last nights is labelled.
"""

import argparse
import io
import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.record import Record, Values, add_results_option
from demo import defects, lighting, woven_cloth
from flows.dask_cluster import dask_cluster
from flows.drift import report_drift
from flows.inspection import inspect_images
from flows.prefect_server import prefect_server
from flows.retraining import retrain
from flows.settings import load_settings
from flows.training import train_model
from flows.watching.retraining_outcome import CategoryRetraining
from proofs.share_figure import draw_shares
from storage.analysis.queries import run_query
from storage.filesystem import Store, open_store
from storage.labels import labels
from storage.labels.labels import Label
from storage.layout import SETTINGS_KEY, image_key

CATEGORY = "woven_cloth"
FIRST = date(2026, 2, 2)
NORMALS, GOOD, DEFECTIVE = 100, 32, 8
"""images to train on; good and defective ones a night"""
ORDINARY, CHANGED, LATER = range(4), range(4, 8), range(8, 11)
"""nights before the light changes, after it, and after the retraining"""
STAGES = {"ordinary": ORDINARY, "after the light changed": CHANGED, "after the retraining": LATER}
EVALUATED = (0, 1, 4, 5)
"""nights labelled for evaluation"""
STRENGTH = 0.7
"""of the new light, see demo.lighting"""
ALPHA = 0.05
AGE = 36_500
"""days; the factory's calendar stands still"""
SETTINGS = """\
[defaults]
image_size = 96
alpha = {alpha}
[defaults.reverse_distillation]
steps = 120
[drift]
defect_share = 0.2      # this factory's ordinary nights have 8 defects in 40 parts
"""
FOUND = """
SELECT model_version, image_key LIKE '%/good/%' AS is_good, is_anomalous
FROM latest WHERE run_date = '{day}' AND score IS NOT NULL
"""

Labeller = Callable[[Store, Sequence[str]], None]
"""labels each of these flagged images"""


@dataclass(frozen=True)
class Night:
    """One night of the story."""

    day: date
    model_version: str
    good: int
    false_alarms: int
    defective: int
    found: int


@dataclass(frozen=True)
class Story:
    """The result."""

    nights: tuple[Night, ...]
    before: str | None
    """drift verdict on the ordinary nights"""
    verdict: str | None
    """and on the changed ones"""
    retraining: CategoryRetraining


def main() -> None:
    """Run the nights, record and draw them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--store", default="lasting-light-run", help="folder to write to")
    parser.add_argument("--figure", type=Path, help="SVG to write")
    add_results_option(parser)
    arguments = parser.parse_args()
    record = Record.begin("lasting_light")
    store = open_store(arguments.store, create=True)
    fill(store)
    with prefect_server(), dask_cluster(load_settings(arguments.store)) as scheduler:
        story = run_story(store, scheduler, label_truth)
    print(f"drift after the ordinary nights: {story.before}; after the changed ones: {story.verdict}")
    print(f"retraining: {story.retraining.outcome}. {story.retraining.words}")
    about = {"drift before": story.before, "drift after": story.verdict, "retraining": story.retraining.outcome}
    rows = {words: _figures([story.nights[index] for index in some]) for words, some in STAGES.items()}
    record.write(arguments.results / "lasting_light.json", rows, about)
    if arguments.figure:
        arguments.figure.write_text(_figure(story.nights))


def fill(store: Store) -> None:
    """Write normals to train on and eleven nights."""
    store.write(SETTINGS_KEY, SETTINGS.format(alpha=ALPHA).encode())
    _put(store, FIRST - timedelta(days=1), _good(0, NORMALS, 0.0), "training")
    for night in (*ORDINARY, *CHANGED, *LATER):
        strength = 0.0 if night in ORDINARY else STRENGTH
        pictures = [*_good(night + 1, GOOD, strength), *_defective(night + 1, strength)]
        _put(store, day_of(night), pictures, "evaluation" if night in EVALUATED else None)


def run_story(store: Store, scheduler: str, label: Labeller) -> Story:
    """Run the story on a store prepared by `fill`."""
    train_model(store.uri, dask_address=scheduler)
    nights = [_inspect(store, scheduler, night) for night in ORDINARY]
    before = _verdict(store, scheduler, ORDINARY[-1])
    nights += [_inspect(store, scheduler, night) for night in CHANGED]
    verdict = _verdict(store, scheduler, CHANGED[-1])
    label(store, _flagged(store))
    sign_off(store)
    run = retrain(store.uri, dask_address=scheduler, limits={"most_age_days": AGE})
    nights += [_inspect(store, scheduler, night) for night in LATER]
    return Story(tuple(nights), before, verdict, run.categories[0])


def label_truth(store: Store, keys: Sequence[str]) -> None:
    """Label all images correctly."""
    for key in keys:
        word = "normal" if "/good/" in key else "anomalous"
        labels.append_label(store, CATEGORY, Label(key, word, None, None, datetime.now(UTC)), reviewer="ann")


def sign_off(store: Store) -> None:
    """Label the good parts of the last two changed nights by a file, as sorted by hand at the end of the line."""
    good = [
        Label(image_key(CATEGORY, day_of(night), f"good/{number:03}.png"), "normal", None, "line", datetime.now(UTC))
        for night in CHANGED[-2:]
        for number in range(GOOD)
    ]
    labels.write_labels(store, CATEGORY, good, "signed-off")


def day_of(night: int) -> date:
    """The night's production day."""
    return FIRST + timedelta(days=night)


def _inspect(store: Store, scheduler: str, night: int) -> Night:
    day = day_of(night)
    inspect_images(store.uri, day, reports=False, dask_address=scheduler)
    rows = run_query(store, FOUND.format(day=day)).to_pylist()
    good = [row["is_anomalous"] for row in rows if row["is_good"]]
    defective = [row["is_anomalous"] for row in rows if not row["is_good"]]
    return Night(day, rows[0]["model_version"], len(good), sum(good), len(defective), sum(defective))


def _verdict(store: Store, scheduler: str, night: int) -> str | None:
    return report_drift(store.uri, FIRST, day_of(night), golden=True, dask_address=scheduler).verdict


def _flagged(store: Store) -> list[str]:
    """Unlabelled images of the changed nights that the model flags, as on the page."""
    first, last = day_of(CHANGED[0]), day_of(CHANGED[-1])
    sql = f"""
    SELECT image_key FROM latest ANTI JOIN labels USING (image_key)
    WHERE is_anomalous AND run_date BETWEEN '{first}' AND '{last}' ORDER BY image_key"""
    return [row["image_key"] for row in run_query(store, sql).to_pylist()]


def _figure(nights: Sequence[Night]) -> str:
    return draw_shares(
        [night.day for night in nights],
        {
            "good parts that raise an alarm": [night.false_alarms / night.good for night in nights],
            "defects that are found": [night.found / night.defective for night in nights],
        },
        {CHANGED[0]: "the light changes", LATER[0]: "labelled, retrained, promoted"},
    )


def _figures(nights: Sequence[Night]) -> dict[str, Values]:
    """Sums over the nights."""
    names = ("good", "false_alarms", "defective", "found")
    sums: dict[str, Values] = {name: sum(getattr(night, name) for night in nights) for name in names}
    return {"nights": len(nights)} | sums


def _good(night: int, count: int, strength: float) -> Iterator[tuple[str, np.ndarray]]:
    for number in range(count):
        picture = woven_cloth.draw(_random(night, number, 0), 160)
        yield f"good/{number:03}.png", lighting.rake(picture, strength)


def _defective(night: int, strength: float) -> Iterator[tuple[str, np.ndarray]]:
    for number, kind in zip(range(DEFECTIVE), itertools.cycle(defects.KINDS[CATEGORY]), strict=False):
        random = _random(night, number, 1)
        picture, _ = defects.KINDS[CATEGORY][kind](woven_cloth.draw(random, 160), random, random.uniform(0.4, 1.0))
        yield f"{kind}/{number:03}.png", lighting.rake(picture, strength)


def _random(night: int, number: int, part: int) -> np.random.Generator:
    return np.random.default_rng([7, night, number, part])


def _put(store: Store, day: date, pictures: Sequence | Iterator, purpose: str | None) -> None:
    truth = []
    for name, picture in pictures:
        key = image_key(CATEGORY, day, name)
        out = io.BytesIO()
        Image.fromarray((picture * 255).astype(np.uint8)).save(out, "PNG")
        store.write(key, out.getvalue())
        kind = name.split("/", maxsplit=1)[0]
        word = "normal" if kind == "good" else "anomalous"
        if purpose:
            truth.append(Label(key, word, None, "factory", datetime.now(UTC), kind, purpose))
    if truth:
        labels.write_labels(store, CATEGORY, truth, f"truth-{day}")


if __name__ == "__main__":
    main()
