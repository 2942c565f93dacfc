"""A comparison as short Markdown."""

import re

from reports.comparison import words
from reports.comparison.results import ComparedMethod, ComparisonReport
from reports.plain_text import shown

_MARKS = re.compile(r"([\\`*_\[\]#|~])")


def render_comparison_markdown(report: ComparisonReport) -> str:
    """Verdict, what to know before relying on it, and a table of the methods; no images. Texts are escaped."""
    drawn = ", on drawn defects" if report.counts.drawn else ""
    parts = [
        f"# Comparison for {_text(report.category)}{drawn}",
        f"**{_text(report.sentence)}**",
        "\n".join(f"- {_text(step)}" for step in words.steps(report)),
        _table(report),
        f"Figures of the images that report. {_text(report.halves)}",
        f"Comparison {_text(report.comparison_id)}, store {_text(report.store_uri)}.",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _table(report: ComparisonReport) -> str:
    titles = [
        "Image AUROC",
        "AUPRO 0.3",
        "Recall",
        "False alarms",
        *(title for title, _ in words.costs(report.methods[0])),
    ]
    rows = [f"| Method | {' | '.join(titles)} |", f"| --- |{' ---: |' * len(titles)}"]
    return "\n".join([*rows, *(_line(method) for method in report.methods)])


def _line(method: ComparedMethod) -> str:
    auroc, interval = words.DASH, None
    if method.auroc:
        auroc, interval = words.figure(method.auroc.figure), words.interval(method.auroc.figure)
    cells = [
        _text(method.method),
        f"{auroc} ({interval})" if interval else auroc,
        words.figure(method.aupro_30),
        words.share(method.recall),
        words.share(method.false_alarms),
        *(value for _, value in words.costs(method)),
    ]
    return f"| {' | '.join(cells)} |"


def _text(text: str) -> str:
    """`text` on one line, with the marks of Markdown and HTML escaped."""
    flat = re.sub(r"\s+", " ", shown(text)).strip()
    return _MARKS.sub(r"\\\1", flat.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;"))
