"""The plan of a comparison with invented values."""

from dataclasses import replace

from storage.comparisons.plan import ComparisonPlan, PlannedContender, PlannedImage

IMAGE = PlannedImage("images/cloth/a.png", "d", "p", True, "choosing", "hole", "labels/m.png", "e", 0.1, None)
PLAN = ComparisonPlan(
    "cloth", "c0", 0.01, {"height": 64}, None, None, 100, None, None, ("t",), ("s",), ("c",),
    {"t": "1", "s": "2", "c": "3"},
    (IMAGE, replace(IMAGE, donor="images/cloth/b.png")), (PlannedContender("padim", 0, {"ridge": 0.1}, "d1"),),
    {"spade": "too large"}, ("one is broken",),
)  # fmt: skip
