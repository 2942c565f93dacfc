"""The scored images to look at first, for the run report and the review page.

The order depends on score rows alone, so a list in an old report stays the same.
"""

import pyarrow as pa
import pyarrow.compute as pc

BAND = 3.0
"""an unflagged image is borderline up to this multiple of the promised false-alarm rate"""
DEFAULT_ALPHA = 0.05
"""if no model card has the promised false-alarm rate"""
_LEAST_THRESHOLD = 1e-9

WORTH_A_LOOK = f"(status = 'ok' AND (is_anomalous OR decision = 'review' OR p_value <= {BAND} * alpha))"
"""SQL over a score row and `alpha`, the promised false-alarm rate: flagged, in the review band, or borderline"""
# What lies nearest to the threshold is what a label moves most: far above it people agree with the model.
NEARNESS = f"abs(score::DOUBLE - threshold::DOUBLE) / greatest(abs(threshold::DOUBLE), {_LEAST_THRESHOLD}::DOUBLE)"
"""SQL: distance of a score from its threshold, in thresholds; ties are sorted by key"""


def first_looks(rows: pa.Table, alpha: float, most: int) -> pa.Table:
    """The first `most` of `rows` (storage.partitions.scores.SCHEMA, one model version with promised false-alarm rate
    `alpha`, (0, 1)) that are worth a look, in the order of the review page: `WORTH_A_LOOK` and `NEARNESS` without a
    database.

    Rows may come part by part: the first looks of all parts' first looks are those of all rows.
    """
    in_band = pc.fill_null(pc.equal(rows["decision"], "review"), False)
    borderline = pc.less_equal(rows["p_value"], BAND * alpha)
    looked_at = pc.or_kleene(pc.or_kleene(rows["is_anomalous"], in_band), borderline)
    candidates = rows.filter(pc.and_kleene(pc.equal(rows["status"], "ok"), looked_at))
    threshold = candidates["threshold"].cast(pa.float64())
    nearness = pc.divide(
        pc.abs(pc.subtract(candidates["score"].cast(pa.float64()), threshold)),
        pc.max_element_wise(pc.abs(threshold), _LEAST_THRESHOLD),
    )
    ranked = pa.table({"nearness": nearness, "image_key": candidates["image_key"]})
    order = [("nearness", "ascending"), ("image_key", "ascending")]
    return candidates.take(pc.select_k_unstable(ranked, most, order))
