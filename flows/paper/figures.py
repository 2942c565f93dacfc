"""The figures of the Reverse Distillation paper, as data.

Deng and Li, "Anomaly Detection via Reverse Distillation from One-Class Embedding", CVPR 2022. In percent, as
printed. Tables 1, 2 and 4 compare other methods, too; Tables 5 to 7 are of the paper's own. WideResNet50 and 256
pixels are its main setting.
"""

from typing import NamedTuple

TEXTURES = ("carpet", "grid", "leather", "tile", "wood")
OBJECTS = (
    "bottle", "cable", "capsule", "hazelnut", "metal_nut",
    "pill", "screw", "toothbrush", "transistor", "zipper",
)  # fmt: skip
CATEGORIES = TEXTURES + OBJECTS
"""of MVTec AD, named as its folders are"""


class Localisation(NamedTuple):
    """Two figures of one cell of Table 2."""

    auroc: float | None
    """pixel AUROC"""
    pro: float | None
    """per-region overlap, as the authors of the method compute it"""


class Ablation(NamedTuple):
    """One column of Tables 5 to 7: means over the 15 categories."""

    image_auroc: float
    pixel_auroc: float
    pro: float


class Method(NamedTuple):
    """One row of Table 3."""

    name: str
    seconds: float
    """of inference, on an Intel i7"""
    megabytes: float
    image_auroc: float
    pixel_auroc: float
    pro: float


class Published(NamedTuple):
    """What Tables 1 and 2 print of a method at one image size; means are over textures, objects, all."""

    image_auroc: dict[str, float]
    """Table 1, by category; empty: not in it"""
    image_auroc_means: tuple[float | None, float | None, float | None]
    localisation: dict[str, Localisation]
    """Table 2, by category"""
    localisation_means: tuple[Localisation, Localisation, Localisation]


Row = tuple[float, ...]
"""one figure a category, then the three means"""


def _published(image: Row | None, pixel: Row | None, pro: Row | None) -> Published:
    number = len(CATEGORIES)
    nothing = (None,) * (number + 3)
    cells = [Localisation(*pair) for pair in zip(pixel or nothing, pro or nothing, strict=True)]
    textures, objects, everything = image[number:] if image else nothing[:3]
    return Published(
        dict(zip(CATEGORIES, image[:number], strict=True)) if image else {},
        (textures, objects, everything),
        dict(zip(CATEGORIES, cells[:number], strict=True)),
        (cells[number], cells[number + 1], cells[number + 2]),
    )


NOTHING = _published(None, None, None)
"""of a method that the tables do not have"""

# fmt: off
PUBLISHED: dict[str, dict[int, Published]] = {
    "reverse_distillation": {
        256: _published(
            (98.9, 100, 100, 99.3, 99.2, 100, 95.0, 96.3, 99.9, 100, 96.6, 97.0, 99.5, 96.7, 98.5, 99.5, 98.0, 98.5),
            (98.9, 99.3, 99.4, 95.6, 95.3, 98.7, 97.4, 98.7, 98.9, 97.3, 98.2, 99.6, 99.1, 92.5, 98.2,
             97.7, 97.9, 97.8),
            (97.0, 97.6, 99.1, 90.6, 90.9, 96.6, 91.0, 95.8, 95.5, 92.3, 96.4, 98.2, 94.5, 78.0, 95.4,
             95.0, 93.4, 93.9),
        ),
        128: _published(
            (99.2, 95.7, 100, 99.4, 98.8, 100, 97.1, 89.5, 99.8, 99.2, 93.3, 91.1, 90.3, 99.5, 94.3,
             98.6, 95.4, 96.5),
            (98.1, 97.3, 99.0, 92.6, 92.1, 98.2, 97.8, 96.5, 98.8, 96.6, 97.0, 98.3, 98.2, 97.6, 97.0,
             95.8, 97.6, 97.0),
            (95.3, 92.6, 98.6, 84.8, 82.3, 94.7, 90.5, 87.2, 89.2, 84.1, 90.0, 94.4, 86.7, 85.2, 92.3,
             90.7, 89.4, 89.9),
        ),
    },
    "mkd": {
        128: _published(
            (79.3, 78.0, 95.1, 91.6, 94.3, 99.4, 89.2, 80.5, 98.4, 73.6, 82.7, 83.3, 92.2, 85.6, 93.2,
             87.7, 87.8, 87.8),
            (95.6, 91.8, 98.1, 82.8, 84.8, 96.3, 82.4, 95.9, 94.6, 86.4, 89.6, 96.0, 96.1, 76.5, 93.9,
             90.6, 90.8, 90.7),
            None,
        ),
    },
    "uninformed_students": {
        256: _published(
            (91.6, 81.0, 88.2, 99.1, 97.7, 99.0, 86.2, 86.1, 93.1, 82.0, 87.9, 54.9, 95.3, 81.8, 91.9,
             91.5, 85.8, 87.7),
            None,
            (87.9, 95.2, 94.5, 94.6, 91.1, 93.1, 81.8, 96.8, 96.5, 94.2, 96.1, 94.2, 93.3, 66.6, 95.1,
             92.7, 90.8, 91.4),
        ),
    },
    "padim": {
        256: _published(
            (99.8, 96.7, 100, 98.1, 99.2, 99.9, 92.7, 91.3, 92.0, 98.7, 93.3, 85.8, 96.1, 97.4, 90.3,
             98.8, 93.8, 95.5),
            (99.1, 97.3, 99.2, 94.1, 94.9, 98.3, 96.7, 98.5, 98.2, 97.2, 95.7, 98.5, 98.8, 97.5, 98.5,
             96.9, 97.8, 97.5),
            (96.2, 94.6, 97.8, 86.0, 91.1, 94.8, 88.8, 93.5, 92.6, 85.6, 92.7, 94.4, 93.1, 84.5, 95.9,
             93.2, 91.6, 92.1),
        ),
    },
    "spade": {
        256: _published(
            None,
            (97.5, 93.7, 97.6, 87.4, 88.5, 98.4, 97.2, 99.0, 99.1, 98.1, 96.5, 98.9, 97.9, 94.1, 96.5,
             92.9, 97.6, 96.5),
            (94.7, 86.7, 97.2, 75.9, 87.4, 95.5, 90.9, 93.7, 95.4, 94.4, 94.6, 96.0, 93.5, 87.4, 92.6,
             88.4, 93.4, 91.7),
        )._replace(image_auroc_means=(None, None, 85.5)),  # of Table 3
    },
}
# fmt: on
"""Tables 1 and 2, by method and pixels of a side; WideResNet50 for SPADE and PaDiM"""

COMPLEXITY = (
    Method("SPADE", 1.40, 1400, 85.5, 96.5, 91.7),
    Method("PaDiM", 0.95, 3800, 95.5, 97.5, 92.1),
    Method("RD", 0.31, 352, 98.5, 97.8, 93.9),
)
"""Table 3, all with WideResNet50"""

NOVELTY = {
    "reverse_distillation": {"MNIST": 99.3, "FashionMNIST": 95.0, "CIFAR10": 86.5},
    "mkd": {"MNIST": 98.7, "FashionMNIST": 94.5, "CIFAR10": 84.5},
}
"""Table 4, by method: image AUROC averaged over the ten classes; classes alone are in the supplement, which we do not
have"""

BOTTLENECKS = {
    "pretrained": Ablation(96.0, 96.9, 91.2),
    "oce": Ablation(97.9, 97.4, 92.4),
    "mff_oce": Ablation(98.5, 97.8, 93.9),
}
"""Table 5, by ReverseDistillationSettings.bottleneck: Pre, Pre+OCE, Pre+OCE+MFF"""

TEACHERS = {
    "resnet18": Ablation(97.9, 97.1, 91.2),
    "resnet50": Ablation(98.4, 97.7, 93.1),
    "wide_resnet50_2": Ablation(98.5, 97.8, 93.9),
}
"""Table 6, by ReverseDistillationSettings.teacher"""

MAP_STAGES: dict[tuple[int, ...], Ablation] = {
    (1,): Ablation(90.1, 94.0, 88.6),
    (2,): Ablation(97.5, 96.9, 92.6),
    (3,): Ablation(97.2, 96.9, 89.5),
    (2, 3): Ablation(98.0, 97.6, 93.2),
    (1, 2, 3): Ablation(98.5, 97.8, 93.9),
}
"""Table 7, by ReverseDistillationSettings.map_stages"""


def novelty_dataset(folder_name: str, classes: int) -> str | None:
    """The data set of Table 4 for a folder of that name and number of classes, or None."""
    if classes != 10:
        return None
    name = "".join(letter for letter in folder_name.lower() if letter.isalnum())
    if "fashion" in name or "fmnist" in name:
        return "FashionMNIST"
    if "cifar10" in name:
        return "CIFAR10"
    # EMNIST, KMNIST and QMNIST are other data.
    return "MNIST" if name.startswith("mnist") else None
