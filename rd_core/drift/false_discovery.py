"""False-discovery control over the categories tested each night."""

from collections.abc import Mapping

from scipy.stats import false_discovery_control

RATE = 0.05


def discoveries(p_values: Mapping[str, float], rate: float = RATE) -> dict[str, bool]:
    """Which p-values, by category, remain significant at this false-discovery rate.

    Benjamini and Hochberg (1995); valid for categories that are independent or drift together.
    """
    if not p_values:
        return {}
    adjusted = false_discovery_control(list(p_values.values()))
    return {category: bool(p <= rate) for category, p in zip(p_values, adjusted, strict=True)}
