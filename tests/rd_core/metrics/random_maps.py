"""Small random maps with many ties, masks and labels, for the tests of the metrics."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Sample:
    """Images of a test: maps (N, H, W), masks or None, labels (N,)."""

    maps: np.ndarray
    masks: list
    labels: np.ndarray

    def __iter__(self):
        return iter((self.maps, self.masks, self.labels))

    def __getitem__(self, chosen):
        indices = np.arange(len(self.maps))[chosen]
        return Sample(self.maps[indices], [self.masks[i] for i in indices], self.labels[indices])

    def pixels(self):
        """(values, is a defect) of every pixel that may be counted."""
        kept = [i for i in range(len(self.maps)) if not (self.labels[i] and self.masks[i] is None)]
        kept = [i for i in kept if not np.isnan(self.maps[i]).all()]
        defects = [np.zeros(self.maps[i].shape, bool) if self.masks[i] is None else self.masks[i] for i in kept]
        values = np.concatenate([np.zeros(0)] + [self.maps[i].ravel().astype(float) for i in kept])
        return values, np.concatenate([np.zeros(0, bool)] + [d.ravel() for d in defects])


def random_sample(seed, images=8, shape=(12, 15), levels=20, normals=3, unmasked=1, unscored=1):
    """`levels` sets the ties: values are multiples of 1/4, some below 0, some infinite."""
    random = np.random.default_rng(seed)
    maps = (random.integers(-3, levels, (images, *shape)) / 4).astype(np.float16)
    maps[random.random(maps.shape) < 0.01] = np.inf
    labels = np.arange(images) >= normals
    masks = [_mask(random, shape) if label else None for label in labels]
    for i in range(normals, images):
        maps[i][masks[i]] += np.float16(1.5)
    for i in range(images - unmasked, images):
        masks[i] = None
    maps[:unscored] = np.nan
    order = random.permutation(images)
    return Sample(maps[order], [masks[i] for i in order], labels[order])


def _mask(random, shape):
    mask = random.random(shape) < random.choice([0.02, 0.1, 0.4])
    mask[random.integers(shape[0]), random.integers(shape[1])] = True
    return mask


def f1(labels, flagged):
    """2 TP / (2 TP + FP + FN); scikit-learn's takes a millisecond a call."""
    return 2 * np.sum(labels & flagged) / max(np.sum(labels) + np.sum(flagged), 1)
