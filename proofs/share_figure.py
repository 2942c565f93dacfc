"""Draw shares over the nights of a story as an SVG for the documents."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import date

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 660, 240, 46, 24, 34, 36
COLOURS = ("#b3261e", "#1b6e3c", "#1f4e8c")
GREY = "#5a5f66"


def draw_shares(days: Sequence[date], lines: Mapping[str, Sequence[float]], breaks: Mapping[int, str]) -> str:
    """Draw `lines`, a share in [0, 1] for every day by name. `breaks`: events, by the index of the day they
    precede."""
    parts = [*_grid(), *_days(days), *_breaks(breaks, len(days)), *_lines(lines, len(days))]
    return figure(f"{', '.join(lines)}, by night", parts)


def figure(title: str, parts: Sequence[str]) -> str:
    """An SVG of WIDTH by HEIGHT on white."""
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}"'
    ground = f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>'
    described = f"<title>{title}</title>"
    return "\n".join([f'{head} font-family="sans-serif" font-size="11">', described, ground, *parts, "</svg>", ""])


def _across(index: float, days: int) -> float:
    return LEFT + index * (WIDTH - LEFT - RIGHT) / max(days - 1, 1)


def _up(share: float) -> float:
    return TOP + (HEIGHT - TOP - BOTTOM) * (1 - share)


def _grid() -> Iterator[str]:
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        y = _up(share)
        yield f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}" stroke="#e2e4e8"/>'
        yield f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end" fill="{GREY}">{share:.0%}</text>'


def _days(days: Sequence[date]) -> Iterator[str]:
    for index, day in enumerate(days):
        x = _across(index, len(days))
        yield f'<text x="{x:.1f}" y="{HEIGHT - 14}" text-anchor="middle" fill="{GREY}">{day.day} {day:%b}</text>'


def _breaks(breaks: Mapping[int, str], days: int) -> Iterator[str]:
    for index, words in breaks.items():
        x = _across(index - 0.5, days)
        bottom = HEIGHT - BOTTOM
        yield f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{TOP}" y2="{bottom}" stroke="{GREY}" stroke-dasharray="3 3"/>'
        yield f'<text x="{x:.1f}" y="{TOP - 18}" text-anchor="middle" fill="{GREY}">{words}</text>'


def _lines(lines: Mapping[str, Sequence[float]], days: int) -> Iterator[str]:
    """Lines with their names above the first points, where they rarely cross."""
    for (name, shares), colour in zip(lines.items(), COLOURS, strict=False):
        points = " ".join(f"{_across(index, days):.1f},{_up(share):.1f}" for index, share in enumerate(shares))
        yield f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2.5"/>'
        yield f'<text x="{LEFT + 4}" y="{_up(shares[0]) - 7:.1f}" fill="{colour}">{name}</text>'
