"""Drift reports for tests; every field can be set."""

from datetime import UTC, date, datetime, timedelta

from reports.drift.verdicts import AlarmFigures, CategorySection, DriftFigure, DriftReport, ModelSection

FIRST = date(2026, 3, 1)
BY_DAY = (
    "alarm_rate",
    "bulk_average",
    "bulk_sum",
    "alarm_sum",
    "brightness",
    "contrast",
    "sharpness",
    "edge_centre_x",
    "edge_centre_y",
    "feature_distance",
)


def day_figure(number: int = 0, **fields: object) -> DriftFigure:
    day = FIRST + timedelta(days=number)
    return DriftFigure(
        **{
            "name": "brightness", "first_day": day, "last_day": day, "value": 0.5, "band_low": 0.4, "band_high": 0.6,
            "low": 0.45, "high": 0.55, "images": 80, "outside": False, **fields,
        }
    )  # fmt: skip


def figures(days: int = 10, outside: tuple[int, ...] = (), start: int = 0) -> tuple[DriftFigure, ...]:
    """Every figure of a model; the given days are outside in all of them."""
    by_day = tuple(
        day_figure(n, name=name, value=0.9 if n in outside else 0.5, outside=n in outside)
        for name in BY_DAY
        for n in range(start, start + days)
    )
    names = ("quantile_0.5", "quantile_0.9", "kolmogorov_smirnov", "wasserstein")
    last = FIRST + timedelta(days=start + days - 1)
    return by_day + tuple(
        day_figure(
            start, name=name, last_day=last, value=2.0 if outside else 0.0, band_low=-0.5, outside=bool(outside)
        )
        for name in names
    )


def model(**fields: object) -> ModelSection:
    return ModelSection(
        **{
            "model_version": "v1-abc", "method": "padim", "first_day": FIRST,
            "last_day": FIRST + timedelta(days=9), "images": 800, "unscored": 0,
            "threshold": 3.4, "calibration_images": 300, "action": "hold",
            "reasons": ("Alarms and scores are within what chance and ordinary defects bring.",),
            "alarms": AlarmFigures(800, 16, 0.02, 0.011, 0.032, 0.02, 2, 60), "p_value": 0.4, "stands": False,
            "figures": figures(), **fields,
        }
    )  # fmt: skip


def section(category: str = "cloth", **fields: object) -> CategorySection:
    return CategorySection(category, (model(**fields),))


def report(*sections: CategorySection, **fields: object) -> DriftReport:
    return DriftReport(
        **{
            "first_day": FIRST, "last_day": FIRST + timedelta(days=29), "run_id": "run-1", "store_uri": "s3://plant",
            "made_at": datetime(2026, 4, 1, 5, tzinfo=UTC), "categories": sections or (section(),), "failed": (),
            "run_length_days": 2000.0, "software": {"python": "3.11.7"}, **fields,
        }
    )  # fmt: skip
