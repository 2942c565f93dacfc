"""Light that changes for good, on real images: a model calibrated on some exposures of tiles meets the others.

    python -m benchmarks.exposures FOLDER/magnetic_tile [--store exposures-run] [--size 128] [--seed 0]

Every tile was photographed under exposures 1 to 6. A model is trained on normals of exposures 1 to 3. Three nights
bring other tiles under the same exposures, three more under 4 to 6, each with one defect among its good tiles. Drift
is assessed after the third night (nothing has changed) and after the sixth. Then normals of exposures 4 to 6 are
labelled, the model is retrained, and a last night under these exposures, with all defects, is judged by both models.
"""

import argparse
import re
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from flows.drift import DriftRun, report_drift
from flows.inspection import inspect_images
from flows.machinery.dask_cluster import dask_cluster
from flows.machinery.prefect_server import prefect_server
from flows.retraining import retrain
from flows.settings import load_settings
from flows.training import train_model
from storage.analysis.queries import run_query
from storage.labels import labels
from storage.labels.labels import Label
from storage.layout import SETTINGS_KEY, image_key
from storage.models import models
from storage.stores.filesystem import Store, open_store

CATEGORY = "magnetic_tile"
FIRST = date(2026, 1, 5)
OLD, NEW = (1, 2, 3), (4, 5, 6)
AGE = 36_500
"""days; these photographs have no date of their own"""
LAST = 6
"""the night with all defects; the six before it are monitored"""
SETTINGS = """\
[defaults]
image_size = {size}
seed = {seed}
alpha = 0.05
part_pattern = 'exp(?P<view>\\d+)_num_(?P<serial>\\d+)'
"""
FOUND = """
SELECT model_version,
       avg(is_anomalous::int) FILTER (label = 'normal') AS false_alarms,
       avg(is_anomalous::int) FILTER (label = 'anomalous') AS recall,
       count(*) FILTER (label = 'normal') AS normals, count(*) FILTER (label = 'anomalous') AS defects
FROM scores JOIN labels USING (image_key) WHERE run_date = '{day}' AND score IS NOT NULL GROUP BY ALL
"""


def main() -> None:
    """Run the story and print what was said and found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="the folder magnetic_tile, with train/good and test/")
    parser.add_argument("--store", default="exposures-run", help="folder to write to")
    parser.add_argument("--size", type=int, default=128, help="pixels a side")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    store = open_store(arguments.store, create=True)
    store.write(SETTINGS_KEY, SETTINGS.format(size=arguments.size, seed=arguments.seed).encode())
    _label_normals(store, arguments.data, OLD, FIRST - timedelta(days=1))
    _fill_nights(store, arguments.data)
    with prefect_server(), dask_cluster(load_settings(arguments.store)) as scheduler:
        train_model(store.uri, dask_address=scheduler)
        for night in range(LAST + 1):
            inspect_images(store.uri, _day(night), reports=False, dask_address=scheduler)
        for night in (2, LAST - 1):
            _tell(night, report_drift(store.uri, FIRST, _day(night), golden=True, dask_address=scheduler))
        _label_normals(store, arguments.data, NEW, _day(LAST - 1))
        run = retrain(store.uri, dask_address=scheduler, limits={"most_age_days": AGE})
        for one in run.categories:
            print(f"retraining: {one.outcome}. {one.words}")
        inspect_images(store.uri, _day(LAST), reports=False, dask_address=scheduler)
    champion = models.read_champion(store, CATEGORY)
    print("in force:", champion.version if champion else None)
    for row in run_query(store, FOUND.format(day=_day(LAST))).to_pylist():
        print(row)


def _day(night: int) -> date:
    return FIRST + timedelta(days=night)


def _exposure(path: Path) -> int:
    found = re.match(r"exp(\d+)_num_", path.name)
    return int(found[1]) if found else 0


def _of(folder: Path, exposures: Sequence[int]) -> list[Path]:
    return sorted(path for path in folder.iterdir() if _exposure(path) in exposures)


def _label_normals(store: Store, data: Path, exposures: Sequence[int], day: date) -> None:
    """The training folder's normals of these exposures, as if taken and labelled on that day."""
    _put(store, _of(data / "train" / "good", exposures), day, "normal", "training", f"normals-{day}")


def _fill_nights(store: Store, data: Path) -> None:
    """Good tiles shared out over the nights of their exposures, a defect each; the rest of the defects last."""
    kinds = sorted(path for path in (data / "test").iterdir() if path.name != "good")
    for exposures, nights in ((OLD, range(3)), (NEW, range(3, LAST))):
        good = _of(data / "test" / "good", exposures)
        defects = [path for kind in kinds for path in _of(kind, exposures)]
        for index, night in enumerate(nights):
            _put(store, good[index::3], _day(night), "normal", "evaluation", f"good-{night}")
            _put(store, [defects[index]], _day(night), "anomalous", "evaluation", f"defect-{night}")
        if exposures == NEW:
            _put(store, good, _day(LAST), "normal", "evaluation", "good-last")
            _put(store, defects[3:], _day(LAST), "anomalous", "evaluation", "defects-last")


def _put(store: Store, paths: Iterable[Path], day: date, word: str, purpose: str, name: str) -> None:
    said = []
    for path in paths:
        key = image_key(CATEGORY, day, path.name)
        store.write(key, path.read_bytes())
        said.append(Label(key, word, None, "benchmark", datetime.now(UTC), path.parent.name, purpose))
    labels.write_labels(store, CATEGORY, said, name)


def _tell(night: int, run: DriftRun) -> None:
    for one in run.models:
        found = one.assessment
        causes = [cause.name for cause in found.causes] if found else []
        print(f"after night {night + 1}: {one.action}, causes {causes}, since {found and found.changed_since}")
        if found:
            rate = found.alarm_rate
            print(f"   alarm rate {rate.rate:.3f} ({rate.low:.3f} to {rate.high:.3f})")


if __name__ == "__main__":
    main()
