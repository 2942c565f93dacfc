"""A whole comparison: what chooses does not report, and the reverse."""

from dataclasses import replace

import numpy as np
import pytest

from rd_core.comparison.disagreement import most_disagreed, ranks_of
from rd_core.comparison.figures import PixelFigures, decision_figures
from rd_core.comparison.judged_images import JudgedImage, labels_of
from rd_core.comparison.judgement import judge
from rd_core.errors import ConfigError
from rd_core.metrics.image_metrics import image_auroc
from rd_core.metrics.pixel_tables import PixelTables
from tests.rd_core.comparison.simulated_comparisons import COST, contenders, judged

IMAGES = judged(40)
AUROCS = {"sharp": 0.97, "blunt": 0.7, "dull": 0.65}


def test_the_half_that_reports_does_not_choose() -> None:
    """Whatever scores are on the half that reports, the same method is named for the same reason."""
    models = contenders(IMAGES, AUROCS, seeds=3)
    judgement = judge(IMAGES, models, resamples=200)
    assert judgement.choice.method == "sharp" and judgement.choice.beyond_chance
    reporting = judgement.halves.reporting
    turned = [replace(one, scores=np.where(reporting, -one.scores, one.scores)) for one in models]
    again = judge(IMAGES, turned, resamples=200)
    assert (again.choice, again.choosing) == (judgement.choice, judgement.choosing)
    assert again.auroc.figures["sharp"].value == pytest.approx(1 - judgement.auroc.figures["sharp"].value)


def test_the_half_that_chooses_does_not_report() -> None:
    models = contenders(IMAGES, AUROCS)
    judgement = judge(IMAGES, models, resamples=200)
    noise = np.random.default_rng(0).normal(size=len(IMAGES)) * judgement.halves.choosing
    again = judge(IMAGES, [replace(one, scores=one.scores + 0.01 * noise) for one in models], resamples=200)
    assert again.choice.method == judgement.choice.method
    assert (again.auroc, again.average_precision) == (judgement.auroc, judgement.average_precision)
    assert [one.decisions for one in again.methods] == [one.decisions for one in judgement.methods]
    half = judgement.halves.reporting
    for one in models:
        figure = judgement.auroc.figures[one.method].value
        assert figure == pytest.approx(image_auroc(one.scores[half], labels_of(IMAGES)[half]))
        recall = next(f for f in judgement.methods if f.method == one.method).decisions.recall
        assert recall.flagged == np.count_nonzero((one.scores > 2) & half & labels_of(IMAGES))


def test_the_typical_model_is_the_median_one_and_not_the_luckiest() -> None:
    models = contenders(IMAGES, AUROCS, seeds=4)
    judgement = judge(IMAGES, models, resamples=200)
    half, labels = judgement.halves.choosing, labels_of(IMAGES)
    for method in AUROCS:
        figures = [(image_auroc(m.scores[half], labels[half]), m.seed) for m in models if m.method == method]
        assert judgement.typical[method] == sorted(figures)[1][1]
    assert judgement.choice.seed == judgement.typical["sharp"]
    assert judgement.methods[0].seeds == (0, 1, 2, 3)


def test_a_method_costs_what_its_median_training_costs() -> None:
    models = [
        replace(one, cost=replace(COST, training_seconds=10.0 * one.seed, images_per_second=5.0 - one.seed))
        for one in contenders(IMAGES, {"a": 0.9}, seeds=3)
    ]
    cost = judge(IMAGES, models, resamples=50).methods[0].cost
    assert (cost.training_seconds, cost.images_per_second, cost.model_bytes) == (10.0, 4.0, 10**7)


def test_too_few_images_are_reported_on_and_choose_nothing() -> None:
    few = judged(10)
    judgement = judge(few, contenders(few, AUROCS), resamples=100)
    assert (judgement.choice.method, judgement.choice.seed, judgement.choosing) == (None, None, None)
    assert judgement.choice.sentence.startswith("No method is named. The judged images show 10 parts")
    assert [one.method for one in judgement.methods] == sorted(AUROCS)
    assert judgement.auroc.reference == "blunt"
    assert judgement.methods[0].decisions.recall.total == 10


def test_one_part_has_figures_and_no_intervals() -> None:
    one = [JudgedImage(str(n), "the part", n % 2 == 1) for n in range(6)]
    judgement = judge(one, contenders(one, AUROCS), resamples=100)
    assert (judgement.auroc, judgement.average_precision, judgement.choice.method) == (None, None, None)
    assert judgement.methods[0].decisions.false_alarms.total == 3


def test_drawn_defects_are_said_to_be_drawn() -> None:
    images = judged(40, drawn=True)
    judgement = judge(images, contenders(images, AUROCS), resamples=100)
    assert judgement.choice.method == "sharp"
    assert judgement.choice.sentence.endswith("The defects are drawn; real ones may rank methods otherwise.")
    flattered = judge(images, contenders(images, AUROCS, flattered=["sharp"]), resamples=100)
    assert flattered.choice.method is None
    real = judge(IMAGES, contenders(IMAGES, AUROCS, flattered=["sharp"]), resamples=100)
    assert real.choice.method == "sharp"


def test_contenders_that_contradict_each_other_are_refused() -> None:
    models = contenders(IMAGES, AUROCS)
    with pytest.raises(ConfigError, match="no contender was scored"):
        judge(IMAGES, [])
    with pytest.raises(ConfigError, match="there twice"):
        judge(IMAGES, [models[0], models[0]])
    with pytest.raises(ConfigError, match=r"sharp with seed 0 has scores of shape \(79,\) for 80 judged images"):
        judge(IMAGES, [replace(models[0], scores=models[0].scores[1:])])


def test_decisions_are_counted_by_kind_and_size() -> None:
    images = [
        JudgedImage("a", "a", False), JudgedImage("b", "b", False), JudgedImage("c", "c", True, "hole", 0.0005),
        JudgedImage("d", "d", True, "hole", 0.001), JudgedImage("e", "e", True, None, 0.0011),
        JudgedImage("f", "f", True, "stain"),
    ]  # fmt: skip
    scores = np.array([1.0, 2.5, 2.0, 2.6, 3.0, 4.0])
    figures = decision_figures(scores, images, 2.0, (1.9, 2.5))
    assert (figures.recall.flagged, figures.recall.total) == (3, 4)
    assert (figures.false_alarms.flagged, figures.false_alarms.total) == (1, 2)
    assert (figures.undecided.flagged, figures.undecided.total) == (2, 6)
    assert [(row.name, row.flagged, row.total) for row in figures.by_kind] == [
        ("hole", 1, 2), ("no kind given", 1, 1), ("stain", 1, 1),
    ]  # fmt: skip
    assert [(row.name, row.flagged, row.total) for row in figures.by_size] == [
        ("0.0001", 0, 0), ("0.001", 1, 2), ("0.01", 1, 1), ("0.1", 0, 0), ("1", 0, 0),
    ]  # fmt: skip


def test_pixel_figures_are_those_of_the_maps() -> None:
    maps, mask = np.zeros((2, 4, 4), np.float16), np.zeros((4, 4), bool)
    maps[1, 0, 0], mask[0, 0] = 1, True
    figures = PixelFigures.of(PixelTables.of(maps, [None, mask], [False, True]))
    assert figures == PixelFigures(1.0, 1.0, 1.0, 1.0, 1, 1)
    assert PixelFigures.of(PixelTables.empty()) == PixelFigures(None, None, None, None, 0, 0)


def test_methods_disagree_most_where_their_ranks_lie_furthest_apart() -> None:
    models = contenders(IMAGES, {"a": 0.9, "b": 0.9})
    judgement = judge(IMAGES, models, resamples=50)
    reporting = np.flatnonzero(judgement.halves.reporting)
    high, *_, low = reporting[np.argsort(models[0].scores[reporting])]
    models[1] = replace(models[1], scores=10 * models[0].scores)
    models[1].scores[[low, high]] = models[1].scores.min() - 1, models[1].scores.max() + 1
    judgement = judge(IMAGES, models, resamples=50)
    ranks = ranks_of(judgement, models)
    assert set(most_disagreed(judgement, models, 2)) == {low, high}
    assert ranks[1 if judgement.methods[1].method == "b" else 0, high] == 1
    assert np.isnan(ranks[:, judgement.halves.choosing]).all()
    among = np.ones(len(IMAGES), bool)
    among[low] = False
    assert low not in most_disagreed(judgement, models, 40, among)


def test_methods_that_rank_alike_disagree_on_nothing() -> None:
    (one,) = contenders(IMAGES, {"a": 0.9})
    models = [one, replace(one, method="b", scores=2 * one.scores)]
    assert most_disagreed(judge(IMAGES, models, resamples=50), models) == ()
