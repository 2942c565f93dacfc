"""How many examples a property test draws: a share of the profile's, so that `make fuzz` draws more everywhere."""

from hypothesis import settings
from hypothesis import strategies as st

FINITE = st.floats(allow_nan=False, allow_infinity=False)
"""every size of float64 there is, subnormal ones too"""


def examples(of_a_hundred: int) -> settings:
    """Decorator: so many examples where the profile has a hundred."""
    return settings(max_examples=max(1, settings.default.max_examples * of_a_hundred // 100))
