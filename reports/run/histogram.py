"""The distribution of a night's scores against the calibration normals and the threshold, as inline SVG."""

from dataclasses import dataclass

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from reports import number_format
from reports.axis import drawable, length, round_values

_WIDTH, _HEIGHT = 520, 210
_LEFT, _RIGHT, _TOP, _BOTTOM = 40, 12, 26, 38
_MOST_BINS = 48
_FEW = 0.05
"""share of far values below which they are gathered in the last bin"""


@dataclass(frozen=True)
class _Bins:
    edges: NDArray[np.float64]
    overflow: bool
    """True if the last bin also holds everything above it"""


def score_histogram(
    scores: NDArray[np.floating],
    calibration_scores: NDArray[np.floating],
    threshold: float | None,
    title: str,
) -> Markup:
    """An SVG element, coloured by the page's CSS, with a text for screen readers and one a bar for the mouse.

    scores, calibration_scores: (n,), any n; values that are not finite are left out. Heights are shares of each
    group, so groups of different sizes compare. The threshold is always an edge between two bins. Empty if there is
    not one score.
    """
    scores, calibration = _finite(scores), _finite(calibration_scores)
    if not len(scores) and not len(calibration):
        return Markup("")
    threshold = float(drawable(threshold)) if threshold is not None and np.isfinite(threshold) else None
    bins = _bins(np.concatenate([scores, calibration, [] if threshold is None else [threshold]]), threshold)
    tonight, normal = _shares(scores, bins), _shares(calibration, bins)
    top = max(float(tonight.max(initial=0)), float(normal.max(initial=0)), 1e-9)
    parts = [
        _y_axis(top),
        _bars(tonight, len(scores), bins, top, threshold),
        _outline(normal, bins, top) if len(calibration) else Markup(""),
        _threshold_line(threshold, bins) if threshold is not None else Markup(""),
        _x_axis(bins),
    ]
    return Markup(
        '<svg class="chart" viewBox="0 0 {} {}" role="img"><title>{}</title><desc>{}</desc>{}</svg>'
    ).format(_WIDTH, _HEIGHT, title, _description(scores, calibration, threshold), Markup("").join(parts))


def _finite(values: NDArray[np.floating]) -> NDArray[np.float64]:
    values = np.asarray(values, np.float64).ravel()
    return drawable(values[np.isfinite(values)])


def _bins(values: NDArray[np.float64], threshold: float | None) -> _Bins:
    """Equal bins with an edge at the threshold. A few far values share the last bin, lest they flatten the rest."""
    low, high = float(values.min()), float(values.max())
    lower, upper = np.percentile(values, [25, 75])
    reach = float(upper) + 5 * float(upper - lower)
    if threshold is not None:
        reach = max(reach, threshold + 1.5 * (threshold - low))
    overflow = 0 < float((values > reach).mean()) < _FEW
    end = reach if overflow else high
    span = length(low, end)
    # Freedman and Diaconis' width, within what a chart of this size can show.
    width = 2 * float(upper - lower) / max(len(values), 1) ** (1 / 3)
    width = float(np.clip(width, span / _MOST_BINS, span / 12))
    anchor = low if threshold is None else threshold
    # One bin before the threshold at least: a score equal to it needs a place that is no alarm.
    before = max(1, int(np.ceil((anchor - low) / width - 1e-9)))
    after = int(np.ceil((end - anchor) / width + 1e-9))
    if anchor + after * width <= end:
        after += 1
    return _Bins(anchor + width * np.arange(-before, after + 1, dtype=np.float64), overflow)


def _shares(values: NDArray[np.float64], bins: _Bins) -> NDArray[np.float64]:
    """Share of `values` in each bin; a bin holds its upper edge, so a score equal to the threshold is no alarm."""
    if not len(values):
        return np.zeros(len(bins.edges) - 1)
    index = np.clip(np.searchsorted(bins.edges, values, side="left") - 1, 0, len(bins.edges) - 2)
    return np.bincount(index, minlength=len(bins.edges) - 1) / len(values)


def _x(value: float, bins: _Bins) -> float:
    low, high = bins.edges[0], bins.edges[-1]
    return _LEFT + (value - low) / (high - low) * (_WIDTH - _LEFT - _RIGHT)


def _y(share: float, top: float) -> float:
    return _HEIGHT - _BOTTOM - share / top * (_HEIGHT - _TOP - _BOTTOM)


def _bars(shares: NDArray, total: int, bins: _Bins, top: float, threshold: float | None) -> Markup:
    drawn = []
    for index, share in enumerate(shares):
        if not share:
            continue
        low, high = bins.edges[index], bins.edges[index + 1]
        alarm = threshold is not None and low >= threshold - 1e-9 * abs(threshold)
        last = bins.overflow and index == len(shares) - 1
        text = (
            f"{number_format.counted(round(share * total), 'image')} ({number_format.percent(share)}) with scores "
            + (f"above {low:.4g}" if last else f"from {low:.4g} to {high:.4g}")
            + (", above the threshold" if alarm else "")
        )
        left, right, height = _x(low, bins), _x(high, bins), max(1.5, _y(0, top) - _y(share, top))
        drawn.append(
            Markup(
                '<rect class="{}" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}"><title>{}</title></rect>'
            ).format(
                "bar alarm" if alarm else "bar",
                left + 0.5,
                _y(0, top) - height,
                max(1.0, right - left - 1),
                height,
                text,
            )
        )
    return Markup("").join(drawn)


def _outline(shares: NDArray, bins: _Bins, top: float) -> Markup:
    """The calibration normals as a stepped line, so that both groups can be seen at one place."""
    points = [(bins.edges[0], 0.0)]
    for index, share in enumerate(shares):
        points += [(bins.edges[index], share), (bins.edges[index + 1], share)]
    points.append((bins.edges[-1], 0.0))
    path = " ".join(f"{_x(value, bins):.1f},{_y(share, top):.1f}" for value, share in points)
    return Markup('<polyline class="normals" points="{}"/>').format(path)


def _threshold_line(threshold: float, bins: _Bins) -> Markup:
    x = _x(threshold, bins)
    left = x > _WIDTH * 0.62
    return Markup(
        '<line class="threshold" x1="{x:.1f}" x2="{x:.1f}" y1="{top}" y2="{base}"/>'
        '<text class="threshold" x="{label:.1f}" y="15" text-anchor="{anchor}">threshold {value}</text>'
    ).format(
        x=x,
        top=_TOP - 18,
        base=_HEIGHT - _BOTTOM,
        label=x - 5 if left else x + 5,
        anchor="end" if left else "start",
        value=number_format.score(threshold),
    )


def _x_axis(bins: _Bins) -> Markup:
    low, high = float(bins.edges[0]), float(bins.edges[-1])
    base = _HEIGHT - _BOTTOM
    ticks = Markup("").join(
        Markup('<text x="{:.1f}" y="{}" text-anchor="middle">{:.3g}</text>').format(_x(value, bins), base + 15, value)
        for value in round_values(low, high)
    )
    more = Markup('<text x="{}" y="{}" text-anchor="end">and above →</text>').format(_WIDTH - _RIGHT, base + 31)
    return Markup('<line class="axis" x1="{}" x2="{}" y1="{}" y2="{}"/>{}<text x="{}" y="{}">score</text>{}').format(
        _LEFT, _WIDTH - _RIGHT, base, base, ticks, _LEFT, base + 31, more if bins.overflow else ""
    )


def _y_axis(top: float) -> Markup:
    return Markup("").join(
        Markup(
            '<line class="grid" x1="{}" x2="{}" y1="{y:.1f}" y2="{y:.1f}"/>'
            '<text x="{}" y="{text:.1f}" text-anchor="end">{}</text>'
        ).format(
            _LEFT, _WIDTH - _RIGHT, _LEFT - 5, f"{100 * share:.3g}\u202f%", y=_y(share, top), text=_y(share, top) + 4
        )
        for share in round_values(0, top, about=2)
        if share > 0
    )


def _description(scores: NDArray, calibration: NDArray, threshold: float | None) -> str:
    parts = [f"{number_format.counted(len(scores), 'image')} of this run"]
    if len(scores):
        parts.append(f"with scores from {scores.min():.4g} to {scores.max():.4g}, median {np.median(scores):.4g}")
    if len(calibration):
        parts.append(
            f"; {number_format.counted(len(calibration), 'held-out good image')} from {calibration.min():.4g} to "
            f"{calibration.max():.4g}, median {np.median(calibration):.4g}"
        )
    if threshold is not None:
        above = number_format.counted(int((scores > threshold).sum()), "image")
        parts.append(f"; threshold {threshold:.4g}, {above} above it")
    return " ".join(parts).replace(" ;", ";") + "."
