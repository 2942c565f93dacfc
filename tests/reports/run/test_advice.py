from dataclasses import replace

import numpy as np
import pytest

from reports.promise import Promise
from reports.run import advice


def words(run) -> str:
    return " ".join(advice.next_steps(run))


def test_a_quiet_night_needs_nothing(category_run):
    run = category_run(unreadable=0, images=38, anomalous=0)
    assert advice.next_steps(run) == []


def test_more_alarms_than_chance_explains_are_called_so(category_run):
    assert "real defects, or light" in words(category_run(ok=1000, anomalous=40))
    assert "Look at each" in words(category_run(ok=1000, anomalous=12))


def test_a_night_that_moved_as_a_whole_comes_first(category_run):
    run = category_run()
    moved = category_run(scores=run.scores + np.float32(0.1))
    assert "whole night has shifted" in advice.next_steps(moved)[0]
    assert "whole night" not in words(run)
    assert "whole night" not in words(category_run(scores=moved.scores[:5]))


def test_an_extrapolated_threshold_says_how_many_normals_are_needed(category_run):
    promise = Promise(0.005, 0.5, 0, 2, 2, 199, 0.0, 0.84, extrapolated=True, method="split")
    assert "at least 199 are needed" in words(category_run(promise=promise, alpha=0.005))
    assert "extrapolated" not in words(category_run(promise=replace(promise, extrapolated=False), alpha=0.005))


def test_a_category_without_a_model_is_told_the_command(category_run):
    assert "rd-inspect train --category cloth" in words(category_run(state="no champion"))


def test_the_callers_message_takes_the_place_of_ours(category_run):
    steps = advice.next_steps(category_run(state="failed", message="the disk is full: make room"))
    assert "the disk is full: make room" in steps
    assert not any("This category failed" in step for step in steps)


@pytest.mark.parametrize(
    ("fields", "missing"),
    [({}, 2), ({"images": 120, "ok": 0, "unreadable": 0}, 120), ({"images": 0}, 2)],
)
def test_images_nobody_judged_are_counted_also_when_the_run_never_reached_them(category_run, fields, missing):
    assert category_run(**fields).without_score == missing


def test_no_share_without_scores(category_run):
    assert category_run(ok=0, anomalous=0).alarm_share is None
    assert category_run(ok=40, anomalous=10).alarm_share == 0.25


def test_images_that_show_nothing_are_told_before_anything_else(category_run):
    """A night of black pictures need not raise one alarm."""
    steps = advice.next_steps(category_run(ok=40, blank=40, anomalous=0))
    assert steps[0].startswith("40 of 40 images are blank: one value throughout, such as black")
    assert "show nothing" not in words(category_run(ok=40))
