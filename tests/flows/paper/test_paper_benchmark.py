"""The benchmark as a command: its rows, its tables, and that it goes on where it stopped."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from rich.console import Console
from rich.progress import Progress

from flows.paper import benchmark as paper_benchmark
from flows.paper.benchmark import BenchmarkSettings, run_benchmark, weights_by_teacher
from flows.paper.progress import BenchmarkDisplay
from flows.settings import SettingsError
from rd_core.errors import TeacherUnavailable, TrainingDiverged
from tasks.paper.benchmark_category import BenchmarkProgress, BenchmarkRequest, Measurement
from tests.flows.paper.stubbed_benchmark import QUICK, Stub, call, make_category, rows, save
from tests.rd_core.striped_images import textured, with_blot

# The whole way, on real networks.


def test_from_folder_to_rows_and_tables_and_a_second_run_computes_nothing(
    mvtec: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = call(mvtec, "--out", out, *QUICK)
    found = rows(out)
    assert [(row.category, row.seed) for row in found] == [("carpet", 0), ("casting", 0)]
    assert {row.variant for row in found} == {"efficientnet_lite0-mff_oce-M123"}
    assert all(row.image_auroc is not None and row.steps == 2 and row.train_images == 6 for row in found)
    assert [row.aupro is None for row in found] == [False, True]
    assert json.loads(found[0].settings)["model"]["recipe"] == "paper"
    assert f"Rows: {out} (2 new, 2 of these settings)" in said
    assert re.search(r"carpet [\d.]+ 98\.9 casting [\d.]+ - mean, textures \(1 of 5\)", said)
    assert re.search(r"carpet [\d.]+ [\d.]+ [\d.]+ 98\.9/97\.0 casting - - - -", said)

    monkeypatch.setattr(paper_benchmark, "benchmark_category", lambda *_: pytest.fail("computed again"))
    monkeypatch.setattr(paper_benchmark, "check_teacher", lambda *_: pytest.fail("asked for a teacher"))
    before = out.read_bytes()
    again = call(mvtec, "--out", out, *QUICK)
    assert "(0 new, 2 of these settings)" in again
    assert out.read_bytes() == before
    tables = [text[text.index("Table 1") : text.index("Rows:")] for text in (said, again)]
    assert tables[0] == tables[1]


def test_of_three_classes_each_is_normal_once(tmp_path: Path, out: Path) -> None:
    folder = tmp_path / "toys"
    for part, count in (("train", 3), ("test", 2)):
        save(folder / part / "stripes", textured(count))
        save(folder / part / "blots", with_blot(textured(count)))
        save(folder / part / "black", np.zeros((count, 64, 64, 3), dtype=np.uint8))
    said = call(folder, "--out", out, "--protocol", "novelty", *QUICK)
    found = rows(out)
    assert [(row.category, row.normal_images, row.anomalous_images) for row in found] == [
        ("black", 2, 4),
        ("blots", 2, 4),
        ("stripes", 2, 4),
    ]
    assert {json.loads(row.settings)["model"]["score"] for row in found} == {"sum"}
    assert all(row.protocol == "novelty" and row.image_auroc is not None and row.pixel_auroc is None for row in found)
    mean = np.mean([row.image_auroc for row in found])
    assert f"mean of 3 {100 * mean:.1f} -" in said
    assert "Table 4" in said and "Table 1" not in said


# What is asked for, told from requests alone.


def test_a_killed_run_keeps_its_rows_and_goes_on_after_them(mvtec: Path, out: Path, stub: Stub) -> None:
    settings = BenchmarkSettings(mvtec, str(out), ablations=True)
    stub.rows_left = 7
    with pytest.raises(KeyboardInterrupt):
        run_benchmark(settings)
    first = rows(out)
    assert len(first) == 7
    stub.rows_left, stub.requests = 10**6, []
    run = run_benchmark(settings)
    assert (run.computed, len(run.rows)) == (18 - 7, 18)
    assert rows(out)[:7] == first
    resumed = [(request.images.category, len(request.models)) for request in stub.requests]
    assert resumed == [("casting", 3), *[("carpet", 1), ("casting", 1)] * 4]


def test_the_ablations_are_those_of_tables_5_to_7(mvtec: Path, out: Path, stub: Stub) -> None:
    said = call(mvtec, "--out", out, "--ablations", "--category", "carpet")
    main, *others = stub.requests
    assert [model.map_stages for model in main.models] == [(1, 2, 3), (1,), (2,), (3,), (2, 3)]
    assert {(model.teacher, model.bottleneck) for model in main.models} == {("wide_resnet50_2", "mff_oce")}
    assert [[(m.teacher, m.bottleneck, m.map_stages) for m in request.models] for request in others] == [
        [("wide_resnet50_2", "oce", (1, 2, 3))],
        [("wide_resnet50_2", "pretrained", (1, 2, 3))],
        [("resnet18", "mff_oce", (1, 2, 3))],
        [("resnet50", "mff_oce", (1, 2, 3))],
    ]
    for request in stub.requests:
        assert (request.models[0].training.epochs, request.models[0].training.batch_size) == (200, 16)
        assert {(m.image_height, m.image_width, m.standardise) for m in request.models} == {(256, 256, False)}
    for row in ("pretrained 50.0 87.5 62.5 75.0 96.0/96.9/91.2", "resnet18 50.0 87.5 62.5 75.0 97.9/97.1/91.2",
                "M2,3 50.0 87.5 62.5 75.0 98.0/97.6/93.2"):  # fmt: skip
        assert row in said


def test_other_settings_or_images_are_other_rows(mvtec: Path, out: Path, stub: Stub, tmp_path: Path) -> None:
    def computed(folder: Path = mvtec, **changes: object) -> int:
        return run_benchmark(BenchmarkSettings(folder, str(out), **changes)).computed

    weights = tmp_path / "weights.pth"
    weights.write_bytes(b"1")
    assert [computed(), computed()] == [2, 0]
    assert [computed(epochs=3), computed(steps=3), computed(image_size=128), computed(seeds=2)] == [2, 2, 2, 2]
    assert [computed(teacher="resnet18"), computed(teacher_weights={"wide_resnet50_2": weights})] == [2, 2]
    weights.write_bytes(b"2")
    assert computed(teacher_weights={"wide_resnet50_2": weights}) == 2
    other = tmp_path / "mvtec"
    make_category(other / "carpet", masks=True)
    assert computed(other) == 0
    (other / "carpet" / "train" / "good" / "5.png").unlink()
    assert computed(other) == 1
    assert computed() == 0


def test_means_and_spread_are_over_seeds_and_whole_groups(tmp_path: Path, out: Path, stub: Stub) -> None:
    for name in ("carpet", "grid", "casting"):
        make_category(tmp_path / "data" / name, masks=False)
    said = call(tmp_path / "data", "--out", out, "--seeds", 2)
    assert "carpet 60.0±14.1 98.9 grid 90.0±0.0 100.0 casting 25.0±0.0 -" in said
    # Per seed 70 and 80; of the paper the mean over the same two.
    assert "mean, textures (2 of 5) 75.0±7.1 99.5 mean, all (2 of 15) 75.0±7.1 99.5" in said
    assert "ours, wide_resnet50_2 0.100 4 75.0±7.1 87.5±0.0 62.5±0.0 75.0±0.0" in said
    assert "RD (paper) 0.31 352 98.5 97.8 93.9 -" in said
    assert "Ours: wide_resnet50_2, 256 x 256 pixels, 200 epochs, 2 seeds" in said


def test_one_network_that_fails_costs_no_other_and_no_mean(
    tmp_path: Path, out: Path, stub: Stub, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("carpet", "grid"):
        make_category(tmp_path / "data" / name, masks=False)

    def fails(request: BenchmarkRequest, on_progress) -> Iterator[Measurement]:
        if (request.images.category, request.models[0].seed) == ("carpet", 1):
            raise TrainingDiverged("the loss was nan")
        return stub.measure(request, on_progress)

    monkeypatch.setattr(paper_benchmark, "benchmark_category", fails)
    said = call(tmp_path / "data", "--out", out, "--seeds", 2, code=1)
    assert "carpet wide_resnet50_2 mff_oce seed 1: the loss was nan" in said
    assert [(row.category, row.seed) for row in rows(out)] == [("carpet", 0), ("grid", 0), ("grid", 1)]
    # Seed 1 has grid alone: no mean over both can be made of it.
    assert "carpet 50.0 98.9 grid 90.0±0.0 100.0 mean, textures (2 of 5) 70.0 99.5" in said


# What can be wrong.


def test_without_weights_the_error_names_both_ways_out(
    mvtec: Path, out: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def refuse(*args: object, **kwargs: object) -> None:
        raise OSError("no network")

    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    monkeypatch.setattr(torch.hub, "download_url_to_file", refuse)
    monkeypatch.setattr("huggingface_hub.hf_hub_download", refuse)
    monkeypatch.setattr("huggingface_hub.try_to_load_from_cache", lambda *args: None)
    said = call(mvtec, "--out", out, code=1)
    assert "the weights of wide_resnet50_2 are not available" in said
    assert "--teacher-weights FILE" in said and "--teacher efficientnet_lite0" in said
    assert not out.exists()


def test_a_teacher_of_table_6_that_is_not_to_be_had_costs_its_rows_alone(
    mvtec: Path, out: Path, stub: Stub, monkeypatch: pytest.MonkeyPatch
) -> None:
    def check(name: str, weights: Path | None) -> None:
        if name == "resnet50":
            raise TeacherUnavailable("no weights of resnet50.")

    monkeypatch.setattr(paper_benchmark, "check_teacher", check)
    said = call(mvtec, "--out", out, "--ablations", "--teacher", "efficientnet_lite0", code=1)
    assert [path.name for path in out.parent.glob("[!.]*")] == ["rows.parquet"]
    assert {row.teacher for row in rows(out)} == {"efficientnet_lite0", "resnet18", "wide_resnet50_2"}
    assert "--teacher-weights resnet50=FILE" in said
    assert "resnet50 - - - - 98.4/97.7/93.1" in said
    assert "efficientnet_lite0 50.0 87.5 62.5 75.0 -" in said


def test_weight_files_are_given_by_teacher(mvtec: Path, out: Path, stub: Stub, tmp_path: Path) -> None:
    one, other = tmp_path / "a=b.pth", tmp_path / "18.pth"
    call(mvtec, "--out", out, "--ablations", "--teacher-weights", one, "--teacher-weights", f"resnet18={other}")
    given = {request.models[0].teacher: request.teacher_weights for request in stub.requests}
    assert given == {"wide_resnet50_2": one, "resnet18": other, "resnet50": None}
    with pytest.raises(SettingsError, match="both x and y"):
        weights_by_teacher(["x", "resnet18=y"], "resnet18")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["{tmp}/nowhere"], "nowhere is not a folder"),
        (["{tmp}"], "has no category in it"),
        (["{mvtec}", "--category", "carpets"], "Did you mean 'carpet'"),
        (["{mvtec}/carpet"], "--category carpet"),
        (["{mvtec}", "--protocol", "novelty"], "novelty cannot be judged"),
        (["{mvtec}", "--epochs", "3", "--steps", "4"], "--epochs 3 and --steps 4"),
        (["{mvtec}", "--protocol", "novelty", "--ablations"], "--ablations"),
        (["{mvtec}", "--teacher", "resnet-18"], "Did you mean 'resnet18'"),
        (["{mvtec}", "--method", "padm"], "Did you mean 'padim'"),
        (["{mvtec}", "--method", "mkd", "--ablations"], "vary reverse_distillation, but --method is mkd"),
        (["{mvtec}", "--method", "padim", "--epochs", "3"], "padim is not trained by epochs"),
        (["{mvtec}", "--method", "spade", "--steps", "3"], "spade is not trained by steps"),
        (["{mvtec}", "--method", "spade", "--set", "nearst=3"], "Did you mean 'nearest'"),
        (["{mvtec}", "--method", "spade", "--set", "nearest=three"], "--set nearest=three is no setting as TOML"),
        (["{mvtec}", "--image-size", "100"], "image_height 100"),
        (["{mvtec}", "--seeds", "0"], "--seeds"),
        (["{mvtec}", "--out", "{tmp}"], "names no Parquet file"),
        (["{mvtec}", "--protocol", "papers"], "papers"),
    ],
)
def test_wrong_use_exits_with_2_and_says_what_is_wrong(
    mvtec: Path, tmp_path: Path, stub: Stub, arguments: list[str], words: str
) -> None:
    given = [text.replace("{tmp}", str(tmp_path)).replace("{mvtec}", str(mvtec)) for text in arguments]
    target = [] if "--out" in given else ["--out", str(tmp_path / "rows.parquet")]
    assert words in call(*given, *target, code=2)
    assert not stub.requests
    assert not list(tmp_path.rglob("*.parquet"))


def test_a_result_file_that_is_none_is_refused_and_stays(mvtec: Path, out: Path, stub: Stub) -> None:
    out.parent.mkdir()
    out.write_bytes(b"somebody's thesis")
    assert "not the Parquet file it should be" in call(mvtec, "--out", out, code=1)
    assert out.read_bytes() == b"somebody's thesis"
    assert not stub.requests


def test_help_teaches() -> None:
    said = call("--help")
    for word in ("--protocol", "--ablations", "--teacher-weights", "train/good", "novelty", "--out", "MVTec"):
        assert word in said


def test_a_terminal_shows_bars_and_a_log_lines() -> None:
    console = Console(width=100, force_terminal=True, record=True)
    bars = Progress(console=console)
    display = BenchmarkDisplay(console, bars, networks=2)
    display.begin("cable")
    display.follow(BenchmarkProgress("steps", 3, 10, 0.5))
    assert [(task.description, task.completed, task.total) for task in bars.tasks] == [
        ("networks", 0, 2),
        ("train cable", 3, 10),
    ]
    display.end()
    assert bars.tasks[0].completed == 1
    plain = Console(width=100, record=True)
    display = BenchmarkDisplay(plain, None, networks=2)
    display.begin("cable")
    for step in (3, 4):  # the second comes too soon for a line of its own
        display.follow(BenchmarkProgress("steps", step, 10, 0.5))
    assert plain.export_text()[11:].strip() == "network 1 of 2: train cable: 3 of 10 loss=0.5000"
