"""What a threshold promises, what its held-out scores prove, and what they show: one sentence for all reports."""

from dataclasses import dataclass

from reports.number_format import count, counted, percent

_SAME = 1 + 1e-9
"""a proven rate up to this multiple of the promised one is the promised one"""


@dataclass(frozen=True)
class Promise:
    """The false-alarm rate of one threshold."""

    alpha: float
    """promised"""
    proven: float
    """proven without assuming a law for the scores; may be above alpha"""
    above: int
    """held-out scores above the threshold"""
    n: int
    """held-out scores"""
    parts: int
    """that they are of"""
    needed: int
    """held-out parts that would prove alpha"""
    low: float
    """of the exact 95 % interval of above / n"""
    high: float
    extrapolated: bool
    """whether the threshold rests on a fitted tail"""
    method: str
    """of the calibration, as in the model card"""
    folds: int | None = None
    """of cross-fitting; None: each part was left out alone, or another method"""

    @property
    def keeps(self) -> bool:
        """Whether the promised rate is proven."""
        return self.proven <= self.alpha * _SAME


def promise_in_words(promise: Promise) -> str:
    """Promised, proven and realised rate, and whether the threshold is extrapolated."""
    words = [f"Promised false-alarm rate {percent(promise.alpha)}. {_scores(promise)} {_proof(promise)}"]
    words.append(
        f"; {count(promise.above)} of them {'lies' if promise.above == 1 else 'lie'} above the threshold "
        f"({percent(promise.low)} to {percent(promise.high)})"
    )
    if promise.extrapolated:
        words.append(", which is extrapolated by a fitted tail")
    return "".join(words) + "."


def _scores(promise: Promise) -> str:
    apart = f" in {promise.folds} folds" if promise.folds else " with each part left out"
    whose = {"cross": apart, "labelled normals": " of later normals", "unlabelled scores": " of unlabelled images"}
    of_parts = f" of {counted(promise.parts, 'part')}" if promise.parts < promise.n else ""
    return counted(promise.n, "held-out score") + of_parts + whose.get(promise.method, "")


def _proof(promise: Promise) -> str:
    if promise.method == "unlabelled scores":
        return "prove nothing, for nobody has looked at them"
    verb = "proves" if promise.n == 1 else "prove"
    return f"{verb} it" if promise.keeps else f"{verb} {percent(min(promise.proven, 1.0))}"
