"""The summary of a sealed partition for the run report, read part by part."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from storage.filesystem import Store
from storage.partitions import scores
from storage.partitions.first_looks import first_looks
from storage.partitions.rows_in_force import rows_in_force
from storage.partitions.seals import Seal

_BLANK = 0.001
"""of contrast: a quarter of a grey level, below any camera's noise"""
_BY_SCORE = [("score", "descending"), ("image_key", "ascending")]


@dataclass
class NightSummary:
    """A summary of each image's latest row. Grows by 12 bytes a row."""

    worst_kept: int
    first_kept: int
    alpha: float
    """promised false-alarm rate of the model"""
    errors_kept: int
    statuses: Counter[str] = field(default_factory=Counter)
    anomalous: int = 0
    to_review: int = 0
    blank: int = 0
    """number of images of one value throughout, such as black: a cap, a dead lamp, an empty file"""
    errors: list[tuple[str, str]] = field(default_factory=list)
    """(image key, error), the first `errors_kept`"""
    worst: pa.Table = field(default_factory=scores.SCHEMA.empty_table)
    """the highest-scoring rows, by score and key: at most `worst_kept`"""
    first: pa.Table = field(default_factory=scores.SCHEMA.empty_table)
    """the rows to look at first: at most `first_kept`"""
    _scores: list[NDArray[np.float32]] = field(default_factory=list)
    _digests: list[NDArray[np.uint64]] = field(default_factory=list)

    @property
    def scores(self) -> NDArray[np.float32]:
        """(ok,), in the order of the parts"""
        return np.concatenate([np.empty(0, np.float32), *self._scores])

    @property
    def duplicates(self) -> int:
        """Number of images with another one's bytes, without the first of each."""
        digests = np.concatenate([np.empty(0, np.uint64), *self._digests])
        return len(digests) - len(np.unique(digests))

    def add(self, table: pa.Table) -> None:
        """Rows of SCHEMA, of images not added before."""
        self.statuses.update(table["status"].to_pylist())
        self.anomalous += pc.sum(table["is_anomalous"]).as_py() or 0
        self.blank += pc.sum(pc.less(table["contrast"], _BLANK)).as_py() or 0
        self.to_review += pc.sum(pc.equal(table["decision"], "review")).as_py() or 0
        self._scores.append(table["score"].drop_null().to_numpy())
        self._digests.append(_prefixes(table["content_digest"].drop_null()))
        scored = pa.concat_tables([self.worst, table.filter(pc.is_valid(table["score"]))])
        self.worst = scored.take(pc.select_k_unstable(scored, self.worst_kept, _BY_SCORE))
        self.first = first_looks(pa.concat_tables([self.first, table]), self.alpha, self.first_kept)
        bad = table.filter(pc.not_equal(table["status"], "ok")).slice(0, self.errors_kept - len(self.errors))
        self.errors.extend(zip(bad["image_key"].to_pylist(), bad["error"].to_pylist(), strict=True))


def summarise_night(store: Store, seal: Seal, *, worst: int, first: int, alpha: float, errors: int) -> NightSummary:
    """Every sealed row of the partition that no later row of the same image replaced."""
    summary = NightSummary(worst, first, alpha, errors)
    for table in rows_in_force(store, [seal]):
        summary.add(table)
    return summary


def _prefixes(digests: Any) -> NDArray[np.uint64]:
    """SHA-256 in hex (n,) -> first 64 bits (n,), of which two among 10^6 images collide in 1 of 10^7 nights."""
    return np.array([int(digest[:16], 16) for digest in digests.to_pylist()], np.uint64)
