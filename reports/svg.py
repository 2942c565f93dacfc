"""Inline SVG drawings, coloured by the page's CSS: scales, axes, lines, bars, intervals. Every text is escaped."""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup, escape
from numpy.typing import ArrayLike, NDArray

_FURTHEST = 1e300
"""larger values are drawn here: float64 could not hold the length of their axis"""
_SAME = 1e-9
"""largest invisible difference, as a share of the values"""
_SHORTEST = 1e-290


def drawable(values: ArrayLike) -> NDArray[np.float64]:
    """Finite values of any shape, clipped to the range that can be drawn."""
    return np.clip(np.asarray(values, np.float64), -_FURTHEST, _FURTHEST)


def length(low: float, high: float) -> float:
    """Length of an axis from `low` to `high`, both drawable; if they are nearly equal, a tenth of them or of 1."""
    largest = max(abs(low), abs(high))
    if high - low > max(_SAME * largest, _SHORTEST):
        return high - low
    return 0.1 * max(largest, 1.0)


@dataclass(frozen=True)
class Scale:
    """Maps values in [low, high] to pixels from `start` to `end`, in either direction; others to the nearer end."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        inside = min(max(float(value), self.low), self.high)
        return self.start + (inside - self.low) / (self.high - self.low) * (self.end - self.start)

    def ticks(self, about: int = 4) -> list[float]:
        """About `about` values that are 1, 2 or 5 times a power of ten apart."""
        raw = (self.high - self.low) / about
        power = 10.0 ** math.floor(math.log10(raw))
        step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= raw * 0.999)
        first = math.ceil(self.low / step - 1e-9)
        return [step * (first + i) for i in range(math.floor(self.high / step + 1e-9) - first + 1)]


@dataclass(frozen=True)
class Axes:
    """The scales of a drawing: `x` from left to right, `y` from bottom to top."""

    x: Scale
    y: Scale

    def across(
        self, ticks: Iterable[float], words: Callable[[float], str] = "{:.3g}".format, *, grid: bool = False
    ) -> Markup:
        """The ticks' labels below the drawing; with `grid`, a vertical line at each."""
        base, drawn = self.y.start, []
        for tick in ticks:
            x = self.x(tick)
            drawn += [line("grid", x, base, x, self.y.end)] if grid else []
            drawn.append(text(words(tick), x, base + 16, "middle"))
        return joined(*drawn)

    def upwards(self, ticks: Iterable[float], words: Callable[[float], str] = "{:.3g}".format) -> Markup:
        """The ticks' labels at the left, and a horizontal line at each."""
        return joined(
            *(
                self.level("grid", tick) + text(words(tick), self.x.start - 5, self.y(tick) + 4, "end")
                for tick in ticks
            )
        )

    def level(self, kind: str, value: float) -> Markup:
        """A horizontal line at a value of the y axis."""
        return line(kind, self.x.start, self.y(value), self.x.end, self.y(value))

    def polyline(self, kind: str, x: Iterable[float], y: Iterable[float]) -> Markup:
        """A line through the points (x, y)."""
        return element("polyline", class_=kind, points=self.points(x, y))

    def points(self, x: Iterable[float], y: Iterable[float]) -> str:
        """The `points` attribute of polylines and polygons."""
        return " ".join(f"{self.x(a):.1f},{self.y(b):.1f}" for a, b in zip(x, y, strict=True))

    def upright(self, kind: str, value: float, words: str) -> Markup:
        """A vertical line at a value of the x axis, with a label on its roomier side."""
        x, top = self.x(value), self.y.end - 14
        left = x > 0.65 * self.x.end
        label = text(words, x + (-5 if left else 5), top + 5, "end" if left else "start", kind)
        return line(kind, x, top - 4, x, self.y.start) + label


def picture(width: float, height: float, title: str, words: str, *drawn: Markup, kind: str = "chart") -> Markup:
    """The whole drawing; `words` is its text for screen readers."""
    texts = element("title", title) + element("desc", words)
    return element("svg", texts, *drawn, class_=kind, viewBox=f"0 0 {width:g} {height:g}", role="img")


def element(name: str, *inside: str, **attributes: str | float) -> Markup:
    """An SVG element; attribute `text_anchor` becomes text-anchor, `class_` class; floats have one decimal."""
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{f"{value:.1f}" if isinstance(value, float) else escape(value)}"'
        for key, value in attributes.items()
    )
    return Markup(f"<{name}{written}>{joined(*inside)}</{name}>" if inside else f"<{name}{written}/>")


def joined(*drawn: str) -> Markup:
    """The elements in drawing order, the last on top; plain strings are escaped."""
    return Markup("").join(drawn)


def line(kind: str, x1: float, y1: float, x2: float, y2: float) -> Markup:
    """A straight line; `kind`: a class of the page's CSS."""
    return element("line", class_=kind, x1=x1, x2=x2, y1=y1, y2=y2)


def text(words: str, x: float, y: float, anchor: str = "start", kind: str = "") -> Markup:
    """Words with start, middle or end at x and their baseline at y."""
    named = {"class_": kind} if kind else {}
    return element("text", words, **named, x=x, y=y, text_anchor=anchor)


def hit(x: float, y: float, radius: float, words: str, *drawn: Markup) -> Markup:
    """`drawn` at a point, in a transparent ring, easier to hit than the point, with the tooltip `words`."""
    ring = element("circle", class_="hit", cx=x, cy=y, r=radius)
    return element("g", element("title", words), ring, *drawn)


def bar(kind: str, left: float, right: float, start: float, end: float, words: str) -> Markup:
    """A bar from `start` up or down to `end`, slightly narrower than its bin and never invisible."""
    tall = max(1.5, abs(end - start))
    top = start - tall if end <= start else start
    wide = max(1.0, right - left - 1)
    return element("rect", element("title", words), class_=kind, x=left + 0.5, y=top, width=wide, height=tall)


def interval(x: Scale, y: float, row: float, low: float, value: float, high: float, words: str) -> Markup:
    """A dot at a value on the line from low to high; the whole row, `row` high, has the tooltip `words`."""
    return element(
        "g",
        element("title", words),
        element("rect", class_="touch", x=x.start, y=y - row / 2, width=x.end - x.start, height=row),
        line("reach", x(low), y, x(high), y),
        element("circle", cx=x(value), cy=y, r=5),
        class_="interval",
    )
