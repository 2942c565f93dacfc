"""Whether a seal's contents match the plan's manifest and parts."""

from collections import Counter
from collections.abc import Mapping

from storage.partitions.scores import STATUSES
from storage.partitions.seals import Seal, SealedPlan
from storage.records import Partition, Plan


def why_seal_is_wrong(seal: Seal) -> str | None:
    """The contradiction within a seal; None without one."""
    if not seal.plans:
        return "it names no plan"
    named = [plan.digest for plan in seal.plans] + [part.key for plan in seal.plans for part in plan.parts]
    twice = [name for name, times in Counter(named).items() if times > 1]
    if twice:
        return f"it names {twice[0]} twice"
    for plan in seal.plans:
        counted = plan.ok + plan.unreadable + plan.rejected
        if counted != plan.images or plan.anomalous > plan.ok:
            return (
                f"of plan {plan.digest} it counts {plan.images} images, but {plan.ok} ok, {plan.unreadable} "
                f"unreadable and {plan.rejected} rejected, {plan.anomalous} of the ok ones anomalous"
            )
    return None


def why_plan_is_wrong(sealed: SealedPlan, plan: Plan, partition: Partition) -> str | None:
    """The difference between a sealed plan and its manifest; None if they match."""
    if (plan.partition, plan.digest) != (partition, sealed.digest):
        return f"plan {sealed.digest} is not the one in its manifest, {plan.digest} of {plan.partition}"
    if (sealed.images, sealed.map_store) != (plan.images, plan.map_store):
        return (
            f"of plan {plan.digest} it names {sealed.images} images with maps in {sealed.map_store}, and the "
            f"manifest has {plan.images} with maps in {plan.map_store}"
        )
    wanted = [min(plan.batch_size, plan.images - start) for start in range(0, plan.images, plan.batch_size)]
    rows = [part.rows for part in sealed.parts]
    if rows != wanted:
        return (
            f"of plan {plan.digest} it names score files with {rows} rows, and the manifest's batches have {wanted}"
        )
    return None


def why_counts_are_wrong(sealed: SealedPlan, statuses: Mapping[str, int], anomalous: int) -> str | None:
    """The difference between a sealed plan's counts and its parts' rows; None if they match."""
    promised = {"ok": sealed.ok, "unreadable": sealed.unreadable, "rejected": sealed.rejected}
    counts = {status: statuses.get(status, 0) for status in STATUSES}
    if (promised, sealed.anomalous) == (counts, anomalous):
        return None
    return (
        f"of plan {sealed.digest} it counts {_words(promised, sealed.anomalous)}, and its score files have "
        f"{_words(counts, anomalous)}"
    )


def _words(statuses: Mapping[str, int], anomalous: int) -> str:
    return ", ".join([*(f"{count} {status}" for status, count in statuses.items()), f"{anomalous} anomalous"])
