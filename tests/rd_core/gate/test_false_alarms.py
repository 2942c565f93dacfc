"""False alarms between two models: fewer beyond chance, no more than promised, and counted by parts."""

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from rd_core.gate.checks import FALSE_ALARMS, PROMISE
from rd_core.gate.decision import GateScores
from tests.examples import examples
from tests.rd_core.gate_scores import QUICK, check, decide, scores


def test_several_images_of_a_part_are_no_further_evidence():
    """8 parts in 5 images each, of which the champion alone flags those of 2 parts."""
    random = np.random.default_rng(0)
    labels = np.repeat([False, True], [200, 200])
    parts = [f"part {i // 5}" for i in range(400)]
    champion = random.normal(size=400) + 6 * labels
    paired = GateScores(labels, parts, [None] * 400, champion, champion, 3.0, 3.0, 0.05)
    flagged = replace(paired, champion=np.where(np.arange(400) < 10, 5.0, champion))
    assert not check(decide(flagged), FALSE_ALARMS).gained  # 2 parts by chance: 1 in 4
    alone = replace(flagged, parts=[str(i) for i in range(400)])
    assert check(decide(alone), FALSE_ALARMS).gained  # 10 images by chance: 1 in 1024


@examples(30)
@given(st.integers(0, 2**32), st.floats(0.02, 0.3))
def test_fewer_false_alarms_by_mcnemars_exact_test(seed, alarm):
    paired = scores(seed, alarms=(alarm, 0.05), own_noise=0.7)
    normal = ~paired.is_anomalous
    before, after = paired.champion > paired.champion_threshold, paired.candidate > paired.candidate_threshold
    lost, won = int((before & ~after & normal).sum()), int((after & ~before & normal).sum())
    expected = lost + won > 0 and binomtest(won, lost + won, 0.5, alternative="less").pvalue <= 0.05
    result = check(decide(paired), FALSE_ALARMS)
    assert result.gained == expected  # whether or not it is now down to what was promised
    assert result.candidate == pytest.approx(after[normal].mean())
    exact = binomtest(int(after[normal].sum()), int(normal.sum()), 0.05, alternative="greater").pvalue
    assert result.passed == (exact > 0.05)


def with_alarms(alarms, normals, before=0, alpha=0.01, **changes):
    """A candidate that finds more defects, with so many alarms on normals; the champion has `before`."""
    labels = np.arange(normals + 40) >= normals
    champion = np.where(labels, np.where(np.arange(normals + 40) % 2, 2.0, 0.5), 0.0)
    candidate = np.where(labels, 2.0, 0.0)
    champion[:before], candidate[:alarms] = 1.5, 1.5
    names = [f"part {i}" for i in range(normals + 40)]
    kinds = [None] * len(names)
    return replace(GateScores(labels, names, kinds, champion, candidate, 1.0, 1.0, alpha), **changes)


@pytest.mark.parametrize(
    ("alarms", "normals", "shown", "says"),
    [
        (0, 59, True, "0 of 59 normals alarm, so up to 4.95% may; 5.00% is the most, 5 times the 1.00% promised"),
        (0, 58, None, "cannot be shown: 0 of 58 normals alarm, so up to 5.03% may, and 5.00% is the most, 5 times "
         "the 1.00% promised. 59 normals without an alarm would show it"),
        (1, 59, None, "93 normals would show it if no other alarms, about 130 at the observed rate"),
        (1, 93, True, "1 of 93 normals alarm, so up to 5.00% may"),
        (3, 59, None, "153 normals would show it if no other alarms, at the observed rate no number of them would, "
         "so recalibrate"),
        (4, 200, True, "4 of 200 normals alarm, so up to 4.52% may"),
        (5, 200, None, "5 of 200 normals alarm, so up to 5.18% may, and 5.00% is the most"),
    ],
)  # fmt: skip
def test_the_promise_is_shown_or_cannot_be_shown_and_the_words_say_what_would(alarms, normals, shown, says):
    decision = decide(with_alarms(alarms, normals))
    result = check(decision, PROMISE)
    assert result.passed == shown
    assert says in result.words
    assert (result.candidate, result.champion) == (alarms / normals, 0)
    assert result.high == pytest.approx(
        binomtest(alarms, normals).proportion_ci(0.90, "exact").high  # one-sided 95 %
    )
    assert result.margin == 0.05 and not result.gained
    others = [one for one in decision.checks if one.name != PROMISE]
    if all(one.passed is not False for one in others):
        assert decision.promote == bool(shown)
        assert shown or f"promised rate: {result.words}" in decision.words


def test_the_margin_is_a_multiple_of_the_promise_and_never_more_than_every_image():
    paired = with_alarms(0, 30)
    assert check(decide(paired), PROMISE).passed is None
    wider = check(decide(paired, limits=replace(QUICK, false_alarm_margin=10.0)), PROMISE)
    assert (wider.passed, wider.margin) == (True, pytest.approx(0.1))
    all_of_them = with_alarms(30, 30, alpha=0.3)
    loose = decide(all_of_them)
    assert (check(loose, PROMISE).passed, check(loose, PROMISE).margin) == (True, 1.0)
    assert "30 of 30 normals alarm, so up to 100.00% may; all may, for 5 times the 30.00% promised is no limit" in (
        check(loose, PROMISE).words
    )
    assert check(loose, FALSE_ALARMS).passed is False, "so a promise too loose to be shown is still not broken"
    strict = decide(with_alarms(0, 59), limits=replace(QUICK, confidence=0.99))
    assert "90 normals without an alarm" in check(strict, PROMISE).words


def test_images_of_one_part_do_not_show_the_promise_twice():
    """300 images without an alarm show it if they are of 60 parts, and not if they are of 30."""

    def of_parts(parts, alarms=0):
        names = [f"part {i % parts}" for i in range(300)] + [f"bad {i}" for i in range(40)]
        return check(decide(with_alarms(alarms, 300, parts=names)), PROMISE)

    assert of_parts(60).passed
    assert of_parts(30).passed is None
    assert "59 parts with normals without an alarm would show it" in of_parts(30).words
    one, several = of_parts(60, alarms=1), of_parts(300, alarms=1)
    assert one.candidate == several.candidate == pytest.approx(1 / 300)
    assert one.high > several.high and one.passed is None and several.passed


def test_without_a_normal_the_promise_cannot_be_shown():
    decision = decide(with_alarms(0, 0))
    assert not decision.promote
    result = check(decision, PROMISE)
    assert (result.passed, result.candidate, result.high) == (None, None, 1.0)
    assert "cannot be shown: 0 of 0 normals alarm" in result.words and "59 normals" in result.words
    json.dumps(decision.to_dict(), allow_nan=False)
