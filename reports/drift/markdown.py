"""The drift report as short Markdown."""

import re

from reports import number_format
from reports.drift import words as drift_words
from reports.drift.verdicts import HOLD, CategorySection, DriftReport
from reports.plain_text import shown

_MARKS = re.compile(r"([\\`*_\[\]#|~])")


def render_drift_markdown(report: DriftReport) -> str:
    """Verdicts, table of categories and reasons; no drawings. Texts from outside are escaped."""
    title = f"# Drift, {report.first_day.isoformat()} to {report.last_day.isoformat()}"
    drifting = [section for section in report.categories if section.current.action != HOLD]
    failed = [f"- {_text(name)}: {_text(why)}" for name, why in report.failed]
    parts = [title, _text(drift_words.headline(report)), _table(report), *map(_reasons, drifting), "\n".join(failed)]
    return "\n\n".join(part for part in parts if part) + "\n"


def _table(report: DriftReport) -> str:
    if not report.categories:
        return ""
    rows = [
        "| Category | Verdict | Likely cause | Since | Images | Alarms | No score | Model |",
        "| --- | --- | --- | --- | ---: | --- | ---: | --- |",
    ]
    for section in report.categories:
        model = section.current
        rate = number_format.percent(model.alarms.rate) if model.alarms else "none"
        cells = [section.category, model.action or "none", ", ".join(model.causes), model.changed_since or ""]
        cells += [
            number_format.count(model.images),
            rate,
            number_format.count(model.unscored),
            f"{model.model_version} {model.method}",
        ]
        rows.append(f"| {' | '.join(map(_text, cells))} |")
    return "\n".join(rows)


def _reasons(section: CategorySection) -> str:
    lines = [f"- {_text(step)}" for step in drift_words.steps(section)]
    return f"## {_text(section.category)}\n\n" + "\n".join(lines)


def _text(text: str) -> str:
    """`text` on one line, with the marks of Markdown and HTML escaped."""
    flat = re.sub(r"[ \n]+", " ", shown(text)).strip()
    return _MARKS.sub(r"\\\1", flat.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;"))
