"""Folds of normals by whole parts, for methods that are fitted again to leave parts out."""

from collections import Counter
from collections.abc import Sequence

FOLDS = 5


def fold_of_each(parts: Sequence[str], folds: int = FOLDS) -> list[int]:
    """The fold (n,) of each image, in 0 ... min(folds, number of parts) - 1, by the part that it shows.

    The largest parts come first, each into the fold with the fewest images, so folds differ by no more images than a
    part has. Ties go by the order of the images.
    """
    sizes = Counter(parts)
    filled = [0] * min(folds, len(sizes))
    fold: dict[str, int] = {}
    for part, size in sizes.most_common():
        fold[part] = filled.index(min(filled))
        filled[fold[part]] += size
    return [fold[part] for part in parts]
