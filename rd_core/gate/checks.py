"""The gate's checks: each compares a candidate with the champion in one figure.

Whole parts are resampled and counted, because images of one part resemble each other.
"""

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binom

from rd_core.gate.evidence import Check, Cost, GateScores, GateSettings, Golden
from rd_core.gate.promise import PartAlarms
from rd_core.metrics.image_metrics import check_scores
from rd_core.metrics.paired_bootstrap import Difference, mean_difference, metric_difference
from rd_core.metrics.ranking import auroc

AUROC, AUPRO, RECALL, FALSE_ALARMS, PROMISE = "AUROC", "AUPRO", "recall", "false alarms", "promised rate"
KINDS, SECONDS, WEIGHTS, GOLDEN = "defect kinds", "seconds an image", "size of the weights", "golden images"
_KIND_IMAGES = 3
"""fewest images of a kind for a comparison"""


def ranking(paired: GateScores, settings: GateSettings) -> Check:
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


def maps(paired: GateScores, settings: GateSettings) -> Check:
    before, after, parts = paired.champion_aupro, paired.candidate_aupro, paired.region_parts
    if before is None or after is None or parts is None or not len(before):
        return _undecided(AUPRO, settings.aupro_margin, "no masks to compare the maps by")
    if len(set(parts)) < settings.fewest_defects:
        few = f"masks on {len(set(parts))} parts are too few to tell; draw them on {settings.fewest_defects}"
        return _undecided(AUPRO, settings.aupro_margin, few)
    return _not_worse(AUPRO, _mean_difference(before, after, parts, settings), settings.aupro_margin)


def recall(paired: GateScores, settings: GateSettings) -> Check:
    few = _too_few(paired, settings, defects=True)
    if few:
        return _undecided(RECALL, settings.recall_margin, few)
    before, after = (flagged[paired.is_anomalous].astype(np.float64) for flagged in paired.flagged)
    difference = _mean_difference(before, after, _parts_of(paired, paired.is_anomalous), settings)
    return _not_worse(RECALL, difference, settings.recall_margin)


def false_alarms(paired: GateScores, settings: GateSettings) -> Check:
    """Whether the candidate is not proven to raise more false alarms than promised."""
    few = _too_few(paired, settings, normals=True)
    if few:
        return _undecided(FALSE_ALARMS, paired.alpha, few)
    fewer, more = _parts_that_changed(paired)
    chance = _chance(more, fewer)
    gained = fewer > more and chance <= 1 - settings.confidence
    words = (
        f"fewer on {fewer} parts, more on {more}; so many fewer by chance: {chance:.2g}"
        if fewer + more
        else "the same"
    )
    before, after, parts = _normals(paired)
    return _alarms_kept(FALSE_ALARMS, before, after, parts, paired.alpha, settings, words, gained)


def more_false_alarms(paired: GateScores, settings: GateSettings) -> bool:
    """Whether the candidate is proven to raise more false alarms than the champion."""
    fewer, more = _parts_that_changed(paired)
    return more > fewer and _chance(fewer, more) <= 1 - settings.confidence


def _chance(rarer: int, commoner: int) -> float:
    """McNemar's exact test; with parts for images where several show one part."""
    return float(binom.cdf(rarer, rarer + commoner, 0.5))


def promise(paired: GateScores, settings: GateSettings) -> Check:
    """Whether the candidate is shown to raise few enough false alarms: passed, or None where it cannot be shown."""
    before, after, parts = _normals(paired)
    alarms, was = PartAlarms.of(after, parts), PartAlarms.of(before, parts).rate
    limit = min(1.0, settings.false_alarm_margin * paired.alpha)
    low, high = alarms.low(settings.confidence), alarms.high(settings.confidence)
    times = f"{settings.false_alarm_margin:g} times the {paired.alpha:.2%} promised"
    most = f"{limit:.2%} is the most, {times}" if limit < 1 else f"all may, for {times} is no limit"
    seen = f"{int(after.sum())} of {len(after)} normals alarm, so up to {high:.2%} may"
    shown = high <= limit
    words = f"{seen}; {most}" if shown else f"cannot be shown: {seen}, and {most}. {_needed(alarms, limit, settings)}"
    rate = _number(alarms.rate)
    difference = None if rate is None else rate - was
    return Check(PROMISE, _number(was), rate, difference, low, high, limit, shown or None, words)


def _needed(alarms: PartAlarms, limit: float, settings: GateSettings) -> str:
    """How many normals would show it."""
    noun = "normals" if alarms.single else "parts with normals"
    least = alarms.needed_without_more(limit, settings.confidence)
    at_this_rate = alarms.needed_at_this_rate(limit, settings.confidence)
    if not alarms.alarms:
        return f"{least:,} {noun} without an alarm would show it"
    often = (
        "at the observed rate no number of them would, so recalibrate"
        if at_this_rate is None
        else f"about {at_this_rate:,} at the observed rate"
    )
    return f"{least:,} {noun} would show it if no other alarms, {often}"


def breaks_promise(paired: GateScores, settings: GateSettings) -> bool:
    """Whether the champion is proven to raise more false alarms than the candidate's threshold promises."""
    before, _, parts = _normals(paired)
    return PartAlarms.of(before, parts).low(settings.confidence) > paired.alpha


def golden(images: Golden | None, paired: GateScores, settings: GateSettings) -> Check:
    """Whether the candidate is not proven to alarm on more golden normals than promised. `images`: (champion's,
    candidate's) scores (g,)."""
    if images is None or not len(images[0]):
        return _undecided(GOLDEN, paired.alpha, "there are none")
    scores = [check_scores(values, images[0]) for values in images]
    before, after = scores[0] > paired.champion_threshold, scores[1] > paired.candidate_threshold
    words, parts = f"{len(after)} golden normals", [str(place) for place in range(len(after))]
    return _alarms_kept(GOLDEN, before, after, parts, paired.alpha, settings, words, gained=False)


def _alarms_kept(
    name: str,
    before: NDArray[np.bool_],
    after: NDArray[np.bool_],
    parts: Sequence[str],
    alpha: float,
    settings: GateSettings,
    words: str,
    gained: bool,
) -> Check:
    """Check whether the candidate's false alarms [n] exceed its threshold's promise beyond chance."""
    alarms, was = PartAlarms.of(after, parts), PartAlarms.of(before, parts).rate
    low, high = alarms.low(settings.confidence), alarms.high(settings.confidence)
    passed = low <= alpha
    verdict = (
        "not proven more than promised"
        if passed
        else f"more than the {alpha:.2%} promised: recalibrate, or look at the labels"
    )
    sentence = f"{int(after.sum())} of {len(after)} normals alarm, {verdict}; {int(before.sum())} did before; {words}"
    return Check(name, was, alarms.rate, alarms.rate - was, low, high, alpha, passed, sentence, gained)


def _parts_that_changed(paired: GateScores) -> tuple[int, int]:
    """Numbers of parts with fewer false alarms than before, and with more."""
    change: dict[str, int] = defaultdict(int)
    before, after, parts = _normals(paired)
    for part, was, became in zip(parts, before.tolist(), after.tolist(), strict=True):
        change[part] += became - was
    return sum(c < 0 for c in change.values()), sum(c > 0 for c in change.values())


def kinds(paired: GateScores, settings: GateSettings) -> Check:
    """Check the kind of defect whose recall falls most, as measured."""
    images = defaultdict(list)
    for i, kind in enumerate(paired.kinds):
        if kind is not None and paired.is_anomalous[i]:
            images[kind].append(i)
    before, after = paired.flagged
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


def costs(champion: Cost, candidate: Cost, settings: GateSettings) -> tuple[Check, Check]:
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


def _normals(paired: GateScores) -> tuple[NDArray[np.bool_], NDArray[np.bool_], list[str]]:
    """(champion's alarms, candidate's alarms, part) of each normal image."""
    normal = ~paired.is_anomalous
    before, after = (flagged[normal] for flagged in paired.flagged)
    return before, after, _parts_of(paired, normal)


def _parts_of(paired: GateScores, chosen: NDArray[np.bool_]) -> list[str]:
    return [paired.parts[i] for i in np.flatnonzero(chosen).tolist()]


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
