"""A histogram of the scores of two groups with the threshold, as inline SVG."""

from dataclasses import dataclass

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from reports import number_format
from reports.svg import Axes, Scale, bar, drawable, joined, length, picture, text

_MOST_BINS = 48
_FEW = 0.05
"""largest share of far values that the last bin gathers"""


@dataclass(frozen=True, eq=False)
class Group:
    """Scores that are drawn together."""

    noun: str
    """such as 'normal image'"""
    values: NDArray[np.floating]
    """(n,), any n; values that are not finite are left out"""
    kind: str = "bar"
    """CSS class"""

    @property
    def scores(self) -> NDArray[np.float64]:
        """The finite values, within the range that can be drawn."""
        values = np.asarray(self.values, np.float64).ravel()
        return drawable(values[np.isfinite(values)])


@dataclass(frozen=True, eq=False)
class _Bins:
    edges: NDArray[np.float64]
    overflow: bool
    """True if the last bin also holds all higher values"""
    threshold: float | None

    def shares(self, group: Group) -> NDArray[np.float64]:
        """A group's share in each bin; bins include their upper edge: a score equal to the threshold is no alarm."""
        index = np.searchsorted(self.edges, group.scores, side="left") - 1
        counts = np.bincount(np.clip(index, 0, len(self.edges) - 2), minlength=len(self.edges) - 1)
        return counts / max(len(index), 1)


def histogram(bars: Group, other: Group, threshold: float | None, title: str, *, mirrored: bool = False) -> Markup:
    """An SVG element with a screen reader's text and a tooltip for each bar; empty without a score.

    `bars` point upwards; `other` is a stepped line over them or, if `mirrored`, bars downwards. Heights are shares of
    each group. The threshold is an edge between two bins.
    """
    if not len(bars.scores) and not len(other.scores):
        return Markup("")
    threshold = float(drawable(threshold)) if threshold is not None and np.isfinite(threshold) else None
    bins = _bins(np.concatenate([bars.scores, other.scores, [] if threshold is None else [threshold]]), threshold)
    width, height, left = (360, 290, 12) if mirrored else (520, 210, 40)
    shares, others = bins.shares(bars), bins.shares(other)
    top = float(max(shares.max(), others.max()))
    ends = float(bins.edges[0]), float(bins.edges[-1])
    axes = Axes(Scale(*ends, left, width - 12), Scale(-top if mirrored else 0, top, height - 38, 28))
    drawn = [_bars(bars, shares, bins, axes)]
    if mirrored:
        drawn.append(_bars(other, -others, bins, axes))
    else:
        shown = [tick for tick in axes.y.ticks(2) if tick > 0]
        drawn.insert(0, axes.upwards(shown, lambda share: f"{100 * share:.3g}\u202f%"))
        if len(other.scores):
            drawn.append(axes.polyline(other.kind, np.repeat(bins.edges, 2), [0, *np.repeat(others, 2), 0]))
    if threshold is not None:
        drawn.append(axes.upright("threshold", threshold, f"threshold {number_format.score(threshold)}"))
    drawn += [axes.level("axis", 0), axes.across(axes.x.ticks()), text("score", left, height - 7)]
    drawn += [text("and above →", width - 12, height - 7, "end")] if bins.overflow else []
    words = "; ".join(_in_words(group, threshold) for group in (bars, other)) + "."
    return picture(width, height, title, words, *drawn, kind="chart square" if mirrored else "chart")


def _bins(values: NDArray[np.float64], threshold: float | None) -> _Bins:
    """Equal bins with an edge at the threshold. The last bin gathers a few far values that would flatten the rest."""
    low, high = float(values.min()), float(values.max())
    lower, upper = (float(quartile) for quartile in np.percentile(values, [25, 75]))
    reach = upper + 5 * (upper - lower)
    if threshold is not None:
        reach = max(reach, threshold + 1.5 * (threshold - low))
    overflow = 0 < float((values > reach).mean()) < _FEW
    end = reach if overflow else high
    span = length(low, end)
    # Freedman and Diaconis' width, within what a chart of this size can show.
    width = float(np.clip(2 * (upper - lower) / len(values) ** (1 / 3), span / _MOST_BINS, span / 20))
    anchor = low if threshold is None else threshold
    # One bin before the threshold at least: a score equal to it needs a place that is no alarm.
    before = max(1, int(np.ceil((anchor - low) / width - 1e-9)))
    after = int(np.ceil((end - anchor) / width + 1e-9))
    if anchor + after * width <= end:
        after += 1
    return _Bins(anchor + width * np.arange(-before, after + 1, dtype=np.float64), overflow, threshold)


def _bars(group: Group, heights: NDArray[np.float64], bins: _Bins, axes: Axes) -> Markup:
    """`heights`: shares, below 0 for bars downwards."""
    drawn = []
    for index in np.flatnonzero(heights):
        height, low, high = float(heights[index]), float(bins.edges[index]), float(bins.edges[index + 1])
        last = bins.overflow and index == len(heights) - 1
        alarm = bins.threshold is not None and low >= bins.threshold - 1e-9 * abs(bins.threshold)
        words = (
            f"{number_format.counted(round(abs(height) * len(group.scores)), group.noun)} "
            f"({number_format.percent(abs(height))}) with scores "
            f"{f'above {low:.4g}' if last else f'from {low:.4g} to {high:.4g}'}"
            f"{', above the threshold' if alarm else ''}"
        )
        kind = f"{group.kind} alarm" if alarm else group.kind
        drawn.append(bar(kind, axes.x(low), axes.x(high), axes.y(0), axes.y(height), words))
    return joined(*drawn)


def _in_words(group: Group, threshold: float | None) -> str:
    scores, words = group.scores, number_format.counted(len(group.scores), group.noun)
    if not len(scores):
        return words
    words += f" with scores from {scores.min():.4g} to {scores.max():.4g}, median {np.median(scores):.4g}"
    if threshold is None:
        return words
    return f"{words}, {int((scores > threshold).sum())} above the threshold {threshold:.4g}"
