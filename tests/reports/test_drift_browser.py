"""The drift report as a real browser lays it out, on a phone and on a desk."""

import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from reports.drift.report import render_drift_report
from reports.scored_image import ScoredImage
from tests.reports.drift_builders import figures, report, section

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed: the page's layout is not checked")
_PROBE = """<!doctype html>{frames}<script>
  addEventListener("load", () => {{ document.title = [...document.querySelectorAll("iframe")].map(frame =>
    frame.contentDocument.documentElement.scrollWidth).join(" ") }});
</script>"""
WIDTHS = (360, 1280)


def test_the_page_fits_its_window(tmp_path: Path, scored_image: Callable[..., ScoredImage]) -> None:
    long = "a_very_long_name_without_any_place_to_break_" * 4
    alarms = (("2026-03-10", scored_image(image_key=long)), ("2026-03-10", scored_image(picture=None)))
    page = render_drift_report(
        report(
            section(long[:90], action="retrain", causes=("light or camera",), changed_since="2026-03-06",
                    model_version=long, newest_alarms=alarms, figures=figures(outside=(9,))),
            section(), failed=((long, long),),
        )
    )  # fmt: skip
    (tmp_path / "report.html").write_text(page, "utf-8")
    frames = "".join(f'<iframe src="report.html" style="width:{w}px;height:900px;border:0"></iframe>' for w in WIDTHS)
    (tmp_path / "probe.html").write_text(_PROBE.format(frames=frames), "utf-8")
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"]
    flags += ["--disable-background-networking", "--disable-component-update", "--allow-file-access-from-files"]
    flags += [f"--user-data-dir={tmp_path / 'profile'}", "--virtual-time-budget=3000", "--dump-dom"]
    shown = subprocess.run(
        [CHROMIUM, *flags, (tmp_path / "probe.html").as_uri()], capture_output=True, text=True, timeout=90, check=True
    )
    needed = [int(n) for n in re.search(r"<title>([\d ]+)</title>", shown.stdout).group(1).split()]
    assert all(n <= width for n, width in zip(needed, WIDTHS, strict=True))
