"""The evaluation as short Markdown."""

import re

from reports.evaluation.measures import EvaluatedCategory, EvaluationReport, Measure
from reports.evaluation.words import GLANCE, WORDS, in_digits, interval_in_digits, next_steps
from reports.number_format import count
from reports.plain_text import shown

_MARKS = re.compile(r"([\\`*_\[\]#|~])")


def render_evaluation_markdown(report: EvaluationReport) -> str:
    """Table of categories with their intervals, means, next steps; no images. Texts from outside are escaped."""
    parts = [
        f"# Evaluation of {report.first_day.isoformat()} to {report.last_day.isoformat()}",
        _table(report),
        *(_steps(category) for category in report.categories),
        _not_in_it(report),
        f"Run {_text(report.run_id)}, store {_text(report.store_uri)}.",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _table(report: EvaluationReport) -> str:
    titles = [WORDS[name].title for name in GLANCE]
    rows = [
        f"| Category | Model | Normal | Anomalous | {' | '.join(titles)} |",
        f"| --- | --- | ---: | ---: |{' ---: |' * len(titles)}",
    ]
    for category in report.categories:
        cells = [
            _text(category.category),
            " ".join(map(_text, filter(None, (category.model_version, category.method)))),
            count(category.counts.normal),
            count(category.counts.anomalous),
        ]
        cells += [_cell(category.measure(name)) for name in GLANCE]
        rows.append(f"| {' | '.join(cells)} |")
    if report.means:
        means = {mean.name: mean for mean in report.means}
        rows.append(f"| **Mean** | | | | {' | '.join(_cell(means[name]) for name in GLANCE)} |")
    return "\n".join(rows)


def _cell(measure: Measure) -> str:
    interval = interval_in_digits(measure)
    return in_digits(measure) + (f" ({interval})" if interval else "")


def _steps(evaluated: EvaluatedCategory) -> str:
    lines = [f"- {_text(step)}" for step in next_steps(evaluated)]
    return f"## {_text(evaluated.category)}, {_text(evaluated.model_version)}\n\n" + "\n".join(lines) if lines else ""


def _not_in_it(report: EvaluationReport) -> str:
    lines = [f"- {_text(name)}: inspected, but no image is labelled for evaluation." for name in report.unlabelled]
    lines += [f"- {_text(what)}: {_text(why)}" for what, why in report.failed]
    if report.missing_days:
        lines.append(f"- Not inspected: {', '.join(day.isoformat() for day in report.missing_days)}.")
    return "## Not in these figures\n\n" + "\n".join(lines) if lines else ""


def _text(text: str) -> str:
    """`text` on one line, with the marks of Markdown and HTML escaped."""
    flat = re.sub(r"\s+", " ", shown(text)).strip()
    return _MARKS.sub(r"\\\1", flat.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;"))
