"""All reports as a real browser, started once, lays them out: on a phone and a desk, the index on a tablet too."""

import json
import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from html import unescape
from pathlib import Path

import pytest

from reports.comparison.report import render_comparison_report
from reports.drift.report import render_drift_report
from reports.evaluation.measures import EvaluatedCategory, EvaluationReport, ShareRow
from reports.evaluation.report import render_evaluation_report
from reports.index.page import render_plant_index
from reports.index.plant import UNSEALED, DriftInForce, InForce, LatestEvaluation
from reports.retraining.report import render_retraining_report
from reports.run.outcome import CategoryRun, RunReport
from reports.run.report import render_run_report
from reports.scored_image import ScoredImage
from tests.reports import drift_builders
from tests.reports.comparison import test_report as comparison
from tests.reports.index import test_page as plant
from tests.reports.retraining import test_report as retraining

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
WIDTHS = {
    "run": (360, 1280),
    "evaluation": (360, 1280),
    "drift": (360, 1280),
    "index": (360, 800, 1280),
    "retraining": (360, 1280),
    "comparison": (360, 1280),
}
LONG = "a_very_long_name_without_any_place_to_break_" * 4
KEY = f"images/cloth/2026-11-21/{LONG}.png"
VERSION = "v20261121-" + "0123456789abcdef" * 2
_PROBE = """<!doctype html>{frames}<script>
  addEventListener("load", () => {{
    document.title = JSON.stringify([...document.querySelectorAll("iframe")].map(frame => {{
      const page = frame.contentDocument, drawn = [...page.images].map(image => image.naturalWidth > 0);
      return [frame.name, frame.clientWidth, page.documentElement.scrollWidth, drawn];
    }}));
  }});
</script>"""


def run_page(
    run_report: Callable[..., RunReport], run: Callable[..., CategoryRun], image: Callable[..., ScoredImage]
) -> str:
    long = run(
        worst=[image(image_key=KEY)] * 3, unreadable_images=[(KEY, KEY)], state="skipped (already sealed)",
        category="category_" * 8, model_version=VERSION,
    )  # fmt: skip
    return render_run_report(run_report(categories=[long, run()]))


def evaluation_page(
    evaluation: Callable[..., EvaluationReport],
    evaluated: Callable[..., EvaluatedCategory],
    image: Callable[..., ScoredImage],
) -> str:
    long = evaluated(
        category="category_" * 8, model_version=VERSION, problems=((KEY, KEY),),
        by_kind=(ShareRow(KEY, 1, 2, 0.5, 0.1, 0.9),), misses=(image(image_key=KEY, label="anomalous"),) * 3,
    )  # fmt: skip
    report = evaluation(categories=(long, evaluated()))
    return render_evaluation_report(replace(report, failed=((KEY, KEY),), unlabelled=(KEY,)))


def drift_page(image: Callable[..., ScoredImage]) -> str:
    alarms = (("2026-03-10", image(image_key=LONG)), ("2026-03-10", image(picture=None)))
    long = drift_builders.section(
        LONG[:90], action="retrain", causes=("light or camera",), changed_since="2026-03-06", model_version=LONG,
        newest_alarms=alarms, figures=drift_builders.figures(outside=(9,)),
    )  # fmt: skip
    return render_drift_report(drift_builders.report(long, drift_builders.section(), failed=((LONG, LONG),)))


def index_page() -> str:
    drift = DriftInForce(plant.DRIFT, plant.DAY, LONG, "retrain", (LONG,), "2026-03-04")
    figures = {"image_auroc": 0.9, "recall": 0.9, "false_alarm_rate": 0.01, "aupro_30": 0.8}
    evaluation = LatestEvaluation("e.html", plant.DAY - timedelta(days=30), plant.DAY, LONG, figures)
    long = plant.category(LONG, drift=drift, evaluation=evaluation, champion=InForce(LONG, plant.NOW, LONG))
    rows = (plant.row(LONG, images=10**7, ok=10**7 - 1), plant.row("b", state=UNSEALED))
    index = plant.index(
        nights=tuple(plant.night(n, *rows) for n in range(5)), categories=(long, plant.category("b")),
        unreadable=((LONG, LONG),), not_assessed=(("r.html", LONG, LONG),),
    )  # fmt: skip
    return render_plant_index(index).replace("<details", "<details open")


def retraining_page() -> str:
    groups = (retraining.group("quarantined", key=LONG),)
    return render_retraining_report(retraining.report(category=LONG[:60], champion=LONG, groups=groups, words=LONG))


def comparison_page() -> str:
    methods = (comparison.method(LONG), comparison.method("padim"))
    long = comparison.report(
        drawn=4, category=LONG[:60], named=LONG, reference=LONG, methods=methods, failed=((LONG, 0, LONG),),
        disagreed=(comparison.disagreed(drawn=True, image_key=KEY, kind=LONG),),
    )  # fmt: skip
    return render_comparison_report(long).replace("<details", "<details open")


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed: the pages' layout is not checked")
def test_pages_fit_their_window_and_every_picture_is_drawn(
    tmp_path: Path, run_report, category_run, evaluation, evaluated, scored_image
) -> None:
    pages = {
        "run": (run_page(run_report, category_run, scored_image), 8),
        "evaluation": (evaluation_page(evaluation, evaluated, scored_image), 16),
        "drift": (drift_page(scored_image), 2),
        "index": (index_page(), 0),
        "retraining": (retraining_page(), 2),
        "comparison": (comparison_page(), 3),
    }
    for name, (page, _) in pages.items():
        (tmp_path / f"{name}.html").write_text(page, "utf-8")
    frames = "".join(
        f'<iframe name="{name}" src="{name}.html" style="width:{width}px;height:900px;border:0"></iframe>'
        for name, widths in WIDTHS.items()
        for width in widths
    )
    (tmp_path / "probe.html").write_text(_PROBE.format(frames=frames), "utf-8")
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"]
    flags += ["--disable-background-networking", "--disable-component-update", "--allow-file-access-from-files"]
    flags += [f"--user-data-dir={tmp_path / 'profile'}", "--virtual-time-budget=3000", "--dump-dom"]
    shown = subprocess.run(
        [CHROMIUM, *flags, (tmp_path / "probe.html").as_uri()], capture_output=True, text=True, timeout=90, check=True
    )
    laid_out = json.loads(unescape(re.search(r"<title>(.+?)</title>", shown.stdout).group(1)))
    assert [(name, width) for name, width, *_ in laid_out] == [(name, w) for name, ws in WIDTHS.items() for w in ws]
    assert [frame for frame in laid_out if frame[2] > frame[1]] == []
    assert {name: drawn for name, *_, drawn in laid_out} == {
        name: [True] * count for name, (_, count) in pages.items()
    }
