"""Contrast of the page's colours, light, dark and in print, by the formula of WCAG 2.2."""

import re
from importlib.resources import files

import pytest

CSS = files("reports.templates").joinpath("run_report.css").read_text()
PALETTES = [
    dict(re.findall(r"--([\w-]+): (#[0-9a-f]{3,6})", block)) for block in re.findall(r":root \{(.*?)\}", CSS, re.S)
]


def luminance(colour: str) -> float:
    digits = colour[1:] if len(colour) == 7 else "".join(2 * digit for digit in colour[1:])
    channels = [int(digits[i : i + 2], 16) / 255 for i in (0, 2, 4)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(first: str, second: str) -> float:
    dark, light = sorted([luminance(first), luminance(second)])
    return (light + 0.05) / (dark + 0.05)


def test_there_is_a_palette_for_light_dark_and_print():
    assert len(PALETTES) == 3
    assert all(set(palette) == set(PALETTES[0]) for palette in PALETTES)


@pytest.mark.parametrize("palette", PALETTES, ids=["light", "dark", "print"])
@pytest.mark.parametrize("ground", ["page", "soft"])
@pytest.mark.parametrize("text", ["ink", "muted", "alarm", "warn", "good", "link"])
def test_text_can_be_read(palette, ground, text):
    assert contrast(palette[text], palette[ground]) >= 4.5


@pytest.mark.parametrize("palette", PALETTES, ids=["light", "dark", "print"])
@pytest.mark.parametrize("bar", ["data", "alarm-bar"])
def test_bars_stand_out_from_the_page(palette, bar):
    assert contrast(palette[bar], palette["page"]) >= 3
