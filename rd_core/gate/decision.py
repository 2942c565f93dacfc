"""The gate's decision, from both models' scores of the same labelled images.

A candidate is promoted if it is not worse (each difference that matters is above its margin with confidence: tests of
non-inferiority, all of which must pass) and better in something beyond chance. Whole parts are resampled and counted,
because images of one part resemble each other.
"""

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binom

from rd_core.gate.evidence import Check, Cost, GateDecision, GateScores, GateSettings
from rd_core.metrics.image_metrics import check_scores
from rd_core.metrics.intervals import Interval, clopper_pearson
from rd_core.metrics.paired_bootstrap import Difference, mean_difference, metric_difference
from rd_core.metrics.ranking import auroc

__all__ = ["Check", "Cost", "GateDecision", "GateScores", "GateSettings", "judge"]

AUROC, AUPRO, RECALL, FALSE_ALARMS = "AUROC", "AUPRO", "recall", "false alarms"
KINDS, SECONDS, WEIGHTS, GOLDEN = "defect kinds", "seconds an image", "size of the weights", "golden images"
_REQUIRED = (AUROC, RECALL, FALSE_ALARMS)
"""checks that must have enough images for a promotion"""
_KIND_IMAGES = 3
"""fewest images of a kind for a comparison"""


def judge(
    paired: GateScores,
    champion_cost: Cost,
    candidate_cost: Cost,
    golden: tuple[NDArray[np.floating], NDArray[np.floating]] | None = None,
    settings: GateSettings | None = None,
) -> GateDecision:
    """Compare a candidate with the champion.

    golden: (champion's, candidate's) scores (g,) of the golden normals; None if there are none. Deterministic. Raises
    ValueError for golden scores that are not finite or differ in number.
    """
    settings = settings or GateSettings()
    checks = (
        _auroc(paired, settings),
        _aupro(paired, settings),
        _recall(paired, settings),
        _false_alarms(paired, settings),
        _kinds(paired, settings),
        *_costs(champion_cost, candidate_cost, settings),
        _golden(golden, paired, settings),
    )
    refused = [c for c in checks if c.passed is False or (c.passed is None and c.name in _REQUIRED)]
    gains = [c for c in checks if c.gained]
    return GateDecision(bool(gains) and not refused, bool(gains), checks, _decision_words(refused, gains))


def _decision_words(refused: Sequence[Check], gains: Sequence[Check]) -> str:
    better = ", ".join(f"{c.name} ({c.words})" for c in gains)
    if refused:
        why = "; ".join(f"{c.name}: {c.words}" for c in refused)
        return f"The champion stays, for the candidate is not proven to be as good. {why}."
    if not gains:
        return "The champion stays: the candidate is not worse, but it gains nothing beyond chance."
    return f"The candidate is promoted: not worse in anything, and better in {better}."


def _auroc(paired: GateScores, settings: GateSettings) -> Check:
    few = _too_few(paired, settings, normals=True, defects=True)
    if few:
        return _undecided(AUROC, settings.auroc_margin, few)
    difference = metric_difference(
        auroc,
        paired.champion,
        paired.candidate,
        paired.is_anomalous,
        paired.parts,
        resamples=settings.resamples,
        confidence=settings.confidence,
        seed=settings.seed,
    )
    return _not_worse(AUROC, difference, settings.auroc_margin)


def _aupro(paired: GateScores, settings: GateSettings) -> Check:
    before, after, parts = paired.champion_aupro, paired.candidate_aupro, paired.region_parts
    if before is None or after is None or parts is None or not len(before):
        return _undecided(AUPRO, settings.aupro_margin, "no masks to compare the maps by")
    if len(set(parts)) < settings.fewest_defects:
        few = f"masks on {len(set(parts))} parts are too few to tell; draw them on {settings.fewest_defects}"
        return _undecided(AUPRO, settings.aupro_margin, few)
    return _not_worse(AUPRO, _mean_difference(before, after, parts, settings), settings.aupro_margin)


def _recall(paired: GateScores, settings: GateSettings) -> Check:
    few = _too_few(paired, settings, defects=True)
    if few:
        return _undecided(RECALL, settings.recall_margin, few)
    before, after = (flagged[paired.is_anomalous].astype(np.float64) for flagged in _flagged(paired))
    difference = _mean_difference(before, after, _parts_of(paired, paired.is_anomalous), settings)
    return _not_worse(RECALL, difference, settings.recall_margin)


def _false_alarms(paired: GateScores, settings: GateSettings) -> Check:
    few = _too_few(paired, settings, normals=True)
    if few:
        return _undecided(FALSE_ALARMS, paired.alpha, few)
    normal = ~paired.is_anomalous
    before, after = (flagged[normal] for flagged in _flagged(paired))
    fewer, more = _parts_that_changed(before, after, _parts_of(paired, normal))
    # McNemar's exact test; with parts for images where several show one part.
    chance = float(binom.cdf(more, fewer + more, 0.5))
    gained = fewer > more and chance <= 1 - settings.confidence
    words = (
        f"fewer on {fewer} parts, more on {more}; so many fewer by chance: {chance:.2g}"
        if fewer + more
        else "the same"
    )
    return _alarms_kept(FALSE_ALARMS, before, after, paired.alpha, settings, words, gained)


def _golden(
    golden: tuple[NDArray[np.floating], NDArray[np.floating]] | None, paired: GateScores, settings: GateSettings
) -> Check:
    if golden is None or not len(golden[0]):
        return _undecided(GOLDEN, paired.alpha, "there are none")
    scores = [check_scores(values, golden[0]) for values in golden]
    before, after = scores[0] > paired.champion_threshold, scores[1] > paired.candidate_threshold
    return _alarms_kept(GOLDEN, before, after, paired.alpha, settings, f"{len(after)} golden normals", gained=False)


def _alarms_kept(
    name: str,
    before: NDArray[np.bool_],
    after: NDArray[np.bool_],
    alpha: float,
    settings: GateSettings,
    words: str,
    gained: bool,
) -> Check:
    """Check whether the candidate's false alarms [n] exceed its threshold's promise beyond chance."""
    rate = _one_sided(after, settings)
    passed = rate.low <= alpha
    verdict = "as promised" if passed else f"more than the {alpha:.2%} promised: recalibrate, or look at the labels"
    sentence = f"{int(after.sum())} of {len(after)} normals alarm, {verdict}; {int(before.sum())} did before; {words}"
    was = float(before.mean())
    return Check(name, was, rate.value, rate.value - was, rate.low, rate.high, alpha, passed, sentence, gained)


def _one_sided(flagged: NDArray[np.bool_], settings: GateSettings) -> Interval:
    """The share of flagged images with one-sided exact bounds."""
    return clopper_pearson(int(flagged.sum()), len(flagged), 2 * settings.confidence - 1)


def _parts_that_changed(before: NDArray[np.bool_], after: NDArray[np.bool_], parts: Sequence[str]) -> tuple[int, int]:
    """Numbers of parts with fewer flagged images than before, and with more."""
    change: dict[str, int] = defaultdict(int)
    for part, was, became in zip(parts, before.tolist(), after.tolist(), strict=True):
        change[part] += became - was
    return sum(c < 0 for c in change.values()), sum(c > 0 for c in change.values())


def _kinds(paired: GateScores, settings: GateSettings) -> Check:
    """Check the kind of defect whose recall falls most, as measured."""
    images = defaultdict(list)
    for i, kind in enumerate(paired.kinds):
        if kind is not None and paired.is_anomalous[i]:
            images[kind].append(i)
    before, after = _flagged(paired)
    recalls = {
        kind: (float(before[chosen].mean()), float(after[chosen].mean()))
        for kind, chosen in sorted(images.items())
        if len(chosen) >= _KIND_IMAGES
    }
    if not recalls:
        return _undecided(KINDS, settings.kind_margin, f"no kind has {_KIND_IMAGES} labelled images")
    kind, (was, became) = min(recalls.items(), key=lambda item: item[1][1] - item[1][0])
    # The shares are of whole images: rounding must not turn a loss at the margin into one beyond it.
    lost = [k for k, (a, b) in recalls.items() if round(b - a + settings.kind_margin, 9) < 0]
    changes = ", ".join(f"{k} {recalls[k][0]:.0%} to {recalls[k][1]:.0%}" for k in (lost or [kind]))
    words = f"{'detected less often' if lost else f'of {len(recalls)} kinds the one that changes worst'}: {changes}"
    return Check(KINDS, was, became, became - was, None, None, settings.kind_margin, not lost, words)


def _costs(champion: Cost, candidate: Cost, settings: GateSettings) -> tuple[Check, Check]:
    """Check time and size."""
    methods = None if champion.method == candidate.method else f"from {champion.method} to {candidate.method}"
    return (
        _no_dearer(SECONDS, champion.seconds_an_image, candidate.seconds_an_image, settings.slowdown, methods),
        _no_dearer(WEIGHTS, champion.weights_bytes, candidate.weights_bytes, settings.growth, methods),
    )


def _no_dearer(name: str, before: float, after: float, most: float, methods: str | None) -> Check:
    ratio = f"{after / before:.2f} times the champion's" if before else f"{after:g}, the champion's is 0"
    words = f"{ratio}, {most:g} times is the most" if methods is None else f"{ratio}, which does not count {methods}"
    passed = after <= most * before if methods is None else None
    return Check(name, before, after, after - before, None, None, most, passed, words)


def _not_worse(name: str, difference: Difference, margin: float) -> Check:
    passed = bool(difference.low > -margin)  # False for NaN
    worst = f"at worst {difference.low:+.4f}, and {-margin:+.4f} is the most that may be lost"
    words = f"{difference.before:.4f} to {difference.after:.4f}, {difference.value:+.4f}; {worst}"
    return Check(
        name,
        _number(difference.before),
        _number(difference.after),
        _number(difference.value),
        _number(difference.low),
        _number(difference.high),
        margin,
        passed,
        words,
        gained=passed and difference.low > 0,
    )


def _undecided(name: str, margin: float, words: str) -> Check:
    return Check(name, None, None, None, None, None, margin, None, words)


def _number(value: float) -> float | None:
    return None if np.isnan(value) else value


def _mean_difference(
    before: NDArray[np.float64], after: NDArray[np.float64], parts: Sequence[str], settings: GateSettings
) -> Difference:
    return mean_difference(
        before,
        after,
        parts,
        resamples=settings.resamples,
        confidence=settings.confidence,
        seed=settings.seed,
    )


def _parts_of(paired: GateScores, chosen: NDArray[np.bool_]) -> list[str]:
    return [paired.parts[i] for i in np.flatnonzero(chosen).tolist()]


def _flagged(paired: GateScores) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """(champion's, candidate's) alarms, (n,) each."""
    return paired.champion > paired.champion_threshold, paired.candidate > paired.candidate_threshold


def _too_few(paired: GateScores, settings: GateSettings, *, normals: bool = False, defects: bool = False) -> str:
    """Say which images are missing, or ''."""
    wanted = (
        (normals, False, settings.fewest_normals, "normal"),
        (defects, True, settings.fewest_defects, "anomalous"),
    )
    missing = []
    for asked, label, fewest, word in wanted:
        count = len(set(_parts_of(paired, paired.is_anomalous == label)))
        if asked and count < fewest:
            missing.append(f"{count} {word} parts are too few to tell; label images of {fewest} for evaluation")
    return " and ".join(missing)
