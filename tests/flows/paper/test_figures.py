"""The figures of the Reverse Distillation paper."""

import numpy as np
import pytest

from flows.paper import figures as paper

PRINTED_OTHERWISE = {("padim", "image", 2), ("padim", "pro", 0), ("spade", "pixel", 2)}
"""averages that do not follow from the paper's own categories"""


@pytest.mark.parametrize(
    ("method", "size"), [(one, size) for one, sizes in paper.PUBLISHED.items() for size in sizes]
)
def test_the_papers_averages_follow_from_its_categories(method: str, size: int) -> None:
    """A figure mistyped would hardly keep three averages."""
    published = paper.PUBLISHED[method][size]
    pixel, pro = zip(*published.localisation.values(), strict=True)
    pixel_means, pro_means = zip(*published.localisation_means, strict=True)
    tables = {
        "image": (tuple(published.image_auroc.values()), published.image_auroc_means),
        "pixel": (pixel, pixel_means),
        "pro": (pro, pro_means),
    }
    for metric, (figures, means) in tables.items():
        groups = (figures[:5], figures[5:], figures)
        for place, group in enumerate(groups):
            if group and group[0] is not None and (method, metric, place) not in PRINTED_OTHERWISE:
                assert np.mean(group) == pytest.approx(means[place], abs=0.0501), (metric, place)
    assert set(published.localisation) == set(paper.CATEGORIES)


def test_the_papers_full_model_has_the_same_figures_in_every_table() -> None:
    of = {method: paper.PUBLISHED[method][256] for method in ("reverse_distillation", "padim", "spade")}
    complete = [(one.image_auroc_means[2], *one.localisation_means[2]) for one in of.values()]
    full = complete[0]
    assert [method[3:] for method in reversed(paper.COMPLEXITY)] == complete
    assert paper.BOTTLENECKS["mff_oce"] == paper.TEACHERS["wide_resnet50_2"] == paper.MAP_STAGES[1, 2, 3] == full


@pytest.mark.parametrize(
    ("name", "classes", "dataset"),
    [
        ("mnist", 10, "MNIST"), ("MNIST_png", 10, "MNIST"), ("mnist", 3, None), ("emnist", 10, None),
        ("Fashion-MNIST", 10, "FashionMNIST"), ("fmnist", 10, "FashionMNIST"), ("cifar-10-images", 10, "CIFAR10"),
        ("cifar100", 100, None), ("toys", 10, None),
    ],
)  # fmt: skip
def test_data_sets_of_table_4_are_known_by_name_and_size(name: str, classes: int, dataset: str | None) -> None:
    assert paper.novelty_dataset(name, classes) == dataset
