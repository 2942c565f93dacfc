"""The figures of the Reverse Distillation paper, as data.

Deng and Li, "Anomaly Detection via Reverse Distillation from One-Class Embedding", CVPR 2022. In percent, as
printed; the columns "Ours" unless stated. WideResNet50 and 256 pixels are the paper's main setting.
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

    auroc: float
    """pixel AUROC"""
    pro: float
    """per-region overlap, as the authors compute it"""


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


IMAGE_AUROC: dict[int, dict[str, float]] = {
    256: dict(
        zip(
            CATEGORIES,
            (98.9, 100, 100, 99.3, 99.2, 100, 95.0, 96.3, 99.9, 100, 96.6, 97.0, 99.5, 96.7, 98.5),
            strict=True,
        )
    ),
    128: dict(
        zip(
            CATEGORIES,
            (99.2, 95.7, 100, 99.4, 98.8, 100, 97.1, 89.5, 99.8, 99.2, 93.3, 91.1, 90.3, 99.5, 94.3),
            strict=True,
        )
    ),
}
"""Table 1, by pixels of a side and category"""

IMAGE_AUROC_MEANS: dict[int, tuple[float, float, float]] = {256: (99.5, 98.0, 98.5), 128: (98.6, 95.4, 96.5)}
"""Table 1: the averages it prints over textures, objects, all"""

_PIXEL_AUROC = {
    256: (98.9, 99.3, 99.4, 95.6, 95.3, 98.7, 97.4, 98.7, 98.9, 97.3, 98.2, 99.6, 99.1, 92.5, 98.2),
    128: (98.1, 97.3, 99.0, 92.6, 92.1, 98.2, 97.8, 96.5, 98.8, 96.6, 97.0, 98.3, 98.2, 97.6, 97.0),
}
_PRO = {
    256: (97.0, 97.6, 99.1, 90.6, 90.9, 96.6, 91.0, 95.8, 95.5, 92.3, 96.4, 98.2, 94.5, 78.0, 95.4),
    128: (95.3, 92.6, 98.6, 84.8, 82.3, 94.7, 90.5, 87.2, 89.2, 84.1, 90.0, 94.4, 86.7, 85.2, 92.3),
}
LOCALISATION: dict[int, dict[str, Localisation]] = {
    size: {
        category: Localisation(auroc, pro)
        for category, auroc, pro in zip(CATEGORIES, _PIXEL_AUROC[size], _PRO[size], strict=True)
    }
    for size in (256, 128)
}
"""Table 2, by pixels of a side and category"""

LOCALISATION_MEANS: dict[int, tuple[Localisation, Localisation, Localisation]] = {
    256: (Localisation(97.7, 95.0), Localisation(97.9, 93.4), Localisation(97.8, 93.9)),
    128: (Localisation(95.8, 90.7), Localisation(97.6, 89.4), Localisation(97.0, 89.9)),
}
"""Table 2: the averages it prints over textures, objects, all"""

COMPLEXITY = (
    Method("SPADE", 1.40, 1400, 85.5, 96.5, 91.7),
    Method("PaDiM", 0.95, 3800, 95.5, 97.5, 92.1),
    Method("RD", 0.31, 352, 98.5, 97.8, 93.9),
)
"""Table 3, all with WideResNet50"""

NOVELTY = {"MNIST": 99.3, "FashionMNIST": 95.0, "CIFAR10": 86.5}
"""Table 4, image AUROC averaged over the ten classes; classes alone are in the supplement, which we do not have"""

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
