"""The drift assessment of one category and model version over one window."""

from dataclasses import dataclass
from datetime import date

import numpy as np

from rd_core.drift.alarm_rate import ABOVE, WITHIN, AlarmRate, alarm_rate, alarm_rate_by_day
from rd_core.drift.causes import FEATURE_DISTANCE, SCORE, Cause, causes
from rd_core.drift.control_charts import ALARM_SUM, Chart, control_charts
from rd_core.drift.distances import KOLMOGOROV_SMIRNOV, Distance, distances
from rd_core.drift.golden import GoldenReplay, golden_replay
from rd_core.drift.recalibration import Recalibration, recalibrate
from rd_core.drift.settings import DriftSettings
from rd_core.drift.shift import Shift, median_shift
from rd_core.drift.verdict import Reason, Verdict, verdict
from rd_core.drift.window import Baseline, Window


@dataclass(frozen=True)
class DriftAssessment:
    """Plain numbers, words and ISO dates: `json.dumps(dataclasses.asdict(...))` works."""

    first_day: str
    """ISO date of the window's first image"""
    last_day: str
    """and of its last"""
    images: int
    """scored, in the window"""
    calibration_images: int
    """held-out normals of the baseline"""
    verdict: Verdict
    """what to do, and why"""
    causes: tuple[Cause, ...]
    """strongest first"""
    changed_since: str | None
    """most likely first day of the change, if a control chart is out of its limits on the last day"""
    alarm_rate: AlarmRate
    """of the whole window"""
    recent_alarm_rate: AlarmRate
    """since the change; of the whole window without one"""
    alarm_rate_by_day: tuple[AlarmRate, ...]
    """for charts"""
    recalibration: Recalibration | None
    """on the images since the change"""
    p_value: float
    """Kolmogorov-Smirnov, of the whole window: for `false_discovery.discoveries` over categories"""
    distances: tuple[Distance, ...]
    """of the whole window"""
    charts: tuple[Chart, ...]
    shifts: tuple[Shift, ...]
    """of the score and of each image statistic, since the change"""
    golden: GoldenReplay | None
    """None without golden images"""
    settings: DriftSettings
    """used for all of this"""


def assess(window: Window, baseline: Baseline, settings: DriftSettings | None = None) -> DriftAssessment:
    """Compare the window with the baseline of the same category and model version."""
    settings = settings or DriftSettings()
    charts = control_charts(window, baseline, settings)
    since = _changed_since(charts)
    recent = window.since(date.fromisoformat(since).toordinal()) if since else window
    rate, recent_rate = (alarm_rate(w, baseline, settings) for w in (window, recent))
    effects = distances(window, baseline, settings)
    p_value = next(d.p_value for d in effects if d.name == KOLMOGOROV_SMIRNOV)
    signs = [*_alarm_signs(rate, charts), *_score_signs(window, baseline, charts, settings)]
    shifts = _shifts(recent, baseline, settings)
    score = next((s for s in shifts if s.name == SCORE), None)
    golden = golden_replay(window, baseline, settings)
    alarms_rose = bool(signs) and (ABOVE in (rate.verdict, recent_rate.verdict) or _is_out(charts, ALARM_SUM))
    probable = causes(shifts, recent_rate, alarms_rose and not _ordinary_moved(recent, baseline, settings), golden)
    return DriftAssessment(
        first_day=rate.first_day,
        last_day=rate.last_day,
        images=len(window.scores),
        calibration_images=len(baseline.scores),
        verdict=verdict(signs, probable, score, settings),
        causes=probable,
        changed_since=since,
        alarm_rate=rate,
        recent_alarm_rate=recent_rate,
        alarm_rate_by_day=alarm_rate_by_day(window, baseline, settings),
        recalibration=recalibrate(recent, baseline, settings),
        p_value=p_value,
        distances=effects,
        charts=charts,
        shifts=shifts,
        golden=golden,
        settings=settings,
    )


def _changed_since(charts: tuple[Chart, ...]) -> str | None:
    """The first day of the change by the chart that is furthest out of its limits."""
    out = [c for c in charts if c.out_since]
    return max(out, key=lambda c: abs(c.values[-1]) / c.limit).out_since if out else None


def _is_out(charts: tuple[Chart, ...], name: str) -> bool:
    return any(c.name == name and c.out_since for c in charts)


def _alarm_signs(rate: AlarmRate, charts: tuple[Chart, ...]) -> list[Reason]:
    signs = []
    if rate.verdict != WITHIN:
        signs.append(
            Reason(
                "alarm rate",
                f"{rate.alarms} of {rate.images} images raised an alarm, {rate.rate:.2%} where {rate.alpha:.2%} of "
                f"good parts were promised: {rate.verdict} the expected range of {rate.in_control_low} to "
                f"{rate.in_control_high} alarms.",
            )
        )
    since = next((c.out_since for c in charts if c.name == ALARM_SUM), None)
    if since:
        signs.append(Reason(ALARM_SUM, f"Alarms have come more often than before, most likely since {since}."))
    return signs


def _score_signs(
    window: Window, baseline: Baseline, charts: tuple[Chart, ...], settings: DriftSettings
) -> list[Reason]:
    signs = []
    for chart in charts:
        if chart.out_since and chart.name != ALARM_SUM:
            way = "up" if chart.values[-1] > 0 else "down"
            sentence = f"Most scores have gone {way}, most likely since {chart.out_since}."
            signs.append(Reason(chart.name, sentence))
    whole = median_shift(SCORE, window.scores, baseline.scores, settings.bulk_shift, settings.significance)
    if whole and whole.moved:
        sentence = (
            f"Over the whole window the scores lie {whole.shift:+.1f} standard deviations ({whole.low:+.1f} to "
            f"{whole.high:+.1f}) from those of held-out good images, more than chance brings."
        )
        signs.append(Reason("score shift", sentence))
    return signs


def _ordinary_moved(recent: Window, baseline: Baseline, settings: DriftSettings) -> bool:
    """Whether parts without an alarm score differently from the calibration set.

    Over all parts, one defect in five would shift the median by 0.3 standard deviations.
    """
    quiet, held = (scores[scores <= baseline.threshold] for scores in (recent.scores, baseline.scores))
    moved = median_shift(SCORE, quiet, held, settings.bulk_shift, settings.significance)
    return moved is None or moved.moved


def _shifts(recent: Window, baseline: Baseline, settings: DriftSettings) -> tuple[Shift, ...]:
    """Shifts of the score and of each statistic that both sides have; feature distance over images without an alarm,
    if there are any, because it asks whether ordinary parts differ."""
    level = settings.significance
    shifts = [median_shift(SCORE, recent.scores, baseline.scores, settings.bulk_shift, level)]
    quiet = recent.scores <= baseline.threshold
    for name, values in recent.statistics.items():
        held = baseline.statistics.get(name, np.empty(0))
        chosen = values[quiet] if name == FEATURE_DISTANCE and quiet.any() else values
        shifts.append(median_shift(name, chosen, held, settings.image_shift, level))
    return tuple(s for s in shifts if s)
