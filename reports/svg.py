"""Drawings as inline SVG, coloured by the page's CSS: scales, axes, lines, bars, intervals. Every text is escaped."""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup, escape
from numpy.typing import ArrayLike, NDArray

_FURTHEST = 1e300
"""what lies beyond is drawn there: float64 could not hold the length of its axis"""
_SAME = 1e-9
"""share of the values within which nobody sees a difference"""
_SHORTEST = 1e-290


def drawable(values: ArrayLike) -> NDArray[np.float64]:
    """Finite values of any shape, at the place where they are drawn."""
    return np.clip(np.asarray(values, np.float64), -_FURTHEST, _FURTHEST)


def length(low: float, high: float) -> float:
    """Of an axis from `low` to `high`, both drawable; where they are as good as the same, a tenth of them or of 1."""
    largest = max(abs(low), abs(high))
    if high - low > max(_SAME * largest, _SHORTEST):
        return high - low
    return 0.1 * max(largest, 1.0)


@dataclass(frozen=True)
class Scale:
    """Values in [low, high] to pixels from `start` to `end`, whichever is larger; others to the nearer end."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        inside = min(max(float(value), self.low), self.high)
        return self.start + (inside - self.low) / (self.high - self.low) * (self.end - self.start)

    def ticks(self, about: int = 4) -> list[float]:
        """Values of the kind 1, 2 or 5 times a power of ten, roughly `about` of them."""
        raw = (self.high - self.low) / about
        power = 10.0 ** math.floor(math.log10(raw))
        step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= raw * 0.999)
        first = math.ceil(self.low / step - 1e-9)
        return [step * (first + i) for i in range(math.floor(self.high / step + 1e-9) - first + 1)]


@dataclass(frozen=True)
class Axes:
    """The scales of a drawing: `x` from the left to the right, `y` from the bottom to the top."""

    x: Scale
    y: Scale

    def across(
        self, ticks: Iterable[float], words: Callable[[float], str] = "{:.3g}".format, *, grid: bool = False
    ) -> Markup:
        """The ticks' words below the drawing; with `grid` a line upwards at each."""
        base, drawn = self.y.start, []
        for tick in ticks:
            x = self.x(tick)
            drawn += [line("grid", x, base, x, self.y.end)] if grid else []
            drawn.append(text(words(tick), x, base + 16, "middle"))
        return joined(*drawn)

    def upwards(self, ticks: Iterable[float], words: Callable[[float], str] = "{:.3g}".format) -> Markup:
        """The ticks' words at the left, and a line across at each."""
        return joined(
            *(
                self.level("grid", tick) + text(words(tick), self.x.start - 5, self.y(tick) + 4, "end")
                for tick in ticks
            )
        )

    def level(self, kind: str, value: float) -> Markup:
        """A line across at a value of the y axis."""
        return line(kind, self.x.start, self.y(value), self.x.end, self.y(value))

    def polyline(self, kind: str, x: Iterable[float], y: Iterable[float]) -> Markup:
        """A line through (x, y), as many of both."""
        return element("polyline", class_=kind, points=self.points(x, y))

    def points(self, x: Iterable[float], y: Iterable[float]) -> str:
        """As polylines and polygons have them."""
        return " ".join(f"{self.x(a):.1f},{self.y(b):.1f}" for a, b in zip(x, y, strict=True))

    def upright(self, kind: str, value: float, words: str) -> Markup:
        """A line from the bottom beyond the top at a value of the x axis, with words on its roomier side."""
        x, top = self.x(value), self.y.end - 14
        left = x > 0.65 * self.x.end
        label = text(words, x + (-5 if left else 5), top + 5, "end" if left else "start", kind)
        return line(kind, x, top - 4, x, self.y.start) + label


def picture(width: float, height: float, title: str, told: str, *drawn: Markup, kind: str = "chart") -> Markup:
    """The whole drawing; `told` is what a reader without eyes needs."""
    texts = element("title", title) + element("desc", told)
    return element("svg", texts, *drawn, class_=kind, viewBox=f"0 0 {width:g} {height:g}", role="img")


def element(name: str, *inside: str, **attributes: str | float) -> Markup:
    """An SVG element; an attribute `text_anchor` is text-anchor, `class_` is class, a float has one decimal."""
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{f"{value:.1f}" if isinstance(value, float) else escape(value)}"'
        for key, value in attributes.items()
    )
    return Markup(f"<{name}{written}>{joined(*inside)}</{name}>" if inside else f"<{name}{written}/>")


def joined(*drawn: str) -> Markup:
    """One after the other, what comes last on top; what is no Markup is escaped."""
    return Markup("").join(drawn)


def line(kind: str, x1: float, y1: float, x2: float, y2: float) -> Markup:
    """A straight line of a class of the page's CSS."""
    return element("line", class_=kind, x1=x1, x2=x2, y1=y1, y2=y2)


def text(words: str, x: float, y: float, anchor: str = "start", kind: str = "") -> Markup:
    """Words that start, end or have their middle at x; y is their base line."""
    named = {"class_": kind} if kind else {}
    return element("text", words, **named, x=x, y=y, text_anchor=anchor)


def hit(x: float, y: float, radius: float, told: str, *drawn: Markup) -> Markup:
    """What is drawn at a point, in a transparent ring that shows its text under a mouse: no finger meets a point."""
    ring = element("circle", class_="hit", cx=x, cy=y, r=radius)
    return element("g", element("title", told), ring, *drawn)


def bar(kind: str, left: float, right: float, start: float, end: float, told: str) -> Markup:
    """A bar from `start` up or down to `end`, a little apart from the next ones and never too small to be seen."""
    tall = max(1.5, abs(end - start))
    top = start - tall if end <= start else start
    wide = max(1.0, right - left - 1)
    return element("rect", element("title", told), class_=kind, x=left + 0.5, y=top, width=wide, height=tall)


def interval(x: Scale, y: float, row: float, low: float, value: float, high: float, told: str) -> Markup:
    """A dot at a value on the line from low to high; the whole row, `row` high, shows the text under a mouse."""
    return element(
        "g",
        element("title", told),
        element("rect", class_="touch", x=x.start, y=y - row / 2, width=x.end - x.start, height=row),
        line("reach", x(low), y, x(high), y),
        element("circle", cx=x(value), cy=y, r=5),
        class_="interval",
    )
