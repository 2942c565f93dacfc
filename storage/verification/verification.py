"""Verification of a store: seals, parts, rows, maps, models, labels, images."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import partial
from itertools import groupby
from shlex import quote

from storage import layout
from storage.comparisons.outcome import compared_categories
from storage.errors import (
    OF_ONE_OBJECT,
    CorruptObject,
    InvalidKey,
    KeyNotFound,
    ObjectDenied,
    StorageError,
    StoreNotFound,
    TransientFault,
)
from storage.findings import Finding
from storage.images import list_images
from storage.labels.findings import label_findings
from storage.models import models
from storage.partitions import manifests, seals
from storage.partitions.same_images import compare
from storage.partitions.seals import Seal
from storage.records import Partition
from storage.stores import parquet
from storage.stores.left_out import LeftOut
from storage.stores.store import Store
from storage.verification.comparisons import comparison_findings, contender_findings, find_old_comparisons
from storage.verification.damage import (
    Damage,
    DamagedBatch,
    DamagedDescription,
    DamagedManifest,
    WrongSeal,
    partition_damage,
)
from storage.verification.garbage import (
    MANIFEST,
    Kept,
    Leftover,
    find_old_temporaries,
    find_old_trainings,
    find_unsealed,
)
from storage.verification.model_findings import model_findings
from storage.verification.region_findings import region_findings

_THREADS = 8
"""partitions verified in parallel"""


@dataclass(frozen=True)
class Scope:
    """What to verify."""

    first: date | None = None
    last: date | None = None
    """included"""
    categories: tuple[str, ...] = ()
    """() for all"""
    deep: bool = False
    """read every byte of parts, maps and weights"""

    def covers(self, category: str, day: date) -> bool:
        in_time = (self.first is None or self.first <= day) and (self.last is None or day <= self.last)
        return in_time and self.covers_category(category)

    def covers_category(self, category: str) -> bool:
        return not self.categories or category in self.categories


@dataclass(frozen=True)
class Verification:
    """The result of a verification."""

    partitions: int
    """sealed days by category and model version"""
    images: int
    """rows promised by their seals"""
    findings: tuple[Finding, ...]
    """faults first, then by key"""

    @property
    def wrong(self) -> int:
        return sum(finding.wrong for finding in self.findings)


def verify(
    store: Store, images: Store, scope: Scope, *, tell: Callable[[str], object] = lambda _: None
) -> Verification:
    """Verify what the seals of the scope promise, the models, pointers and labels of its categories, and left-overs.
    Writes nothing except what storage.partitions.same_images stores; `tell` as there. An unreadable object is a
    finding; a fault of the whole store (a time-out, no access) is raised."""
    sealed, findings = _read_seals(store, scope)
    in_use: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for seal in sealed:
        in_use[seal.partition.category][seal.partition.model_version] += 1
    champions = {category: _champion(store, category) for category in in_use}
    with ThreadPoolExecutor(_THREADS) as pool:
        for findings_of_seal in pool.map(
            lambda seal: _seal_findings(store, images, seal, champions, scope, tell), sealed
        ):
            findings += findings_of_seal
    for category in filter(scope.covers_category, sorted({*models.list_model_categories(store), *in_use})):
        of_models = partial(model_findings, store, category, in_use.get(category, {}), deep=scope.deep)
        findings += _findings_of((store,), layout.models_prefix(category), of_models)
    for category in filter(scope.covers_category, compared_categories(store)):
        prefix = layout.comparisons_prefix(category)
        of_contenders = partial(contender_findings, store, category, deep=scope.deep)
        findings += _findings_of((store,), prefix, partial(comparison_findings, store, category))
        findings += _findings_of((store,), prefix, of_contenders)
    findings += _findings_of(
        (store,), layout.labels_root(), lambda: label_findings(store, images, scope.covers_category, scope.covers)
    )
    findings += _findings_of((store,), f"{layout.REGIONS}/", lambda: region_findings(store, scope.covers_category))
    if scope.deep:
        findings += _findings_of((store,), layout.MERGED_PREFIX, lambda: _copy_findings(store))
    for root, find in (("", _temporary_findings), (layout.scores_root(), _leftover_findings)):
        findings += _findings_of((store,), root, partial(find, store, scope))
    findings.sort(key=lambda finding: (not finding.wrong, finding.where, finding.what))
    promised = sum(plan.images for seal in sealed for plan in seal.plans)
    return Verification(len(sealed), promised, tuple(findings))


def _findings_of(stores: Iterable[Store], where: str, find: Callable[[], Iterable[Finding]]) -> list[Finding]:
    """The findings of `find`; an error on the way is another finding, unless the whole store fails."""
    findings: list[Finding] = []
    try:
        findings.extend(find())
    except (StorageError, OSError) as e:
        for store in stores:
            store.check()
        cure = "Make it readable, or try again: rd-inspect verify"
        findings.append(Finding(f"cannot be verified: {e}", where, "its state is unknown", cure))
    return findings


def _read_seals(store: Store, scope: Scope) -> tuple[list[Seal], list[Finding]]:
    seals_read, findings = [], []
    for info in store.list(layout.seals_prefix()):
        of = layout.seal_partition(info.key)
        if of is None:
            among = info.key.count("/") > layout.seals_prefix().count("/") + 1
            lost = f"it is ignored{', and gc leaves all of that day of its category' if among else ''}"
            findings.append(
                Finding("is among the seals but is not a seal", info.key, lost, "Move it away.", wrong=among)
            )
            continue
        if not scope.covers(of[0], of[1]):
            continue
        partition = Partition(*of)
        try:
            seal = seals.read_seal(store, partition)
        except (CorruptObject, ObjectDenied, InvalidKey) as e:
            denied = isinstance(e, ObjectDenied)
            cure = "Make it readable." if denied else f"Remove it, then: {_backfill(store, partition)}"
            lost = "queries miss its rows, and no run can score the day"
            findings.append(Finding(f"seal is damaged: {e}", info.key, lost, cure))
            continue
        if seal is not None:
            seals_read.append(seal)
    return seals_read, findings


def _champion(store: Store, category: str) -> str | None:
    try:
        champion = models.read_champion(store, category)
    except StorageError:  # a finding of its own
        return None
    return champion.version if champion else None


def _seal_findings(
    store: Store,
    images: Store,
    seal: Seal,
    champions: Mapping[str, str | None],
    scope: Scope,
    tell: Callable[[str], object],
) -> list[Finding]:
    where, both = seal.partition, (store, images)
    key = _seal_key(where)
    damage: list[Damage] = []

    def look_at_it() -> Iterator[Finding]:
        for damaged in partition_damage(store, seal, deep=scope.deep):
            damage.append(damaged)
            yield _damage_finding(store, where, damaged)

    findings = _findings_of(both, key, look_at_it)
    if not any(isinstance(damaged, DamagedManifest) for damaged in damage):
        findings += _findings_of(both, key, lambda: _double_rows(store, seal))
        in_force = champions.get(where.category) == where.model_version
        prefix = layout.images_prefix(where.category, where.run_date)
        findings += _findings_of(both, prefix, lambda: _image_findings(store, images, seal, tell, in_force=in_force))
    return findings


def _damage_finding(store: Store, where: Partition, damage: Damage) -> Finding:
    score_again, late = _backfill(store, where), "no run can score late images of the day"
    match damage:
        case WrongSeal():
            cure = f"Remove it, then, with finished batches kept: {score_again}"
            return Finding(
                f"seal is wrong: {damage.why}", damage.where, "what it seals is counted or read wrongly", cure
            )
        case DamagedManifest():
            rebuild = f"remove {_seal_key(where)} and it, then: {score_again}"
            cure = f"Restore it from a copy. Without one, and with its images still there, {rebuild}"
            return Finding(f"manifest is damaged: {damage.why}", damage.where, late, cure)
        case DamagedDescription():
            lost = "its maps cannot be read, although they may be intact"
            return Finding(f"maps are damaged: {damage.why}", damage.where, lost, f"{score_again} --mend")
        case DamagedBatch():
            kind = "score file is damaged" if damage.where == damage.part.key else "maps are damaged"
            lost = "its rows cannot be trusted" if damage.where == damage.part.key else "its scores have no heat map"
            return Finding(f"{kind}: {damage.why}", damage.where, lost, f"{score_again} --mend")


def _double_rows(store: Store, seal: Seal) -> Iterator[Finding]:
    """An image sealed twice counts twice, unless it changed in between."""
    known: dict[str, str] = {}
    double = set[str]()
    for plan in seal.plans:
        images = dict(manifests.read_columns(store, plan.manifest, "key", "etag"))
        double |= {key for key, etag in images.items() if known.get(key) == etag}
        known |= images
    if double:
        cure = f"Remove it, then: {_backfill(store, seal.partition)}"
        what = f"{_images(len(double))} sealed twice, such as {min(double)!r}"
        yield Finding(what, _seal_key(seal.partition), "they count twice", cure)


def _image_findings(
    store: Store, images: Store, seal: Seal, tell: Callable[[str], object], *, in_force: bool
) -> Iterator[Finding]:
    """Images against a seal's rows. Images that a version not in force has not seen are no fault."""
    where, prefix = seal.partition, layout.images_prefix(seal.partition.category, seal.partition.run_date)
    left_out = LeftOut()
    try:
        listed = list(list_images(images, where.category, where.run_date, left_out))
    except (TransientFault, StoreNotFound):
        raise
    except StorageError as e:  # of this folder alone: the others are looked at
        yield _closed(prefix, str(e))
        return
    yield from (_closed(folder, why) for folder, why in left_out.broken.items())
    compared = compare(store, images, seal, listed, tell=tell)
    changed, late = ([image.key for image in some] for some in (compared.changed, compared.late))
    gone = compared.gone
    version, cure = where.model_version, _backfill(store, where)
    if changed:
        what = f"{_images(len(changed))} changed since {version} scored the day, such as {changed[0]!r}"
        yield Finding(what, prefix, "their rows are those of the earlier images", cure, wrong=in_force)
    if late:
        what = f"{_images(len(late))} arrived after {version} had scored the others, such as {late[0]!r}"
        yield Finding(what, prefix, "they have no row", cure, wrong=in_force)
    if gone:
        what = f"{_images(len(gone))} disappeared since {version} scored the day, such as {gone[0]!r}"
        lost = "they cannot be shown or scored again; their rows stay"
        yield Finding(what, prefix, lost, "None is needed if they were archived; else restore them.", wrong=False)


def _images(count: int) -> str:
    return f"{count} image{'' if count == 1 else 's'}"


def _closed(folder: str, why: str) -> Finding:
    cure = "Correct the folder's owner or mode, or remove the link."
    return Finding(f"images cannot be listed: {why}", folder, "it is unknown whether its images are judged", cure)


def _copy_findings(store: Store) -> Iterator[Finding]:
    """Damaged copies of merged days: DuckDB does not check local ones."""
    for info in store.list(layout.MERGED_PREFIX):
        try:
            parquet.from_bytes(store.read(info.key), store.address(info.key))
        except KeyNotFound:
            continue  # removed since it was listed
        except (CorruptObject, ObjectDenied, InvalidKey) as e:
            lost = "queries read wrong rows, or fail; the score files it was made of are intact"
            cure = "Remove it: queries read the score files, and rd-inspect compact makes it again."
            yield Finding(f"copy of merged days is damaged: {e}", info.key, lost, cure)


def _leftover_findings(store: Store, scope: Scope) -> Iterator[Finding]:
    looked = find_unsealed(store, scope.first, scope.last, scope.categories)
    yield from (_whole_plan_finding(store, kept) for kept in looked.kept if kept.whole)
    cure = f"If no run is at work on it: rd-inspect gc --older-than 7 --store {quote(store.uri)}"
    for (category, day), some in groupby(looked.leftovers, lambda leftover: (leftover.category, leftover.run_date)):
        left = list(some)
        yield from _damaged_plans(store, left)
        kinds = Counter(leftover.what for leftover in left)
        what = ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items()))
        what += f" of {category} {day} that no seal names, {sum(leftover.size for leftover in left):,} bytes"
        yield Finding(
            what, left[0].key, "a run was interrupted or is running; readers do not see it", cure, wrong=False
        )


def _temporary_findings(store: Store, scope: Scope) -> Iterator[Finding]:  # noqa: ARG001  # of no day and category
    cure = f"rd-inspect gc --older-than 7 --store {quote(store.uri)}"
    for find in (find_old_temporaries, find_old_trainings, find_old_comparisons):
        old = find(store, now=datetime.now(UTC), older_than=timedelta(days=1))
        if old:
            size = sum(leftover.size for leftover in old)
            what = f"{len(old)} of the kind {old[0].what}, older than a day, {size:,} bytes"
            yield Finding(what, old[0].key, "they take space", cure, wrong=False)


def _whole_plan_finding(store: Store, kept: Kept) -> Finding:
    assert kept.whole is not None
    plan = kept.whole.plan
    what = (
        f"{_images(plan.images)} of {kept.category} {kept.run_date} scored but not complete: the seal is lost, or "
        "the run ended before it"
    )
    again = f"{_backfill(store, plan.partition)}{' --redecide' if plan.redecides else ''}"
    cure = f"To complete the day from the finished batches: {again}"
    return Finding(what, plan.manifest, "readers do not see their scores", cure)


def _damaged_plans(store: Store, leftovers: Iterable[Leftover]) -> Iterator[Finding]:
    for leftover in leftovers:
        if leftover.what != MANIFEST:
            continue
        try:
            manifests.read_plan(store, leftover.key)
        except OF_ONE_OBJECT as e:
            cure = f"rd-inspect gc --older-than 0 --yes --store {quote(store.uri)}"
            yield Finding(f"unsealed manifest is damaged: {e}", leftover.key, "no run can score these images", cure)


def _seal_key(partition: Partition) -> str:
    return layout.seal_key(partition.category, partition.run_date, partition.model_version)


def _backfill(store: Store, partition: Partition) -> str:
    day = partition.run_date
    return (
        f"rd-inspect backfill --from {day} --to {day} --category {quote(partition.category)} "
        f"--model {partition.model_version} --store {quote(store.uri)}"
    )
