"""The gate's decision, from both models' scores of the same labelled images.

A candidate is promoted if it is not worse (each difference that matters is above its margin with confidence: tests of
non-inferiority, all of which must pass), better in something beyond chance, and shown to keep its promised
false-alarm rate within a margin. A candidate that only changes the threshold has a rule of its own.
"""

from collections.abc import Collection, Sequence
from dataclasses import replace

from rd_core.gate import checks
from rd_core.gate.checks import FALSE_ALARMS, KINDS, PROMISE, RECALL
from rd_core.gate.evidence import Check, Cost, GateDecision, GateScores, GateSettings, Golden

__all__ = ["Check", "Cost", "GateDecision", "GateScores", "GateSettings", "judge", "judge_threshold"]


def judge(
    paired: GateScores,
    champion_cost: Cost,
    candidate_cost: Cost,
    golden: Golden | None = None,
    settings: GateSettings | None = None,
) -> GateDecision:
    """Compare a candidate with the champion.

    golden: None if there are no golden normals. Deterministic. Raises ValueError for golden scores that are not
    finite or differ in number.
    """
    settings = settings or GateSettings()
    compared = (
        checks.ranking(paired, settings),
        checks.maps(paired, settings),
        checks.recall(paired, settings),
        checks.false_alarms(paired, settings),
        checks.promise(paired, settings),
        checks.kinds(paired, settings),
        *checks.costs(champion_cost, candidate_cost, settings),
        checks.golden(golden, paired, settings),
    )
    refused = _refused(compared, {checks.AUROC, RECALL, FALSE_ALARMS, PROMISE})
    gains = [check for check in compared if check.gained]
    return GateDecision(bool(gains) and not refused, bool(gains), compared, _words(refused, gains))


def judge_threshold(
    paired: GateScores, golden: Golden | None = None, settings: GateSettings | None = None
) -> GateDecision:
    """Compare a candidate that has the champion's weights, so the same scores, and another threshold.

    No gain is asked for. Its false alarms must be shown to keep the promise; they may be more than before only if
    more defects are found. A champion that is proven to break the promise excuses two things: a loss of recall, and
    false alarms that are proven fewer but too few normals show to be few enough. Raises as judge.
    """
    settings = settings or GateSettings()
    broken = checks.breaks_promise(paired, settings)
    alarms = _not_for_nothing(checks.false_alarms(paired, settings), paired, settings)
    compared = [
        alarms,
        checks.promise(paired, settings),
        checks.recall(paired, settings),
        checks.kinds(paired, settings),
    ]
    required = {FALSE_ALARMS, PROMISE, RECALL}
    if broken:
        excused = {RECALL, KINDS} | ({PROMISE} if alarms.gained else set())
        required -= excused
        compared = [_excused(check) if check.name in excused else check for check in compared]
    elif paired.candidate_threshold <= paired.champion_threshold:
        required.discard(RECALL)  # a lower threshold misses no more
    compared.append(checks.golden(golden, paired, settings))
    refused = _refused(compared, required)
    changed = paired.candidate_threshold != paired.champion_threshold
    gained = any(check.gained for check in compared)
    words = _threshold_words(compared, refused, changed)
    return GateDecision(changed and not refused, gained, tuple(compared), words)


def _refused(compared: Sequence[Check], required: Collection[str]) -> list[Check]:
    """Checks that failed, and those that are required and could not be made."""
    return [check for check in compared if check.passed is False or (check.passed is None and check.name in required)]


def _words(refused: Sequence[Check], gains: Sequence[Check]) -> str:
    if refused:
        return f"The champion stays, for the candidate is not proven to be as good. {_listed(refused, '; ')}."
    if not gains:
        return "The champion stays: the candidate is not worse, but it gains nothing beyond chance."
    better = ", ".join(f"{check.name} ({check.words})" for check in gains)
    return f"The candidate is promoted: not worse in anything, and better in {better}."


def _threshold_words(compared: Sequence[Check], refused: Sequence[Check], changed: bool) -> str:
    if not changed:
        return "The champion stays: the candidate has the same weights and the same threshold."
    if refused:
        return f"The champion's threshold stays. {_listed(refused, '; ')}."
    told = [check for check in compared if check.name in (FALSE_ALARMS, PROMISE, RECALL)]
    return f"The new threshold is promoted, with the champion's weights. {_listed(told, '; ')}."


def _listed(some: Sequence[Check], between: str) -> str:
    return between.join(f"{check.name}: {check.words}" for check in some)


def _not_for_nothing(alarms: Check, paired: GateScores, settings: GateSettings) -> Check:
    """The check of false alarms, failed where they are proven more than before and no more defects are found."""
    before, after = (int(flagged[paired.is_anomalous].sum()) for flagged in paired.flagged)
    if after > before or not checks.more_false_alarms(paired, settings):
        return alarms
    return replace(alarms, passed=False, words=f"{alarms.words}; no more defects are found in return")


def _excused(check: Check) -> Check:
    """The check as information, where it did not pass."""
    if check.passed:
        return check
    words = f"{check.words}. This refuses nothing, for the champion's false alarms are above the promised rate"
    return replace(check, passed=None, words=words)
