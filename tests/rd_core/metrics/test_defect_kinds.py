import pytest

from rd_core.metrics.defect_kinds import flagged_by_kind
from rd_core.metrics.intervals import clopper_pearson


def test_a_row_for_each_kind_in_the_order_of_names():
    rows = flagged_by_kind(0.5, [0.9, 0.1, 0.6, 0.5, 0.7], ["scratch", "good", "good", "dent", "scratch"])
    assert [(r.kind, r.flagged, r.total) for r in rows] == [("dent", 0, 1), ("good", 1, 2), ("scratch", 2, 2)]
    assert [r.share for r in rows] == [clopper_pearson(0, 1), clopper_pearson(1, 2), clopper_pearson(2, 2)]


def test_no_images_no_rows():
    assert flagged_by_kind(0.5, [], []) == ()


def test_inputs_that_cannot_be_are_refused():
    with pytest.raises(ValueError, match="do not match 1 images"):
        flagged_by_kind(0.5, [0.9, 0.8], ["good"])
    with pytest.raises(ValueError, match="decides nothing"):
        flagged_by_kind(float("nan"), [0.9], ["good"])
    with pytest.raises(ValueError, match="not finite"):
        flagged_by_kind(0.5, [float("nan")], ["good"])
