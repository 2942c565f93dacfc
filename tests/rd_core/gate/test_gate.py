import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest, norm

from rd_core.errors import ConfigError
from rd_core.gate.decision import (
    AUPRO,
    AUROC,
    FALSE_ALARMS,
    GOLDEN,
    KINDS,
    RECALL,
    SECONDS,
    WEIGHTS,
    Cost,
    GateScores,
    GateSettings,
    _not_worse,
    judge,
)
from rd_core.metrics.paired_bootstrap import Difference
from tests.examples import examples

METHOD = "padim"
COST = Cost(0.1, 1000, METHOD)
QUICK = GateSettings(resamples=200)


def scores(seed, normals=80, defects=40, alarms=(0.05, 0.05), recalls=(0.9, 0.9), own_noise=0.3, each=1, alpha=0.05):
    """Two models with these true rates at their thresholds, (champion, candidate), that find much the same hard."""
    random = np.random.default_rng(seed)
    labels = np.arange(normals + defects) >= normals
    parts = np.concatenate([np.arange(normals) // each, 10_000 + np.arange(defects) // each])
    hard = random.normal(size=20_000)[parts]
    models = []
    for alarm, recall in zip(alarms, recalls, strict=True):
        noise = random.normal(size=len(labels))
        threshold = norm.isf(alarm)
        models.append(
            (
                np.sqrt(1 - own_noise**2) * hard + own_noise * noise + labels * (threshold - norm.isf(recall)),
                threshold,
            )
        )
    (champion, before), (candidate, after) = models
    kinds = [f"kind{i % 4}" if label else None for i, label in enumerate(labels)]
    names = [f"part {p}" for p in parts]
    return GateScores(labels, names, kinds, champion, candidate, float(before), float(after), alpha)


def decide(paired, champion=COST, candidate=COST, golden=None, limits=QUICK):
    return judge(paired, champion, candidate, golden, limits)


def check(decision, name):
    return next(one for one in decision.checks if one.name == name)


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
    assert result.words == "0 of 24 normals alarm, as promised; 24 did before; 24 golden normals"
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
