"""Numbers as people read them."""

import math


def score(value: float | None) -> str:
    """Four significant digits, or 'none'."""
    if value is None:
        return "none"
    return f"{value:.4g}" if math.isfinite(value) else str(value)


def count(value: int) -> str:
    """Thousands separated by a narrow space, which is no decimal sign in any language."""
    return f"{value:,}".replace(",", "\u202f")


def times(multiple: float) -> str:
    """Two significant digits; whole from 100 on, such as '340'."""
    return f"{multiple:.2g}" if multiple < 99.5 else count(round(multiple))


def percent(share: float | None) -> str:
    """A share in [0, 1] as per cent; never '0 %' for a share above 0."""
    if share is None:
        return "none"
    value = 100 * share
    if 0 < value < 0.01:
        return "< 0.01\u202f%"
    digits = 0 if value == round(value) or value >= 99.95 else 1 if value >= 1 else 2
    return f"{value:.{digits}f}\u202f%"


def p_value(value: float | None) -> str:
    """Three decimals, or a bound."""
    if value is None:
        return "none"
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def data_size(number: int) -> str:
    """Bytes, such as '10.8 MB', '1.50 GB'."""
    return f"{number / 1e9:.2f} GB" if number >= 1e9 else f"{number / 1e6:.1f} MB"


def duration(seconds: float) -> str:
    """Such as '0.42 s', '12.3 s', '4 min 05 s', '2 h 07 min'."""
    if seconds < 1:
        return f"{seconds:.2f} s"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min"


def counted(number: int, noun: str) -> str:
    """Such as '1 image', '3 images'."""
    return f"{count(number)} {noun}" if number == 1 else f"{count(number)} {noun}s"
