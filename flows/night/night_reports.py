"""The reports at the end of a night: evaluation, drift, index page. A report that fails never hides the night."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime

from prefect import get_run_logger

from flows.drift import report_drift
from flows.errors import PartlyDone, in_words
from flows.evaluation import evaluate_if_labelled
from flows.preflight.drift_choice import last_inspected_day
from flows.settings import Settings
from reports.evaluation.words import WORDS, in_digits
from storage.filesystem import open_store
from storage.models.models import list_model_categories
from tasks.index.write_index import write_index

WRITTEN, NOTHING, FAILED = "written", "nothing to report", "failed"


@dataclass(frozen=True)
class NightReport:
    """Result of one of a night's reports."""

    kind: str
    """evaluation | drift | index"""
    state: str
    """written | nothing to report | failed"""
    message: str
    report: str | None = None
    """key of the HTML"""


def report_night(settings: Settings, day: date, categories: Sequence[str] | None) -> tuple[NightReport, ...]:
    """Evaluate the night where it is labelled, assess drift up to it, write the index; each even if others fail.
    `categories`: those requested; None for the whole plant."""
    chosen = list(categories) if categories else None
    return (
        _attempt("evaluation", lambda: _evaluation(settings, day, chosen)),
        _attempt("drift", lambda: _drift(settings, day, chosen)),
        _attempt("index", lambda: _index(settings, day)),
    )


def report_silence(settings: Settings, day: date) -> NightReport:
    """Write only the index page, after a night without images."""
    return _attempt("index", lambda: _index(settings, day))


def _attempt(kind: str, work: Callable[[], NightReport]) -> NightReport:
    try:
        return work()
    except PartlyDone as e:
        return NightReport(kind, FAILED, str(e), e.run.report)
    except Exception as e:  # noqa: BLE001  # the night is sealed; any failure becomes this report's outcome
        get_run_logger().exception("report failed kind=%s", kind)
        return NightReport(kind, FAILED, in_words(e))


def _evaluation(settings: Settings, day: date, chosen: list[str] | None) -> NightReport:
    run = evaluate_if_labelled(settings.store, day, day, chosen, images=settings.images)
    if run is None:
        return NightReport("evaluation", NOTHING, f"no image of {day} is labelled for evaluation")
    means = "; ".join(f"{WORDS[mean.name].title} {in_digits(mean)}" for mean in run.means if mean.value is not None)
    return NightReport("evaluation", WRITTEN, means or "no figure", run.report)


def _drift(settings: Settings, day: date, chosen: list[str] | None) -> NightReport:
    store = open_store(settings.store, read_only=True)
    last = last_inspected_day(store)
    if last != day:  # an old day scored later says nothing of today, and must not call for a retraining
        only = f"the last complete day, {last}" if last else "complete days, and none is complete yet"
        return NightReport("drift", NOTHING, f"the drift report covers only {only}")
    run = report_drift(settings.store, None, day, chosen, images=settings.images, golden=True)
    if run.report is None:
        return NightReport("drift", NOTHING, "no complete day")
    return NightReport("drift", WRITTEN, f"verdict {run.verdict or 'none: too few images yet'}", run.report)


def _index(settings: Settings, day: date) -> NightReport:
    names = list_model_categories(open_store(settings.store, read_only=True))
    made_every_day = [name for name in names if settings.category(name).every_day]
    written = write_index(settings.store, datetime.now(UTC), settings.images, day, made_every_day)
    return NightReport("index", WRITTEN, "\n".join(written.needs) or "nothing to do", written.key)
