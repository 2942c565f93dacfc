"""The report as a real browser lays it out."""

import re
import shutil
import subprocess

import pytest

from reports.run.report import render_run_report

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed: the page's layout is not checked")

_PROBE = """<!doctype html><iframe id="page" src="report.html" style="width:{width}px;height:900px;border:0"></iframe>
<script>
  document.getElementById("page").onload = event => {{
    const page = event.target.contentDocument.documentElement;
    const images = [...event.target.contentDocument.images];
    document.title = [page.scrollWidth, images.length, images.filter(i => i.naturalWidth > 0).length].join(" ");
  }};
</script>"""


@pytest.mark.parametrize("width", [390, 1280])
def test_the_page_fits_its_window_and_every_picture_is_drawn(width, tmp_path, run_report, category_run, scored_image):
    name = "images/cloth/2026-11-21/" + "a_very_long_name_without_any_place_to_break_" * 4 + ".png"
    run = category_run(
        worst=[scored_image(image_key=name)] * 3, unreadable_images=[(name, name)], state="skipped (already sealed)",
        category="category_" * 8, model_version="v20261121-" + "0123456789abcdef" * 2,
    )  # fmt: skip
    (tmp_path / "report.html").write_text(render_run_report(run_report(categories=[run, category_run()])), "utf-8")
    (tmp_path / "probe.html").write_text(_PROBE.format(width=width), "utf-8")
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"]
    flags += ["--disable-background-networking", "--disable-component-update", "--allow-file-access-from-files"]
    flags += [f"--user-data-dir={tmp_path / 'profile'}", "--virtual-time-budget=3000", "--dump-dom"]
    shown = subprocess.run(
        [CHROMIUM, *flags, (tmp_path / "probe.html").as_uri()], capture_output=True, text=True, timeout=90, check=True
    )
    needed, pictures, drawn = map(int, re.search(r"<title>(\d+) (\d+) (\d+)</title>", shown.stdout).groups())
    assert needed <= width
    assert pictures == drawn == 8
