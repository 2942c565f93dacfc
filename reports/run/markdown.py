"""The run report as short Markdown."""

import re

from reports import number_format
from reports.plain_text import shown, state_in_words
from reports.run import advice
from reports.run.outcome import CategoryRun, RunReport
from reports.run.report import totals

_MARKS = re.compile(r"([\\`*_\[\]#|~])")
_WORST = 3


def render_run_markdown(report: RunReport) -> str:
    """Outcome, table of categories, next steps and highest scores; no images. Texts from outside are escaped."""
    parts = [
        f"# Inspection of {report.run_date.isoformat()}: {_text(report.outcome)}",
        _text(advice.outcome_in_words(report)),
        _table(report),
        *(_category(run) for run in report.categories),
        _text(f"Left out and not judged, because operating systems and transfers leave such files: {report.litter}.")
        if report.litter
        else "",
        f"Run {_code(report.run_id)}, "
        f"{number_format.duration((report.finished_at - report.started_at).total_seconds())}, "
        f"store {_code(report.store_uri)}.",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _table(report: RunReport) -> str:
    if not report.categories:
        return ""
    rows = [
        "| Category | State | Images | Anomalous | Alarm rate | No score | Model |",
        "| --- | --- | ---: | ---: | ---: | ---: | --- |",
    ]
    for run in report.categories:
        share = number_format.percent(run.alarm_share)
        cells = [_text(run.category), _text(state_in_words(run.state)), number_format.count(run.images)]
        cells += [number_format.count(run.anomalous), share, number_format.count(run.without_score)]
        model = _code(run.model_version or "none").replace("|", "") + (f" {_text(run.method)}" if run.method else "")
        rows.append(f"| {' | '.join(cells)} | {model} |")
    if len(report.categories) > 1:
        every = totals(report)
        cells = [number_format.count(every["images"]), number_format.count(every["anomalous"])]
        cells += [number_format.percent(every["share"]), number_format.count(every["without_score"])]
        rows.append(f"| **All** | | {' | '.join(cells)} | |")
    return "\n".join(rows)


def _category(run: CategoryRun) -> str:
    lines = [f"- {_text(step)}" for step in advice.next_steps(run)]
    alarms = sorted(
        (image for image in (*run.first, *run.worst) if image.is_anomalous), key=lambda image: -(image.score or 0)
    )
    lines += [
        f"- {_code(image.image_key)}: score {number_format.score(image.score)}, "
        f"threshold {number_format.score(image.threshold)}"
        for image in alarms[:_WORST]
    ]
    return f"## {_text(run.category)}\n\n" + "\n".join(lines) if lines else ""


def _text(text: str) -> str:
    """`text` on one line, with the marks of Markdown and HTML escaped."""
    flat = _one_line(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _MARKS.sub(r"\\\1", flat)


def _code(text: str) -> str:
    """`text` as code, whatever backticks it holds."""
    flat = _one_line(text)
    longest = max(map(len, re.findall("`+", flat)), default=0)
    fence = "`" * (longest + 1)
    padding = " " if flat.startswith("`") or flat.endswith("`") else ""
    return f"{fence}{padding}{flat}{padding}{fence}"


def _one_line(text: str) -> str:
    return re.sub(r"[ \n]+", " ", shown(text)).strip()
