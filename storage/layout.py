"""Every key of a store, made in one place.

    images/<category>/<run_date>/<name>
    labels/<category>/<name>.parquet | .csv             masks below labels/<category>/masks/
    manifests/run_date=<d>/category=<c>/<plan digest>.parquet
    maps/<category>/<run_date>/<model version>/<plan digest>.zarr
    scores/run_date=<d>/category=<c>/model_version=<v>/part-<batch digest>.parquet
    seals/run_date=<d>/category=<c>/model_version=<v>.json
    models/<category>/<version>/{weights.safetensors, card.json}
    models/<category>/champion.json
    reports/<kind>/<run_date>/<file>
    reports/drift/<first day>_<last day>/{drift.html, drift.json, drift.parquet}
    reports/golden/<run_date>/<category>/<version>.parquet
    golden/<category>.json                              golden/<category>/<version>.parquet is the reference

A key is a '/'-separated path below the store's root, without a leading '/'.
"""

import hashlib
import re
from collections.abc import Sequence
from datetime import date

from storage.errors import InvalidKey

SETTINGS_KEY = "categories.toml"
IMAGES, LABELS, MANIFESTS, MAPS = "images", "labels", "manifests", "maps"
SCORES, SEALS, MODELS, REPORTS, GOLDEN = "scores", "seals", "models", "reports", "golden"

_SEGMENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_SEAL = re.compile(
    rf"{SEALS}/run_date=(?P<day>\d{{4}}-\d\d-\d\d)/category=(?P<category>[^/]+)/model_version=(?P<version>[^/]+)\.json"
)
_LONGEST_NAME = 100
"""characters of a folder made from several names; file systems end at 255 bytes"""


def check_segment(value: str, what: str) -> str:
    """`value` if it is safe as one path segment and one Hive partition value, else InvalidKey."""
    if not _SEGMENT.fullmatch(value) or ".." in value:
        raise InvalidKey(
            f"{what} {value!r} is not a plain name: keys made from it could collide or lead elsewhere. "
            "Use letters, digits, '.', '_' and '-', beginning with a letter or digit."
        )
    return value


def why_key_is_unsafe(key: str) -> str | None:
    """Why `key` must not be opened (empty, '.' or '..' segments, NUL, backslash), or None if it is plain.

    Such keys can stand in S3, where a key is any string, but not in a folder.
    """
    if "\0" in key or "\\" in key:
        return f"key {key!r} has a NUL or a backslash"
    if any(segment in ("", ".", "..") for segment in key.split("/")):
        return f"key {key!r} has an empty, '.' or '..' segment"
    return None


def images_root() -> str:
    return f"{IMAGES}/"


def category_images_prefix(category: str) -> str:
    return f"{IMAGES}/{check_segment(category, 'category')}/"


def images_prefix(category: str, run_date: date) -> str:
    return f"{category_images_prefix(category)}{run_date.isoformat()}/"


def image_key(category: str, run_date: date, name: str) -> str:
    return images_prefix(category, run_date) + name


def labels_prefix(category: str) -> str:
    return f"{LABELS}/{check_segment(category, 'category')}/"


def labels_key(category: str, name: str) -> str:
    """`name` carries its suffix: '.parquet' or '.csv'."""
    return labels_prefix(category) + check_segment(name, "label file")


def mask_key(category: str, run_date: date, name: str) -> str:
    return f"{labels_prefix(category)}masks/{run_date.isoformat()}/{name}"


def manifest_key(category: str, run_date: date, plan_digest: str) -> str:
    return f"{MANIFESTS}/{_partition(category, run_date)}/{plan_digest}.parquet"


def map_store_key(category: str, run_date: date, model_version: str, plan_digest: str) -> str:
    version = check_segment(model_version, "model version")
    return f"{MAPS}/{check_segment(category, 'category')}/{run_date.isoformat()}/{version}/{plan_digest}.zarr"


def scores_prefix(category: str, run_date: date, model_version: str) -> str:
    version = check_segment(model_version, "model version")
    return f"{SCORES}/{_partition(category, run_date)}/model_version={version}/"


def part_key(category: str, run_date: date, model_version: str, batch_digest: str) -> str:
    return f"{scores_prefix(category, run_date, model_version)}part-{batch_digest}.parquet"


def seal_key(category: str, run_date: date, model_version: str) -> str:
    version = check_segment(model_version, "model version")
    return f"{SEALS}/{_partition(category, run_date)}/model_version={version}.json"


def models_prefix(category: str) -> str:
    return f"{MODELS}/{check_segment(category, 'category')}/"


def weights_key(category: str, version: str) -> str:
    return f"{models_prefix(category)}{check_segment(version, 'model version')}/weights.safetensors"


def card_key(category: str, version: str) -> str:
    return f"{models_prefix(category)}{check_segment(version, 'model version')}/card.json"


def models_root() -> str:
    return f"{MODELS}/"


def champion_key(category: str) -> str:
    return f"{models_prefix(category)}champion.json"


def seals_prefix(run_date: date | None = None, category: str | None = None) -> str:
    """Where seals stand: all of them, those of a day, or those of a day and a category."""
    if run_date is None:
        return f"{SEALS}/"
    if category is None:
        return f"{SEALS}/run_date={run_date.isoformat()}/"
    return f"{SEALS}/{_partition(category, run_date)}/"


def labels_root() -> str:
    return f"{LABELS}/"


def report_key(kind: str, run_date: date, name: str) -> str:
    return f"{REPORTS}/{check_segment(kind, 'report kind')}/{run_date.isoformat()}/{name}"


def _partition(category: str, run_date: date) -> str:
    return f"run_date={run_date.isoformat()}/category={check_segment(category, 'category')}"


def evaluation_prefix(first_day: date, last_day: date) -> str:
    """Where an evaluation of these days, both included, lies."""
    return f"{REPORTS}/evaluation/{first_day.isoformat()}_{last_day.isoformat()}/"


def evaluation_partition_prefix(
    first_day: date, last_day: date, category: str, run_date: date, model_version: str
) -> str:
    """Where it keeps what it counted in one partition."""
    version = check_segment(model_version, "model version")
    within = f"partitions/{check_segment(category, 'category')}/{run_date.isoformat()}/{version}/"
    return evaluation_prefix(first_day, last_day) + within


def drift_prefix(first_day: date, last_day: date, categories: Sequence[str] = ()) -> str:
    """Where the drift report of these days, both included, lies; one of chosen categories below that of all."""
    chosen = "_".join(check_segment(category, "category") for category in categories)
    if len(chosen) > _LONGEST_NAME:
        chosen = hashlib.sha256(chosen.encode()).hexdigest()[:16]
    return f"{REPORTS}/drift/{first_day.isoformat()}_{last_day.isoformat()}/{f'{chosen}/' if chosen else ''}"


def golden_set_key(category: str) -> str:
    """Which images are a category's golden ones."""
    return f"{GOLDEN}/{check_segment(category, 'category')}.json"


def golden_reference_key(category: str, version: str) -> str:
    """What a model version said of the golden images the first time."""
    return f"{GOLDEN}/{check_segment(category, 'category')}/{check_segment(version, 'model version')}.parquet"


def golden_scores_key(run_date: date, category: str, version: str) -> str:
    """What it said of them on that day."""
    name = f"{check_segment(category, 'category')}/{check_segment(version, 'model version')}.parquet"
    return report_key("golden", run_date, name)


def seal_partition(key: str) -> tuple[str, date, str] | None:
    """(category, production day, model version) that the seal of this key is of; None if it is no seal's key."""
    found = _SEAL.fullmatch(key)
    return (found["category"], date.fromisoformat(found["day"]), found["version"]) if found else None
