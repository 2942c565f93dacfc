"""Which categories drift, when many are tested each night."""

from collections.abc import Mapping

from scipy.stats import false_discovery_control

RATE = 0.05


def discoveries(p_values: Mapping[str, float], rate: float = RATE) -> dict[str, bool]:
    """By category: whether its p-value stands when at most this share of those that stand may be false.

    Benjamini and Hochberg (1995); it holds for independent categories and for such as drift together.
    """
    if not p_values:
        return {}
    adjusted = false_discovery_control(list(p_values.values()))
    return {category: bool(p <= rate) for category, p in zip(p_values, adjusted, strict=True)}
