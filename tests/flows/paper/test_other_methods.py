"""Methods of other papers by the protocol of this one, with the figures that it prints of them."""

import json
from pathlib import Path

import pytest

from flows.paper import figures as paper
from flows.paper.benchmark import BenchmarkSettings
from rd_core.detectors.registry import METHODS
from tests.flows.paper.stubbed_benchmark import QUICK, STUB_AUROC, Stub, call, rows, save
from tests.rd_core.striped_images import textured

OTHERS = {name: method.settings for name, method in METHODS.items() if name != "reverse_distillation"}


@pytest.mark.parametrize("method", OTHERS)
def test_every_method_can_be_asked_for_as_its_paper_measures(mvtec: Path, out: Path, stub: Stub, method: str) -> None:
    said = call(mvtec, "--out", out, "--method", method, "--category", "carpet")
    ((model,),) = [request.models for request in stub.requests]
    assert isinstance(model, OTHERS[method]) and model.map_stride == 1
    (row,) = rows(out)
    assert (row.method, row.bottleneck, row.map_stages) == (method, None, None)
    assert f"Ours: {model.teacher}, {model.image_height} x {model.image_width} pixels" in said
    assert ("The paper has no figures of" in said) == (method not in paper.PUBLISHED)


@pytest.mark.parametrize(
    ("method", "size", "first", "second", "mean"),
    [
        ("mkd", 128, "79.3", "95.6/-", "87.7"),
        ("padim", 256, "99.8", "99.1/96.2", "98.8"),
        ("spade", 256, "-", "97.5/94.7", "-"),
    ],
)
def test_the_papers_figures_of_the_method_stand_beside(
    mvtec: Path, out: Path, stub: Stub, method: str, size: int, first: str, second: str, mean: str
) -> None:
    said = call(mvtec, "--out", out, "--method", method)
    assert f"category ours paper, {size} px" in said and f"paper: AUROC/PRO, {size} px" in said
    assert f"carpet 50.0 {first} casting" in said
    assert f"carpet 87.5 62.5 75.0 {second} casting" in said
    assert f"ours, {method}, " in said and "RD (paper) 0.31" in said
    assert paper.PUBLISHED[method][size].image_auroc_means[0] is None or float(mean) == pytest.approx(
        paper.PUBLISHED[method][size].image_auroc_means[0]
    )


def test_a_methods_settings_can_be_changed_and_give_other_rows(mvtec: Path, out: Path, stub: Stub) -> None:
    for change in ("nearest=3", "nearest=4"):
        call(mvtec, "--out", out, "--method", "spade", "--set", change, "--category", "carpet")
    assert [json.loads(row.settings)["model"]["nearest"] for row in rows(out)] == [3, 4]


def test_the_settings_of_the_papers_are_theirs() -> None:
    model = BenchmarkSettings(Path(), "a.parquet", method="mkd").model()
    assert (model.teacher, model.image_height, model.to_dict()["epochs"]) == ("vgg16", 128, 601)


def test_mkd_runs_from_folder_to_rows_and_again_computes_nothing(mvtec: Path, out: Path) -> None:
    arguments = (mvtec, "--out", out, "--method", "mkd", *QUICK)
    said = call(*arguments)
    found = rows(out)
    assert [(row.category, row.steps, row.variant) for row in found] == [
        (name, 2, "efficientnet_lite0-mkd") for name in ("carpet", "casting")
    ]
    assert found[0].pixel_auroc is not None and found[1].pixel_auroc is None
    assert json.loads(found[0].settings)["method"] == "mkd"
    assert "Ours: efficientnet_lite0, 64 x 64 pixels, 2 steps, 1 seed. The paper's figures: vgg16, 128 x 128" in said
    assert "(0 new, 2 of these settings)" in call(*arguments)


def test_novelty_of_mkd_has_the_papers_mean_beside(tmp_path: Path, out: Path, stub: Stub) -> None:
    for part in ("train", "test"):
        for number in range(10):
            save(tmp_path / "mnist" / part / str(number), textured(1))
    STUB_AUROC.update({str(number): (0.5, 0.5) for number in range(10)})
    said = call(tmp_path / "mnist", "--out", out, "--method", "mkd", "--protocol", "novelty")
    assert "mean of 10 (MNIST) 50.0 98.7" in said
