"""Values of foreign JSON, taken for what they are."""

import pytest

from tasks.index.tolerant_reads import number, whole_number


def test_numbers_are_taken_for_what_they_are() -> None:
    assert number(1) == 1.0
    assert whole_number(0) == 0
    for wrong in ("1", True, None, float("inf"), [1]):
        with pytest.raises((TypeError, ValueError)):
            number(wrong)
    for wrong in (1.0, True, -1, "1"):
        with pytest.raises(ValueError, match="is no count"):
            whole_number(wrong)
