"""Every key of a store, made in one place.

    images/<category>/<run_date>/<name>
    labels/<category>/<name>.parquet | .csv | .tsv      masks below labels/<category>/masks/
    labels/<category>/review-<reviewer>-<day>.parquet   what was said on the review page, appended to
    regions/<category>.json | .png                      its ignored region, with all earlier ones; or a mask by hand
    manifests/run_date=<d>/category=<c>/<plan digest>.parquet
    maps/<category>/<run_date>/<model version>/<plan digest>.zarr
    maps/<category>/<run_date>/<model version>/<plan digest>.expired.json     in their place, past their retention
    scores/run_date=<d>/category=<c>/model_version=<v>/part-<batch digest>.parquet
    seals/run_date=<d>/category=<c>/model_version=<v>.json
    models/<category>/<version>/{weights.safetensors, card.json, decision.json}
    models/<category>/champion.json
    trainings/<category>/<training digest>.safetensors   the last state of a training, until its model is published
    comparisons/<category>/<id>/{plan.json, comparison.json, comparison.html, figures.parquet, scores.parquet}
    comparisons/<category>/contenders/<digest>/{contender.json, scores-<digest>.parquet, maps-<digest>.npz}
    reports/index.html                                  links all that lies below reports/, and comparisons
    reports/<kind>/<run_date>/<file>
    reports/drift/<first day>_<last day>/{drift.html, drift.json, drift.parquet}
    reports/golden/<run_date>/<category>/<scale>.parquet
    reports/training/<run_date>/<category>/<model version>.html     the normals that a training set aside
    reports/retraining/<run_date>/<category>/<run id>/{retraining.html, retraining.json, *.parquet}
    golden/<category>.json                              golden/<category>/<scale>.parquet is the reference
    settled/run_date=<d>/category=<c>.parquet           which objects of a copied store are the images scored
    merged/{index.parquet, <run_date>-<digest>.parquet, <run_date>-<digest>-superseded.parquet}   copies, for queries

A key is a '/'-separated path below the store's root, without a leading '/'.
"""

import hashlib
import re
import unicodedata
from collections.abc import Sequence
from datetime import date

from storage.errors import InvalidKey

SETTINGS_KEY = "categories.toml"
INDEX_KEY = "reports/index.html"
MERGED_PREFIX, MERGED_INDEX_KEY = "merged/", "merged/index.parquet"
IMAGES, LABELS, MANIFESTS, MAPS = "images", "labels", "manifests", "maps"
SCORES, SEALS, MODELS, REPORTS, GOLDEN = "scores", "seals", "models", "reports", "golden"
TRAININGS, SETTLED, REGIONS, COMPARISONS, CONTENDERS = "trainings", "settled", "regions", "comparisons", "contenders"

_SEGMENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_SEAL = re.compile(
    rf"{SEALS}/run_date=(?P<day>\d{{4}}-\d\d-\d\d)/category=(?P<category>[^/]+)/model_version=(?P<version>[^/]+)\.json"
)
_IMAGE = re.compile(rf"{IMAGES}/[^/]+/(?P<day>\d{{4}}-\d\d-\d\d)/.")
_DAY_AND_CATEGORY = r"run_date=(?P<day>\d{4}-\d\d-\d\d)/category=(?P<category>[^/]+)"
_MANIFEST = re.compile(rf"{MANIFESTS}/{_DAY_AND_CATEGORY}/(?P<digest>[^/]+)\.parquet")
_PART = re.compile(rf"{SCORES}/{_DAY_AND_CATEGORY}/model_version=(?P<version>[^/]+)/part-[^/]+\.parquet")
_IN_MAPS = re.compile(
    rf"(?P<store>{MAPS}/(?P<category>[^/]+)/(?P<day>\d{{4}}-\d\d-\d\d)/[^/]+/[^/]+\.zarr)/.+", re.DOTALL
)
_DAY = re.compile(r"\d{4}-\d\d-\d\d")
_LONGEST_NAME = 100
"""characters of a folder named after several names; file systems allow 255 bytes"""
_LONGEST_REVIEWER = 40
"""characters of a reviewer's name in a key, beside its hash"""


def check_segment(value: str, what: str) -> str:
    """`value` if it is safe as a path segment and Hive partition value, else InvalidKey."""
    if not is_plain(value):
        raise InvalidKey(
            f"{what} {value!r} is not a plain name: keys made from it could collide or lead elsewhere. "
            "Use letters, digits, '.', '_' and '-', beginning with a letter or digit."
        )
    return value


def is_plain(name: str) -> bool:
    """Whether the name can be part of a key, as a category or model version."""
    return bool(_SEGMENT.fullmatch(name)) and ".." not in name


def why_key_is_unsafe(key: str) -> str | None:
    """Why `key` must not be opened (empty, '.' or '..' segments, NUL, backslash), or None.

    S3 allows such keys, folders do not.
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


def review_labels_key(category: str, reviewer: str, day: date) -> str:
    """The key of a reviewer's labels of a day. `reviewer`: any text that is not blank, see `reviewer_segment`."""
    return labels_key(category, f"review-{reviewer_segment(reviewer)}-{day.isoformat()}.parquet")


def reviewer_segment(reviewer: str) -> str:
    """A person's name as a unique path segment: its letters and digits, and a hash."""
    if not reviewer.strip():
        raise InvalidKey("the reviewer has no name, so nobody could tell whose labels these are. Give a name.")
    plain = unicodedata.normalize("NFKD", reviewer).encode("ascii", "ignore").decode().lower()
    words = re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:_LONGEST_REVIEWER].strip("-")
    digest = hashlib.sha256(reviewer.encode("utf-8", "surrogatepass")).hexdigest()[:12]
    return f"{words}-{digest}" if words else digest


def mask_key(category: str, run_date: date, name: str) -> str:
    return f"{labels_prefix(category)}masks/{run_date.isoformat()}/{name}"


def region_key(category: str, suffix: str = "json") -> str:
    """The key of the category's ignored region; with the suffix 'png', of a mask that a person put there."""
    return f"{REGIONS}/{check_segment(category, 'category')}.{suffix}"


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


def decision_key(category: str, version: str) -> str:
    """The gate's comparison of the version with the champion of that time."""
    return f"{models_prefix(category)}{check_segment(version, 'model version')}/decision.json"


def training_state_key(category: str, training_digest: str) -> str:
    return f"{TRAININGS}/{check_segment(category, 'category')}/{training_digest}.safetensors"


def comparisons_prefix(category: str, comparison: str = "") -> str:
    """The prefix of a category's comparisons of methods, or of one of them."""
    within = f"{check_segment(comparison, 'comparison')}/" if comparison else ""
    return f"{COMPARISONS}/{check_segment(category, 'category')}/{within}"


def contender_prefix(category: str, digest: str) -> str:
    """The prefix of what a contender of comparisons left; digest: of all that decides about it."""
    return f"{comparisons_prefix(category)}{CONTENDERS}/{check_segment(digest, 'contender')}/"


def champion_key(category: str) -> str:
    return f"{models_prefix(category)}champion.json"


def seals_prefix(run_date: date | None = None, category: str | None = None) -> str:
    """The prefix of all seals, of a day's, or of a day's and category's."""
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
    """The prefix of the evaluation of these days, both included."""
    return f"{REPORTS}/evaluation/{first_day.isoformat()}_{last_day.isoformat()}/"


def evaluation_partition_prefix(
    first_day: date, last_day: date, category: str, run_date: date, model_version: str
) -> str:
    """The prefix of an evaluation's counts of one partition."""
    version = check_segment(model_version, "model version")
    within = f"partitions/{check_segment(category, 'category')}/{run_date.isoformat()}/{version}/"
    return evaluation_prefix(first_day, last_day) + within


def drift_prefix(first_day: date, last_day: date, categories: Sequence[str] = ()) -> str:
    """The prefix of the drift report of these days, both included; that of chosen categories is below that of all."""
    chosen = "_".join(check_segment(category, "category") for category in categories)
    if len(chosen) > _LONGEST_NAME:
        chosen = hashlib.sha256(chosen.encode()).hexdigest()[:16]
    return f"{REPORTS}/drift/{first_day.isoformat()}_{last_day.isoformat()}/{f'{chosen}/' if chosen else ''}"


def golden_set_key(category: str) -> str:
    """The key of a category's list of golden images."""
    return f"{GOLDEN}/{check_segment(category, 'category')}.json"


def golden_reference_key(category: str, scale: str) -> str:
    """The key of the first scores of the golden images by weights and a view; scale: of their cards."""
    return f"{GOLDEN}/{check_segment(category, 'category')}/{check_segment(scale, 'scale')}.parquet"


def golden_scores_key(run_date: date, category: str, scale: str) -> str:
    """The key of their scores of them on that day."""
    name = f"{check_segment(category, 'category')}/{check_segment(scale, 'scale')}.parquet"
    return report_key("golden", run_date, name)


def seal_partition(key: str) -> tuple[str, date, str] | None:
    """(category, production day, model version) of this seal's key; None for another key."""
    return _with_day(_SEAL.fullmatch(key), "version")


def production_day(key: str) -> date | None:
    """The production day of this image's key; None for another key."""
    match = _IMAGE.match(key)
    try:
        return date.fromisoformat(match["day"]) if match else None
    except ValueError:
        return None


def retraining_prefix(run_date: date, category: str, run_id: str) -> str:
    """The prefix of a retraining's results for a category."""
    within = f"{check_segment(category, 'category')}/{check_segment(run_id, 'run id')}/"
    return report_key("retraining", run_date, within)


def set_aside_key(run_date: date, category: str, version: str) -> str:
    """The key of the page with the normals that the training of this model set aside on that day."""
    name = f"{check_segment(category, 'category')}/{check_segment(version, 'model version')}.html"
    return report_key("training", run_date, name)


def manifest_partition(key: str) -> tuple[str, date, str] | None:
    """(category, production day, plan digest) of this manifest's key; None for another key."""
    return _with_day(_MANIFEST.fullmatch(key), "digest")


def part_partition(key: str) -> tuple[str, date, str] | None:
    """(category, production day, model version) of this Parquet part's key; None for another key."""
    return _with_day(_PART.fullmatch(key), "version")


def map_partition(key: str) -> tuple[str, date, str] | None:
    """(category, production day, map store) of an object within a map store; None for another key."""
    return _with_day(_IN_MAPS.fullmatch(key), "store")


def maps_manifest_key(map_store: str) -> str:
    """The key of the manifest of the plan that made a map store. Raises InvalidKey for another key."""
    within = map_partition(f"{map_store}/zarr.json")
    if within is None:
        raise InvalidKey(
            f"{map_store} is no map store, so nothing says how its maps were made. Restore the manifest."
        )
    return manifest_key(within[0], within[1], map_store.rpartition("/")[2].removesuffix(".zarr"))


def expired_maps_key(map_store: str) -> str:
    """The key of the note, beside a map store, that its maps were removed on purpose."""
    return f"{map_store.removesuffix('.zarr')}.expired.json"


def manifests_root() -> str:
    return f"{MANIFESTS}/"


def _with_day(match: re.Match[str] | None, group: str) -> tuple[str, date, str] | None:
    """(category, production day, the match of `group`); None for impossible days, such as 2026-02-30."""
    day = day_named(match["day"]) if match else None
    return (match["category"], day, match[group]) if match and day else None


def day_named(name: str) -> date | None:
    """The production day of a folder of this name, or None."""
    try:
        day = date.fromisoformat(name)
    except ValueError:
        return None
    return day if day.isoformat() == name else None


def path_from_index(key: str) -> str:
    """The report's path relative to the index page, so that the store can be copied."""
    return key.removeprefix(f"{REPORTS}/") if key.startswith(f"{REPORTS}/") else f"../{key}"


def reports_prefix(kind: str, name: str = "") -> str:
    """The prefix of reports of a kind; `name`: the folder of one or several days."""
    return f"{REPORTS}/{check_segment(kind, 'report kind')}/{f'{name}/' if name else ''}"


def folder_day(name: str) -> date | None:
    """The day of a folder, such as '2026-03-02' or 'run_date=2026-03-02'; None for another name."""
    day = name.removeprefix("run_date=")
    try:
        return date.fromisoformat(day) if _DAY.fullmatch(day) else None
    except ValueError:
        return None


def folder_days(name: str) -> tuple[date, date] | None:
    """First and last day of a drift report's or an evaluation's folder; None for another name."""
    first, _, last = name.partition("_")
    days = folder_day(first), folder_day(last)
    return (days[0], days[1]) if days[0] and days[1] and days[0] <= days[1] else None


def manifests_prefix(category: str, run_date: date) -> str:
    return f"{MANIFESTS}/{_partition(category, run_date)}/"


def scores_root() -> str:
    return f"{SCORES}/"


def day_scores_prefix(category: str, run_date: date) -> str:
    """The prefix of the scores of all model versions."""
    return f"{SCORES}/{_partition(category, run_date)}/"


def maps_root() -> str:
    return f"{MAPS}/"


def day_maps_prefix(category: str, run_date: date) -> str:
    """The prefix of the maps of all model versions."""
    return f"{MAPS}/{check_segment(category, 'category')}/{run_date.isoformat()}/"


def version_maps_prefix(category: str, run_date: date, model_version: str) -> str:
    """The prefix of the maps of one model version."""
    return f"{day_maps_prefix(category, run_date)}{check_segment(model_version, 'model version')}/"


def settled_key(category: str, run_date: date) -> str:
    """The key of the table of objects that have the scored bytes under other etags."""
    return f"{SETTLED}/run_date={run_date.isoformat()}/category={check_segment(category, 'category')}.parquet"


def merged_key(run_date: date, digest: str, *, superseded: bool = False) -> str:
    """The key of a day's merged rows: each image's latest, or the superseded ones."""
    return f"{MERGED_PREFIX}{run_date.isoformat()}-{digest}{'-superseded' if superseded else ''}.parquet"
