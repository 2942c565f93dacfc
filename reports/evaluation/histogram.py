"""Scores of labelled images, normal above the line and anomalous below it, as inline SVG."""

from dataclasses import dataclass

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from reports import number_format
from reports.axis import drawable, length, round_values

_WIDTH, _HEIGHT = 360, 290
_LEFT, _RIGHT, _TOP, _BOTTOM = 12, 12, 30, 38
_BINS = 30


@dataclass(frozen=True)
class _Scale:
    edges: NDArray[np.float64]
    top: float
    """the largest share of a bin"""

    def across(self, value: float) -> float:
        low, high = self.edges[0], self.edges[-1]
        return float(_LEFT + (value - low) / (high - low) * (_WIDTH - _LEFT - _RIGHT))

    def height(self, share: float) -> float:
        return float(share / self.top * (_HEIGHT - _TOP - _BOTTOM) / 2)


def labelled_histogram(
    normal: NDArray[np.floating], anomalous: NDArray[np.floating], threshold: float | None, title: str
) -> Markup:
    """An SVG element; empty if there is no score.

    normal, anomalous: (n,) finite scores. Heights are shares of each group, so groups of different sizes compare.
    The threshold is an edge between two bins, and a bin holds its upper edge: a score equal to it is no alarm.
    """
    normal, anomalous = drawable(normal), drawable(anomalous)
    threshold = None if threshold is None else float(drawable(threshold))
    values = np.concatenate([normal, anomalous])
    if not len(values):
        return Markup("")
    edges = _edges(values, threshold)
    up, down = (_shares(group, edges) for group in (normal, anomalous))
    scale = _Scale(edges, max(float(up.max()), float(down.max())))
    drawn = [
        _bars(up, len(normal), scale, "normal", threshold),
        _bars(down, len(anomalous), scale, "anomalous", threshold),
        _axis(scale),
        Markup("") if threshold is None else _line(threshold, scale),
    ]
    return Markup(
        '<svg class="chart square" viewBox="0 0 {} {}" role="img"><title>{}</title><desc>{}</desc>{}</svg>'
    ).format(_WIDTH, _HEIGHT, title, _in_words(normal, anomalous, threshold), Markup("").join(drawn))


def _edges(values: NDArray[np.float64], threshold: float | None) -> NDArray[np.float64]:
    ends = values if threshold is None else np.append(values, threshold)
    low, high = float(ends.min()), float(ends.max())
    width = length(low, high) / _BINS
    anchor = low if threshold is None else threshold
    before = int(np.ceil((anchor - low) / width - 1e-9)) + 1
    after = max(1, int(np.ceil((high - anchor) / width - 1e-9)))
    return anchor + width * np.arange(-before, after + 1, dtype=np.float64)


def _shares(values: NDArray[np.floating], edges: NDArray[np.float64]) -> NDArray[np.float64]:
    if not len(values):
        return np.zeros(len(edges) - 1)
    index = np.clip(np.searchsorted(edges, values, side="left") - 1, 0, len(edges) - 2)
    return np.bincount(index, minlength=len(edges) - 1) / len(values)


def _bars(shares: NDArray[np.float64], total: int, scale: _Scale, group: str, threshold: float | None) -> Markup:
    middle = _middle()
    drawn = []
    for index in np.flatnonzero(shares):
        low, high = float(scale.edges[index]), float(scale.edges[index + 1])
        height = max(1.5, scale.height(float(shares[index])))
        side = (
            "" if threshold is None else ", above the threshold" if low >= threshold else ", not above the threshold"
        )
        text = (
            f"{number_format.counted(round(shares[index] * total), f'{group} image')} "
            f"({number_format.percent(float(shares[index]))}) with scores from {low:.4g} to {high:.4g}{side}"
        )
        left, right = scale.across(low), scale.across(high)
        drawn.append(
            Markup(
                '<rect class="bar {}" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}"><title>{}</title></rect>'
            ).format(
                group,
                left + 0.4,
                middle - height if group == "normal" else middle,
                max(1.0, right - left - 0.8),
                height,
                text,
            )
        )
    return Markup("").join(drawn)


def _middle() -> float:
    return _TOP + (_HEIGHT - _TOP - _BOTTOM) / 2


def _axis(scale: _Scale) -> Markup:
    base = _HEIGHT - _BOTTOM
    ticks = Markup("").join(
        Markup('<text x="{:.1f}" y="{}" text-anchor="middle">{:.3g}</text>').format(
            scale.across(value), base + 15, value
        )
        for value in round_values(float(scale.edges[0]), float(scale.edges[-1]))
    )
    return Markup(
        '<line class="axis" x1="{}" x2="{}" y1="{m:.1f}" y2="{m:.1f}"/>{}<text x="{}" y="{}">score</text>'
    ).format(_LEFT, _WIDTH - _RIGHT, ticks, _LEFT, base + 31, m=_middle())


def _line(threshold: float, scale: _Scale) -> Markup:
    x = scale.across(threshold)
    left = x > _WIDTH * 0.62
    return Markup(
        '<line class="threshold" x1="{x:.1f}" x2="{x:.1f}" y1="8" y2="{base}"/>'
        '<text class="threshold" x="{label:.1f}" y="16" text-anchor="{anchor}">threshold {value}</text>'
    ).format(
        x=x,
        base=_HEIGHT - _BOTTOM,
        label=x - 5 if left else x + 5,
        anchor="end" if left else "start",
        value=number_format.score(threshold),
    )


def _in_words(normal: NDArray[np.floating], anomalous: NDArray[np.floating], threshold: float | None) -> str:
    parts = []
    for name, group in (("normal", normal), ("anomalous", anomalous)):
        words = number_format.counted(len(group), f"{name} image")
        if len(group):
            words += f" with scores from {group.min():.4g} to {group.max():.4g}, median {np.median(group):.4g}"
            if threshold is not None:
                words += f", {int((group > threshold).sum())} above the threshold {threshold:.4g}"
        parts.append(words)
    return "; ".join(parts) + "."
