"""Costs an image by the size of a night, both on logarithmic scales, as an SVG."""

import math
from collections.abc import Iterator, Mapping, Sequence

from benchmarks.share_figure import BOTTOM, GREY, HEIGHT, LEFT, RIGHT, TOP, WIDTH, figure

_COLOURS = ("#b3261e", "#1f4e8c", "#1b6e3c", "#8a5a00", "#6b3fa0")
_NAMES = 160
"""pixels at the right for the names of lines"""
_GAP = 13
"""pixels between two names at least"""


def draw_costs(sizes: Sequence[int], lines: Mapping[str, Sequence[float]]) -> str:
    """`lines`: by name, milliseconds an image at every one of `sizes`; zeros are drawn at the bottom."""
    found = [value for values in lines.values() for value in values if value > 0]
    bounds = (math.floor(math.log10(min(found))), math.ceil(math.log10(max(found))))
    parts = [*_grid(bounds), *_sizes(sizes), *_lines(sizes, lines, bounds)]
    return figure("Milliseconds an image, by the images of a night", parts)


def _across(size: int, sizes: Sequence[int]) -> float:
    span = max(math.log10(sizes[-1] / sizes[0]), 1e-9)
    return LEFT + math.log10(size / sizes[0]) / span * (WIDTH - LEFT - RIGHT - _NAMES)


def _up(value: float, bounds: tuple[int, int]) -> float:
    low, high = bounds
    share = (math.log10(max(value, 10.0**low)) - low) / (high - low)
    return TOP + (HEIGHT - TOP - BOTTOM) * (1 - share)


def _grid(bounds: tuple[int, int]) -> Iterator[str]:
    for power in range(bounds[0], bounds[1] + 1):
        y = _up(10.0**power, bounds)
        yield f'<line x1="{LEFT}" x2="{WIDTH - RIGHT - _NAMES}" y1="{y:.1f}" y2="{y:.1f}" stroke="#e2e4e8"/>'
        yield f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end" fill="{GREY}">{10.0**power:g}</text>'
    yield f'<text x="{LEFT}" y="{TOP - 16}" fill="{GREY}">milliseconds an image</text>'


def _sizes(sizes: Sequence[int]) -> Iterator[str]:
    for size in sizes:
        x = _across(size, sizes)
        yield f'<text x="{x:.1f}" y="{HEIGHT - 14}" text-anchor="middle" fill="{GREY}">{size:,}</text>'


def _lines(sizes: Sequence[int], lines: Mapping[str, Sequence[float]], bounds: tuple[int, int]) -> Iterator[str]:
    """Each with its name behind its last point, names moved down as far as they would overlap."""
    free = float(TOP - _GAP)
    named = sorted(zip(lines.items(), _COLOURS, strict=False), key=lambda one: -one[0][1][-1])
    for (name, values), colour in named:
        points = " ".join(
            f"{_across(size, sizes):.1f},{_up(value, bounds):.1f}" for size, value in zip(sizes, values, strict=True)
        )
        yield f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"/>'
        free = max(_up(values[-1], bounds) + 4, free + _GAP)
        yield f'<text x="{WIDTH - RIGHT - _NAMES + 8}" y="{free:.1f}" fill="{colour}">{name}</text>'
