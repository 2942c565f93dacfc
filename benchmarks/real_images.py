"""Import, train and inspect MVTec-layout folders; image AUROC and decisions of each from the Parquet scores.

    python -m benchmarks.real_images FOLDER_OF_FOLDERS --store STORE

Labels of test images are used once, at the end, to compute the AUROC. All images are scored at 256 x 256 pixels; the
part pattern below follows from what the names tell, not from results.
"""

import argparse
import time
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

import numpy as np
from sklearn.metrics import roc_auc_score

from flows.inspection import inspect_images
from flows.local.importing import import_category
from flows.machinery.dask_cluster import dask_cluster
from flows.machinery.prefect_server import prefect_server
from flows.settings import load_settings
from flows.training import train_model
from rd_core.calibration.threshold import ACCEPT
from storage.analysis.queries import run_query
from storage.layout import SETTINGS_KEY
from storage.models import models
from storage.stores.filesystem import Store, open_store
from tasks.importing.image_folder import is_category_folder

DAY = date(2026, 1, 2)
SETTINGS = """\
[defaults]
image_size = 256

[categories.magnetic_tile]
# One tile is photographed under exposures 1 to 6 in turn: a new tile begins where the exposure does not rise.
part_pattern = 'exp(?P<view>\\d+)_num_(?P<serial>\\d+)'
"""
SCORES_SQL = """
SELECT score, label = 'anomalous' AS is_defect, is_anomalous, decision
FROM latest JOIN labels USING (image_key)
WHERE latest.category = '{category}' AND score IS NOT NULL
"""


def main() -> None:
    """Run the whole path and print one line a category."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder whose folders have train/good and test/")
    parser.add_argument("--store", default="real-run", help="folder to write to")
    parser.add_argument("--seeds", type=int, default=1, help="models a category, each with its own seed")
    arguments = parser.parse_args()
    folders = sorted(path for path in arguments.data.iterdir() if is_category_folder(path))
    store = open_store(arguments.store, create=True)
    store.write(SETTINGS_KEY, SETTINGS.encode())
    for folder in folders:
        import_category(arguments.store, folder, folder.name, DAY, DAY - timedelta(days=1))
    names = [folder.name for folder in folders]
    with prefect_server(), dask_cluster(load_settings(arguments.store)) as scheduler:
        results = list(_seeds(store, scheduler, names, arguments.seeds))
    _print(names, results)


def _seeds(store: Store, scheduler: str, names: list[str], seeds: int) -> Iterator[dict[str, dict[str, float]]]:
    for seed in range(seeds):
        train_model(store.uri, names, promote=True, dask_address=scheduler, options={"seed": seed})
        began = time.perf_counter()
        inspect_images(store.uri, DAY, names, dask_address=scheduler)
        seconds = time.perf_counter() - began
        yield {name: {**_figures(store, name), "night": seconds} for name in names}


def _figures(store: Store, category: str) -> dict[str, float]:
    """Of the champion that has just scored the day."""
    champion = models.read_champion(store, category)
    assert champion is not None  # the training before promoted one
    card = models.read_card(store, category, champion.version)
    table = run_query(store, SCORES_SQL.format(category=category))
    score, defect = table["score"].to_numpy(), table["is_defect"].to_numpy()
    flagged = table["is_anomalous"].to_numpy()
    open_or_flagged = table["decision"].to_numpy() != ACCEPT
    return {
        "auroc": float(roc_auc_score(defect, score)),
        "images": len(score),
        "recall": float(flagged[defect].mean()),
        "false_alarms": float(flagged[~defect].mean()),
        "defects_not_accepted": float(open_or_flagged[defect].mean()),
        "good_not_accepted": float(open_or_flagged[~defect].mean()),
        "calibrated": len(card["calibration_scores"]),
        "train_seconds": card["figures"]["training_seconds"],
        "train_images": len(card["data"]["train"]),
    }


def _print(names: list[str], results: list[dict[str, dict[str, float]]]) -> None:
    print(
        "| category | test images | image AUROC | defects above the threshold | defects not accepted "
        "| good parts above the threshold | good parts not accepted | normals that train | that calibrate "
        "| training, s |"
    )
    print("|---|---|---|---|---|---|---|---|---|---|")
    for name in names:
        column = {key: np.array([result[name][key] for result in results]) for key in results[0][name]}
        spread = f" ± {column['auroc'].std(ddof=1):.3f}" if len(results) > 1 else ""
        print(
            f"| {name} | {column['images'][0]:.0f} | {column['auroc'].mean():.3f}{spread} "
            f"| {column['recall'].mean():.3f} | {column['defects_not_accepted'].mean():.3f} "
            f"| {column['false_alarms'].mean():.3f} | {column['good_not_accepted'].mean():.3f} "
            f"| {column['train_images'][0]:.0f} | {column['calibrated'][0]:.0f} "
            f"| {column['train_seconds'].mean():.0f} |"
        )
    print(f"{len(results)} seed(s); the night took {np.mean([r[names[0]]['night'] for r in results]):.0f} s.")


if __name__ == "__main__":
    main()
