"""Two models' scores of the same images, and what the gate decides between them."""

import numpy as np
from scipy.stats import norm

from rd_core.gate.decision import Cost, GateScores, GateSettings, judge

METHOD = "padim"
COST = Cost(0.1, 1000, METHOD)
QUICK = GateSettings(resamples=200)


def scores(seed, normals=80, defects=40, alarms=(0.05, 0.05), recalls=(0.9, 0.9), own_noise=0.3, each=1, alpha=0.05):
    """Two models with these true rates at their thresholds, (champion, candidate), that find much the same hard."""
    random = np.random.default_rng(seed)
    labels = np.arange(normals + defects) >= normals
    parts = np.concatenate([np.arange(normals) // each, 10_000 + np.arange(defects) // each])
    hard = random.normal(size=20_000)[parts]
    models = []
    for alarm, recall in zip(alarms, recalls, strict=True):
        noise = random.normal(size=len(labels))
        threshold = norm.isf(alarm)
        models.append(
            (
                np.sqrt(1 - own_noise**2) * hard + own_noise * noise + labels * (threshold - norm.isf(recall)),
                threshold,
            )
        )
    (champion, before), (candidate, after) = models
    kinds = [f"kind{i % 4}" if label else None for i, label in enumerate(labels)]
    names = [f"part {p}" for p in parts]
    return GateScores(labels, names, kinds, champion, candidate, float(before), float(after), alpha)


def decide(paired, champion=COST, candidate=COST, golden=None, limits=QUICK):
    return judge(paired, champion, candidate, golden, limits)


def check(decision, name):
    return next(one for one in decision.checks if one.name == name)
