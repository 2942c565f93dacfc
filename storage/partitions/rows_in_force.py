"""The sealed row in force of each image: the one sealed last."""

from collections.abc import Collection, Iterator, Sequence
from itertools import chain

import pyarrow as pa

from storage.partitions import scores
from storage.partitions.seals import Seal, SealedPlan
from storage.stores.store import Store


def rows_in_force(
    store: Store,
    sealed: Sequence[Seal],
    columns: Sequence[str] | None = None,
    *,
    versions: Collection[str] | None = None,
) -> Iterator[pa.Table]:
    """The rows of a day's seals that no later plan replaced, part by part: scores.SCHEMA, or `columns` with
    image_key. `versions`: only rows of these model versions, though others replace them too.

    Of two plans sealed in the same instant the higher model version counts, as in the view `latest` of
    storage.analysis.queries. A plan has an image once, so keys of the first plan are not kept.
    """
    plans = [(plan.sealed_at, seal.partition.model_version, plan) for seal in sealed for plan in seal.plans]
    plans.sort(key=lambda plan: plan[:2])
    replaced_by: dict[str, int] = {}
    for number, (_, _, plan) in enumerate(plans[1:], 1):
        replaced_by.update(dict.fromkeys(_keys(store, plan), number))
    for number, (_, its_version, plan) in enumerate(plans):
        for part in plan.parts if versions is None or its_version in versions else ():
            table = scores.read_columns(store, part.key, columns) if columns else scores.read_part(store, part.key)
            if replaced_by:
                last = [replaced_by.get(key, number) == number for key in table["image_key"].to_pylist()]
                table = table.filter(pa.array(last, pa.bool_()))
            yield table


def _keys(store: Store, plan: SealedPlan) -> Iterator[str]:
    parts = (scores.read_columns(store, part.key, ["image_key"]) for part in plan.parts)
    return chain.from_iterable(part["image_key"].to_pylist() for part in parts)
