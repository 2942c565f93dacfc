"""The figures of a run as Prometheus metrics: records in, metric families and text out.

Names follow the OpenMetrics conventions: prefix `rd_inspect_`, base units (seconds, ratios), `_total` for
counters. `docs/watching.md` lists them.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric, StateSetMetricFamily
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from rd_core.drift.verdict import HOLD, RECALIBRATE, RETRAIN, STOP_THE_LINE
from tasks.drift.assess_drift import ModelDrift

PREFIX = "rd_inspect_"
STATES = ("sealed", "already sealed", "partly sealed", "failed", "no champion", "silent camera", "no images")
VERDICTS = (HOLD, RECALIBRATE, RETRAIN, STOP_THE_LINE)
RETRAININGS = ("promoted", "champion stays", "overtaken", "left as it is", "no champion", "failed")
_RUNS = f"{PREFIX}runs"
_LAST_SUCCESS = f"{PREFIX}last_success_timestamp_seconds"


@dataclass(frozen=True)
class CategoryFigures:
    """One category of a night: counts of all images in its seals, whichever run scored them."""

    category: str
    state: str
    """one of STATES"""
    model_version: str | None = None
    images: Mapping[str, int] = field(default_factory=dict)
    """by status: ok, unreadable, rejected"""
    anomalous: int = 0
    review: int = 0
    """within the threshold's 95 % interval"""
    batches: int = 0
    newest_arrival: datetime | None = None
    """when its last image came (UTC)"""
    champion_since: datetime | None = None
    seconds_by_stage: tuple[tuple[str, float], ...] = ()
    """seconds of this run by stage, summed over the workers"""


@dataclass(frozen=True)
class NightFigures:
    """One inspection run."""

    run_date: date
    started_at: datetime
    finished_at: datetime
    waiting_seconds: float
    """seconds of its wall clock spent waiting for batches and seals"""
    retries: int | None
    """task retries; None: the Prefect server did not answer"""
    categories: Sequence[CategoryFigures]


@dataclass(frozen=True)
class RunHistory:
    """A flow's counts in its last file, which continue, so that a failure does not hide the last success."""

    runs: Mapping[str, float] = field(default_factory=dict)
    """by outcome"""
    last_success: float | None = None
    """seconds since 1970"""


class _Families(Collector):
    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = list(families)

    def collect(self) -> Iterable[Metric]:
        return self._families


def registry(families: Iterable[Metric]) -> CollectorRegistry:
    """What `prometheus_client` writes out."""
    collected = CollectorRegistry()
    collected.register(_Families(families))
    return collected


def history_in(text: str, flow: str) -> RunHistory:
    """The history of a flow in a metrics file. ValueError if the text is no such file."""
    samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    of_flow = [sample for sample in samples if sample.labels.get("flow") == flow]
    runs = {sample.labels["outcome"]: sample.value for sample in of_flow if sample.name == f"{_RUNS}_total"}
    success = [sample.value for sample in of_flow if sample.name == _LAST_SUCCESS]
    return RunHistory(runs, success[0] if success else None)


def run_metrics(
    flow: str, outcome: str, *, succeeded: bool, finished_at: datetime, before: RunHistory
) -> list[Metric]:
    """How often the flow ran, by outcome; when it last ended, and when it last succeeded."""
    runs = CounterMetricFamily(
        _RUNS, "Runs of a flow by outcome, since the file was begun.", labels=["flow", "outcome"]
    )
    for name, count in {**before.runs, outcome: before.runs.get(outcome, 0) + 1}.items():
        runs.add_metric([flow, name], count)
    last = _gauge("last_run_timestamp_seconds", "When the flow last ended, whatever the outcome.", "flow")
    last.add_metric([flow], finished_at.timestamp())
    success = _gauge("last_success_timestamp_seconds", "When the flow last ended without a failure.", "flow")
    succeeded_at = finished_at.timestamp() if succeeded else before.last_success
    if succeeded_at is not None:
        success.add_metric([flow], succeeded_at)
    return [runs, last, success]


def night_metrics(night: NightFigures) -> list[Metric]:
    """Images, alarms, time and models of the last inspected night."""
    wall = (night.finished_at - night.started_at).total_seconds()
    midnight = datetime.combine(night.run_date, time(), tzinfo=night.started_at.tzinfo)
    plain = [
        _value(
            "night_day_timestamp_seconds", "Midnight (UTC) of the production day inspected.", midnight.timestamp()
        ),
        _value("night_duration_seconds", "Wall clock of the inspection.", wall),
        _value(
            "night_orchestration_seconds",
            "Wall clock not spent waiting for batches and seals: cluster, plans, reports.",
            max(0.0, wall - night.waiting_seconds),
        ),
    ]
    if night.retries is not None:
        plain.append(_value("night_retries", "Task retries in the run.", night.retries))
    states = _states("night_state", "Outcome of the category.", "category")
    for category in night.categories:
        states.add_metric([category.category], {state: state == category.state for state in STATES})
    return [*plain, states, *_counts(night.categories), *_times(night), *_models(night)]


def drift_metrics(models: Sequence[ModelDrift], in_force: Sequence[ModelDrift]) -> list[Metric]:
    """Verdicts of the champions, and the days and images behind all assessments."""
    verdicts = _states("drift_verdict", "Verdict on the category's last model.", "category", "model_version")
    for model in in_force:
        if model.action is not None:
            verdicts.add_metric(
                [model.category, model.model_version], {name: name == model.action for name in VERDICTS}
            )
    images = _gauge("drift_images", "Scored images in the drift window.", "category", "model_version")
    alarms = _gauge("drift_alarm_ratio", "Share of these images above the threshold.", "category", "model_version")
    for model in models:
        images.add_metric([model.category, model.model_version], model.images)
        if model.assessment is not None:
            alarms.add_metric([model.category, model.model_version], model.assessment.alarm_rate.rate)
    return [verdicts, images, alarms]


def retraining_metrics(outcomes: Mapping[str, str]) -> list[Metric]:
    """By category one of RETRAININGS."""
    states = _states("retraining_outcome", "Outcome of the last retraining.", "category")
    for category, outcome in outcomes.items():
        states.add_metric([category], {name: name == outcome for name in RETRAININGS})
    return [states]


def backfill_metrics(*, scored: int, mended: int, undone: int) -> list[Metric]:
    """Metrics of the last backfill."""
    return [
        _value("backfill_scored_images", "Images that the last backfill scored.", scored),
        _value(
            "backfill_mended_batches",
            "Damaged batches that the last backfill scored anew, and map metadata that it rewrote.",
            mended,
        ),
        _value("backfill_undone_partitions", "Days by category that the last backfill left undone.", undone),
    ]


def _counts(categories: Sequence[CategoryFigures]) -> list[Metric]:
    images = _gauge("night_images", "Sealed images of the night.", "category", "status")
    anomalous = _gauge("night_anomalous_images", "Sealed images of the night above the threshold.", "category")
    review = _gauge(
        "night_review_images", "Sealed images of the night within the threshold's 95 % interval.", "category"
    )
    rate = _gauge("night_alarm_ratio", "Share of the readable images above the threshold.", "category")
    batches = _gauge("night_batches", "Sealed batches of the night.", "category")
    for category in categories:
        for status, count in category.images.items():
            images.add_metric([category.category, status], count)
        if not category.images:
            continue
        anomalous.add_metric([category.category], category.anomalous)
        review.add_metric([category.category], category.review)
        batches.add_metric([category.category], category.batches)
        if category.images.get("ok"):
            rate.add_metric([category.category], category.anomalous / category.images["ok"])
    return [images, anomalous, review, rate, batches]


def _times(night: NightFigures) -> list[Metric]:
    stages = _gauge("night_stage_seconds", "Time of this run by stage, over all workers.", "category", "stage")
    lag = _gauge("arrival_lag_seconds", "From the newest image's arrival to the run's start.", "category")
    for category in night.categories:
        for stage, seconds in category.seconds_by_stage:
            stages.add_metric([category.category, stage], seconds)
        if category.newest_arrival is not None:
            lag.add_metric([category.category], (night.started_at - category.newest_arrival).total_seconds())
    return [stages, lag]


def _models(night: NightFigures) -> list[Metric]:
    since = _gauge(
        "champion_since_timestamp_seconds", "Since when the model is in force.", "category", "model_version"
    )
    age = _gauge("model_age_seconds", "How long it was in force when the run began.", "category", "model_version")
    for category in night.categories:
        if category.champion_since is not None and category.model_version is not None:
            labels = [category.category, category.model_version]
            since.add_metric(labels, category.champion_since.timestamp())
            age.add_metric(labels, (night.started_at - category.champion_since).total_seconds())
    return [since, age]


def _gauge(name: str, description: str, *labels: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(PREFIX + name, description, labels=list(labels))


def _states(name: str, description: str, *labels: str) -> StateSetMetricFamily:
    return StateSetMetricFamily(PREFIX + name, description, labels=list(labels))


def _value(name: str, description: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(PREFIX + name, description, value=value)
