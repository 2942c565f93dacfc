"""Which scored images to look at first: the list that the run report shows and the review page leads through.

One order for both, by what the score row says alone, so that a list in a report of last month is the same today.
"""

import pyarrow as pa
import pyarrow.compute as pc

BAND = 3.0
"""an image that is not flagged is borderline if its p-value is at most so many times the promised alarm rate"""
DEFAULT_ALPHA = 0.05
"""where no model card tells the promised alarm rate"""
_LEAST_THRESHOLD = 1e-9

WORTH_A_LOOK = f"(status = 'ok' AND (is_anomalous OR decision = 'review' OR p_value <= {BAND} * alpha))"
"""SQL over a score row and `alpha`, the alarm rate its model promises: flagged, in the review band, or borderline"""
# What lies nearest to the threshold is what a label moves most: far above it people agree with the model.
NEARNESS = f"abs(score::DOUBLE - threshold::DOUBLE) / greatest(abs(threshold::DOUBLE), {_LEAST_THRESHOLD}::DOUBLE)"
"""SQL: how far a score is from its threshold, in thresholds; the order is by this, and of equal ones by key"""


def first_looks(rows: pa.Table, alpha: float, most: int) -> pa.Table:
    """Of `rows` (storage.partitions.scores.SCHEMA, of one model version that promises `alpha`, (0, 1)) the first
    `most` that are worth a look, in the order of the review page: `WORTH_A_LOOK` and `NEARNESS` for rows that no
    database holds.

    Rows may come part by part: the first looks of the first looks of all parts are those of all rows.
    """
    in_band = pc.fill_null(pc.equal(rows["decision"], "review"), False)
    borderline = pc.less_equal(rows["p_value"], BAND * alpha)
    looked_at = pc.or_kleene(pc.or_kleene(rows["is_anomalous"], in_band), borderline)
    found = rows.filter(pc.and_kleene(pc.equal(rows["status"], "ok"), looked_at))
    threshold = found["threshold"].cast(pa.float64())
    nearness = pc.divide(
        pc.abs(pc.subtract(found["score"].cast(pa.float64()), threshold)),
        pc.max_element_wise(pc.abs(threshold), _LEAST_THRESHOLD),
    )
    ranked = pa.table({"nearness": nearness, "image_key": found["image_key"]})
    order = [("nearness", "ascending"), ("image_key", "ascending")]
    return found.take(pc.select_k_unstable(ranked, most, order))
