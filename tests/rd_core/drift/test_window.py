from datetime import date

import numpy as np
import pytest

from rd_core.drift.window import baseline, iso, window
from rd_core.errors import TooFewNormals


def test_images_are_put_in_order_of_their_day_with_all_that_belongs_to_them():
    days = [date(2026, 3, 2), date(2026, 3, 1), date(2026, 3, 2)]
    result = window(days, np.float32([2, 1, 3]), {"brightness": [20, 10, 30]})
    assert result.scores.tolist() == [1, 2, 3]
    assert result.statistics["brightness"].tolist() == [10, 20, 30]
    assert [(iso(day), scores.tolist()) for day, scores in result.by_day()] == [
        ("2026-03-01", [1]),
        ("2026-03-02", [2, 3]),
    ]


def test_dates_and_ordinals_are_the_same():
    day = date(2026, 3, 2)
    assert window([day], [1.0]).days.tolist() == window([day.toordinal()], [1.0]).days.tolist()


def test_since_keeps_that_day_and_what_came_after():
    result = window([5, 6, 6, 8], [1, 2, 3, 4], {"contrast": [1, 2, 3, 4]}, golden=[7]).since(6)
    assert result.scores.tolist() == result.statistics["contrast"].tolist() == [2, 3, 4]
    assert result.golden.tolist() == [7]


def test_what_cannot_be_compared_is_refused():
    with pytest.raises(ValueError, match="without images"):
        window([], [])
    with pytest.raises(ValueError, match="2 days but 1 scores"):
        window([1, 2], [1.0])
    with pytest.raises(ValueError, match="3 sharpness but 1 scores"):
        window([1], [1.0], {"sharpness": [1, 2, 3]})
    with pytest.raises(ValueError, match="1 of 2 scores are not finite"):
        window([1, 2], [1.0, np.nan])
    with pytest.raises(ValueError, match="1 of 11 calibration scores are not finite"):
        baseline([*range(10), np.inf], 0.1, 9)
    with pytest.raises(TooFewNormals, match="9 calibration scores"):
        baseline(range(9), 0.1, 9)


def test_a_baseline_sorts_its_scores_and_drops_unknown_statistics():
    result = baseline([*range(10, 0, -1)], 0.1, 9, {"brightness": [1, np.nan], "contrast": [np.nan]})
    assert result.scores.tolist() == list(range(1, 11))
    assert {name: values.tolist() for name, values in result.statistics.items()} == {"brightness": [1]}
