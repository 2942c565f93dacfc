import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rd_core.errors import ConfigError
from rd_core.gate.checks import (
    AUPRO,
    AUROC,
    FALSE_ALARMS,
    GOLDEN,
    KINDS,
    PROMISE,
    RECALL,
    SECONDS,
    WEIGHTS,
    _not_worse,
)
from rd_core.gate.decision import Cost, GateScores, GateSettings, judge_threshold
from rd_core.metrics.paired_bootstrap import Difference
from tests.examples import examples
from tests.rd_core.gate_scores import COST, METHOD, QUICK, check, decide, scores


def swapped(paired):
    return replace(
        paired,
        champion=paired.candidate,
        candidate=paired.champion,
        champion_threshold=paired.candidate_threshold,
        candidate_threshold=paired.champion_threshold,
    )


def test_a_better_candidate_is_promoted_and_the_words_say_why():
    decision = decide(scores(0, alarms=(0.4, 0.03), recalls=(0.8, 0.97)))
    assert decision.promote
    assert decision.gained
    assert "promoted" in decision.words
    assert "false alarms" in decision.words
    assert check(decision, FALSE_ALARMS).gained


@examples(25)
@given(st.integers(0, 2**32), st.floats(0.1, 10), st.floats(-5, 5))
def test_a_model_that_decides_the_same_is_never_promoted(seed, factor, offset):
    """Whatever its scale."""
    paired = scores(seed, alarms=(0.05, 0.05))
    same = replace(
        paired,
        candidate=paired.champion * factor + offset,
        candidate_threshold=paired.champion_threshold * factor + offset,
    )
    decision = decide(same)
    assert not decision.promote
    assert not decision.gained
    if all(one.passed is not False for one in decision.checks):
        assert "gains nothing" in decision.words


@examples(25)
@given(st.integers(0, 2**32), st.floats(0.02, 0.4), st.floats(0.5, 0.99))
def test_of_two_models_at_most_one_takes_the_others_place(seed, alarm, recall):
    paired = scores(seed, alarms=(alarm, 0.05), recalls=(0.9, recall))
    assert not (decide(paired).promote and decide(swapped(paired)).promote)


@pytest.mark.parametrize(
    "worse",
    [
        {"alarms": (0.3, 0.04), "recalls": (0.95, 0.85)},  # recall lost by twice its margin, false alarms gained
        {"alarms": (0.3, 0.04), "recalls": (0.95, 0.85), "defects": 30},
        {"alarms": (0.04, 0.15), "recalls": (0.8, 0.97), "normals": 200},  # more false alarms than promised
        {"alarms": (0.04, 0.04), "recalls": (0.72, 0.66)},  # AUROC lost by twice its margin: 0.943 to 0.924
    ],
)
def test_a_candidate_that_is_worse_by_twice_a_margin_seldom_passes(worse):
    promoted = [decide(scores(seed, **worse)).promote for seed in range(60)]
    assert np.mean(promoted) <= 0.05


def threshold_change(before, after, good, bad, alpha=0.01, **changes):
    """One model's scores of parts, and two thresholds. `good`, `bad`: scores by number of parts."""
    labels = np.array([False] * sum(good.values()) + [True] * sum(bad.values()))
    scores = np.concatenate([np.full(count, score) for score, count in [*good.items(), *bad.items()]])
    names = [f"part {i}" for i in range(len(labels))]
    kinds = [("hole", "stain")[i % 2] if label else None for i, label in enumerate(labels)]
    return replace(GateScores(labels, names, kinds, scores, scores, before, after, alpha), **changes)


def passed(decision):
    return {one.name: one.passed for one in decision.checks}


def test_a_lower_threshold_needs_the_promise_shown_and_no_gain():
    """What a threshold far above all normals costs, a recalibration gives back."""
    found = threshold_change(9.0, 3.0, {1.0: 120}, {5.0: 40})
    decision = judge_threshold(found, settings=QUICK)
    assert decision.promote and decision.gained
    assert list(passed(decision)) == [FALSE_ALARMS, PROMISE, RECALL, KINDS, GOLDEN]
    assert "recall: 0.0000 to 1.0000, +1.0000" in decision.words
    assert "false alarms: 0 of 120 normals alarm" in decision.words
    same = judge_threshold(replace(found, champion=found.champion - 8, candidate=found.champion - 8), settings=QUICK)
    assert same.promote and not same.gained, "no defect is found, and none was before"
    few = judge_threshold(threshold_change(9.0, 3.0, {1.0: 58}, {5.0: 40}), settings=QUICK)
    assert not few.promote and passed(few)[PROMISE] is None
    assert "The champion's threshold stays. promised rate: cannot be shown" in few.words
    without_defects = judge_threshold(threshold_change(9.0, 3.0, {1.0: 120}, {}), settings=QUICK)
    assert without_defects.promote and passed(without_defects)[RECALL] is None


def test_more_false_alarms_need_more_defects_found():
    alarms = {1.0: 590, 4.0: 10}
    assert judge_threshold(threshold_change(9.0, 3.0, alarms, {5.0: 40}), settings=QUICK).promote
    for bad in ({1.0: 40}, {}):
        in_vain = judge_threshold(threshold_change(9.0, 3.0, alarms, bad), settings=QUICK)
        assert not in_vain.promote
        assert "10 of 600 normals alarm" in in_vain.words and "no more defects are found in return" in in_vain.words
    few_more = threshold_change(9.0, 3.0, {1.0: 596, 4.0: 4}, {1.0: 40})
    assert judge_threshold(few_more, settings=QUICK).promote, "four more of 600 are chance: 1 in 16"


def test_a_higher_threshold_may_not_cost_recall_unless_the_champion_breaks_its_promise():
    calm = threshold_change(3.0, 6.0, {1.0: 120}, {5.0: 8, 9.0: 40})
    decision = judge_threshold(calm, settings=QUICK)
    assert not decision.promote and passed(decision)[RECALL] is False
    assert "recall: 1.0000 to 0.8333" in decision.words
    untold = judge_threshold(threshold_change(3.0, 6.0, {1.0: 120}, {9.0: 29}), settings=QUICK)
    assert not untold.promote and "29 anomalous parts are too few" in untold.words
    loud = threshold_change(3.0, 6.0, {1.0: 100, 4.0: 20}, {5.0: 8, 9.0: 40})
    decision = judge_threshold(loud, settings=QUICK)
    assert decision.promote, decision.words
    assert passed(decision)[RECALL] is None and passed(decision)[KINDS] is None
    assert "recall: 1.0000 to 0.8333, -0.1667" in decision.words
    assert "This refuses nothing, for the champion's false alarms are above the promised rate" in decision.words


def test_far_fewer_false_alarms_than_a_broken_promise_need_not_be_shown_to_be_few_enough():
    """Half of 40 normals alarm, and none would: too few to show a rate, but the champion is worse beyond chance."""
    decision = judge_threshold(threshold_change(3.0, 6.0, {1.0: 20, 4.0: 20}, {9.0: 40}), settings=QUICK)
    assert decision.promote and passed(decision)[PROMISE] is None
    assert "cannot be shown: 0 of 40 normals alarm" in decision.words
    still_too_many = judge_threshold(
        threshold_change(3.0, 6.0, {1.0: 20, 4.0: 10, 8.0: 10}, {9.0: 40}), settings=QUICK
    )
    assert not still_too_many.promote and passed(still_too_many)[FALSE_ALARMS] is False
    hardly_fewer = judge_threshold(threshold_change(3.0, 6.0, {1.0: 36, 4.0: 3, 8.0: 1}, {9.0: 40}), settings=QUICK)
    assert not hardly_fewer.promote and passed(hardly_fewer)[PROMISE] is None


def test_golden_normals_refuse_a_threshold_and_an_equal_one_changes_nothing():
    found = threshold_change(9.0, 3.0, {1.0: 120}, {5.0: 40})
    loud = np.full(12, 4.0)
    assert passed(judge_threshold(found, (loud, loud), QUICK))[GOLDEN] is False
    assert not judge_threshold(found, (loud, loud), QUICK).promote
    same = judge_threshold(replace(found, candidate_threshold=9.0), settings=QUICK)
    assert not same.promote
    assert same.words == "The champion stays: the candidate has the same weights and the same threshold."


@examples(20)
@given(st.integers(0, 2**32))
def test_the_order_of_the_images_does_not_matter(seed):
    paired = scores(seed, each=2, alarms=(0.2, 0.05))
    order = np.random.default_rng(seed).permutation(len(paired.parts))
    other = replace(
        paired,
        is_anomalous=paired.is_anomalous[order],
        parts=[paired.parts[i] for i in order],
        kinds=[paired.kinds[i] for i in order],
        champion=paired.champion[order],
        candidate=paired.candidate[order],
    )
    one, two = decide(paired), decide(other)
    assert one.promote == two.promote
    assert [c.low for c in one.checks] == pytest.approx([c.low for c in two.checks])


def test_where_labels_mean_nothing_nothing_is_gained_but_by_chance():
    gains = []
    for seed in range(60):
        paired = scores(seed)
        shuffled = np.random.default_rng(seed).permutation(paired.is_anomalous)
        gains.append(check(decide(replace(paired, is_anomalous=shuffled)), AUROC).gained)
    assert np.mean(gains) <= 0.13


def test_too_few_images_prove_nothing():
    good = {"alarms": (0.4, 0.03), "recalls": (0.8, 0.97)}
    few_defects = decide(scores(0, defects=29, **good))
    assert not few_defects.promote
    assert [c.name for c in few_defects.checks if c.passed is None] == [AUROC, AUPRO, RECALL, GOLDEN]
    assert "29 anomalous parts are too few to tell; label images of 30" in few_defects.words
    few_normals = decide(scores(0, normals=19, **good))
    assert check(few_normals, FALSE_ALARMS).passed is None
    assert "19 normal parts" in few_normals.words
    in_parts = decide(scores(0, defects=60, each=3, **good))
    assert "20 anomalous parts" in in_parts.words
    assert decide(scores(0, defects=29, **good), limits=replace(QUICK, fewest_defects=29)).promote


def better(**changes):
    """A candidate that would be promoted but for what `changes` say."""
    return replace(scores(0, alarms=(0.4, 0.03), recalls=(0.8, 0.97)), **changes)


def refusals(decision):
    return [one.name for one in decision.checks if one.passed is False]


def test_a_kind_of_defect_that_is_found_less_often_is_a_refusal():
    paired = better()
    kinds = list(paired.kinds)
    shown = np.flatnonzero(paired.is_anomalous)
    result = (paired.champion > paired.champion_threshold)[shown]
    candidate = paired.candidate.copy()
    for i in shown[result][:4]:
        kinds[i] = "hairline"
    candidate[shown[result][0]] = -5.0
    decision = decide(better(kinds=kinds, candidate=candidate))
    assert refusals(decision) == [KINDS]
    assert "hairline 100% to 75%" in decision.words
    kinds[shown[result][2]] = kinds[shown[result][3]] = "other"
    assert decide(better(kinds=kinds, candidate=candidate)).promote  # two images say nothing of a kind


def test_a_loss_of_just_the_margin_is_no_more_than_the_margin():
    paired = better(kinds=["one" if label else None for label in scores(0).is_anomalous])
    flagged = np.where(paired.is_anomalous, 9.0, paired.candidate)
    missed = flagged.copy()
    missed[np.flatnonzero(paired.is_anomalous)[:12]] = -9.0  # 40 images: 1.0 to 0.7
    limits = replace(QUICK, kind_margin=0.3, recall_margin=1.0, auroc_margin=1.0)
    pair = replace(paired, champion=np.where(paired.is_anomalous, 9.0, paired.champion), candidate=missed)
    assert check(decide(pair, limits=limits), KINDS).passed
    assert not check(decide(pair, limits=replace(limits, kind_margin=0.29)), KINDS).passed


def test_a_slower_or_larger_model_is_a_refusal():
    paired = better()
    assert decide(paired, Cost(0.1, 1000, METHOD), Cost(0.124, 1099, METHOD)).promote
    assert refusals(decide(paired, Cost(0.1, 1000, METHOD), Cost(0.126, 1000, METHOD))) == [SECONDS]
    assert refusals(decide(paired, Cost(0.1, 1000, METHOD), Cost(0.1, 1101, METHOD))) == [WEIGHTS]


def test_between_two_methods_time_and_size_are_told_and_refuse_nothing():
    decision = decide(better(), Cost(0.1, 1000, METHOD), Cost(10.0, 10**6, "patchcore"))
    assert decision.promote
    for name, ratio in ((SECONDS, "100.00"), (WEIGHTS, "1000.00")):
        reports = check(decision, name)
        assert reports.passed is None
        assert reports.words == f"{ratio} times the champion's, which does not count from padim to patchcore"


def test_golden_normals_that_alarm_are_a_refusal():
    paired, calm = better(), np.full(24, -3.0)
    assert decide(paired, golden=(calm, calm)).promote
    loud = np.where(np.arange(24) < 4, 9.0, calm)  # one or two of 24 are to be expected
    assert refusals(decide(paired, golden=(calm, loud))) == [GOLDEN]
    assert decide(paired, golden=(loud, calm)).promote
    two = np.where(np.arange(24) < 2, 9.0, calm)  # more than promised, but not beyond chance
    assert decide(paired, golden=(calm, two)).promote
    assert decide(paired, golden=(calm[:0], calm[:0])).promote
    with pytest.raises(ValueError, match="not finite"):
        decide(paired, golden=(calm, np.full(24, np.nan)))
    with pytest.raises(ValueError, match="do not match"):
        decide(paired, golden=(calm, calm[1:]))


def test_golden_normals_alarm_by_each_models_own_threshold():
    paired = better(champion_threshold=1.0, candidate_threshold=2.0)
    between, at_its_own = np.full(24, 1.5), np.full(24, 2.0)
    result = check(decide(paired, golden=(between, at_its_own)), GOLDEN)
    assert (result.champion, result.candidate, result.passed) == (1.0, 0.0, True)  # one equal to it is no alarm
    assert result.margin == paired.alpha
    assert not result.gained
    assert result.words == "0 of 24 normals alarm, not proven more than promised; 24 did before; 24 golden normals"
    above = check(decide(paired, golden=(between - 1, at_its_own + 0.01)), GOLDEN)
    assert (above.champion, above.candidate, above.passed) == (0.0, 1.0, False)


@pytest.mark.parametrize(
    ("low", "high", "passed", "gained"),
    [
        (-0.02, 0.3, False, False),  # the margin itself may not be lost
        (-0.019, 0.3, True, False),
        (-0.3, 0.5, False, False),  # measured better, not proven to be no worse
        (0.0, 0.3, True, False),
        (0.001, 0.3, True, True),
        (np.nan, 0.3, False, False),
    ],
)
def test_not_worse_and_better_go_by_the_lower_bound_alone(low, high, passed, gained):
    result = _not_worse("AUPRO", Difference(0.5, 0.6, low, high), 0.02)
    assert (result.passed, result.gained) == (passed, gained)
    assert (result.champion, result.candidate, result.high, result.margin) == (0.5, 0.6, high, 0.02)
    assert result.difference == pytest.approx(0.1)
    assert result.low == low or (result.low is None and np.isnan(low))
    assert f"0.5000 to 0.6000, +0.1000; at worst {low:+.4f}, and -0.0200 is the most" in result.words


def test_regions_that_are_found_less_well_are_a_refusal():
    random = np.random.default_rng(0)
    parts = [f"part {i // 2}" for i in range(80)]
    was = random.uniform(0.8, 1.0, 80)

    def with_regions(change):
        return decide(better(champion_aupro=was, candidate_aupro=was + change, region_parts=parts))

    assert with_regions(np.zeros(80)).promote
    assert check(with_regions(np.full(80, 0.01)), AUPRO).gained
    assert refusals(with_regions(np.full(80, -0.021))) == [AUPRO]
    assert refusals(with_regions(random.normal(-0.01, 0.1, 80))) == [AUPRO]  # not proven
    few = decide(better(champion_aupro=was[:9], candidate_aupro=was[:9] - 0.5, region_parts=parts[:9]))
    assert few.promote
    assert check(few, AUPRO).passed is None


def test_the_decision_can_be_kept():
    decision = decide(better())
    assert json.loads(json.dumps(decision.to_dict(), allow_nan=False))["checks"][0]["name"] == AUROC
    assert decision == decide(better())
    assert decision.checks[0].low != decide(better(), limits=replace(QUICK, seed=1)).checks[0].low
    assert check(decision, AUROC).difference == pytest.approx(
        check(decision, AUROC).candidate - check(decision, AUROC).champion
    )
    assert check(decision, AUROC).low < check(decision, AUROC).difference < check(decision, AUROC).high


def test_scores_that_cannot_be_compared_are_refused():
    paired = better()
    for changes, says in (
        ({"candidate": paired.candidate[1:]}, "do not match"),
        ({"champion": np.full(120, np.nan)}, "not finite"),
        ({"is_anomalous": np.ones(120)}, "bool"),
        ({"parts": ["a"]}, "1 parts or kinds"),
        ({"kinds": []}, "0 parts or kinds"),
        ({"candidate_threshold": float("nan")}, "decides nothing"),
        ({"alpha": 0.0}, "not a false-alarm rate"),
        ({"champion_aupro": np.ones(2), "region_parts": ["a", "b"]}, "do not match"),
        ({"champion_aupro": np.ones(2), "candidate_aupro": np.ones(2), "region_parts": ["a"]}, "do not match"),
    ):
        with pytest.raises(ValueError, match=says):
            replace(paired, **changes)


@pytest.mark.parametrize(
    "wrong", [{"auroc_margin": -0.1}, {"confidence": 1.0}, {"resamples": 3}, {"slowdown": 0.5}, {"fewest_defects": 1}]
)
def test_settings_that_let_everything_or_nothing_pass_are_refused(wrong):
    with pytest.raises(ConfigError, match="lies outside"):
        GateSettings(**wrong)


def test_a_champion_that_cost_nothing_has_no_times():
    free, same = Cost(0.0, 1000, METHOD), decide(scores(0), Cost(0.0, 1000, METHOD), Cost(0.0, 1000, METHOD))
    assert check(same, SECONDS).passed
    dearer = check(decide(scores(0), free, COST), SECONDS)
    assert dearer.passed is False
    assert dearer.words == "0.1, the champion's is 0, 1.25 times is the most"
