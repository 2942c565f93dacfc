"""Pages from records: docs/benchmarks.md as a whole, README.md and docs/methods.md between two marks.

    python -m benchmarks.tables [--check] [--results FOLDER] [--root FOLDER]

With --check nothing is written: exit code 1, and a line a page, if a page is not what the records say.
"""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

from benchmarks.alignment_tables import alignment
from benchmarks.blend_tables import blends
from benchmarks.contamination_tables import contamination
from benchmarks.few_normals_tables import few_normals
from benchmarks.gate_tables import promotions
from benchmarks.goals import behind_peers, goals
from benchmarks.method_choice_tables import method_choice
from benchmarks.pages import Measured, is_further_seed, table
from benchmarks.quality_tables import auroc_by_folder, method_by_method, quality
from benchmarks.record import RESULTS, ROOT, read_records
from benchmarks.resampled_tables import resampled
from benchmarks.run_tables import beside_anomalib, reliability, scale, speed
from benchmarks.view_tables import tiles_beside_anomalib, views
from benchmarks.wrong_labels_tables import wrong_labels

BEGIN, END = "<!-- measured -->", "<!-- /measured -->"
WHOLE, README, METHODS = "docs/benchmarks.md", "README.md", "docs/methods.md"
BENCHMARKS = (
    "methods", "views", "tiles_beside_anomalib", "alignment", "parity", "prediction", "throughput", "training_step",
    "engines", "cost", "task_cost", "night_sizes", "year_of_scores", "storm", "drift_delay", "lasting_light", "gate",
    "method_choice", "contamination", "few_normals", "resampled_thresholds", "wrong_labels",
)  # fmt: skip


def main() -> int:
    """Render, or compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of records; default %(default)s")
    parser.add_argument("--root", type=Path, default=ROOT, help="folder of README.md and docs/; default %(default)s")
    arguments = parser.parse_args()
    wrong = False
    for name, text in rendered(Measured(read_records(arguments.results)), arguments.root).items():
        page = arguments.root / name
        if not arguments.check:
            page.write_text(text)
        elif page.read_text() != text:
            wrong = True
            print(f"{name} is not what the records say. Run make tables, and change no figure by hand.")
    return int(wrong)


def rendered(measured: Measured, root: Path) -> dict[str, str]:
    """Texts by page. ValueError: a page has not both marks, once."""
    pages = {WHOLE: _whole_page(measured)}
    for name, parts in {README: _readme(measured), METHODS: method_by_method(measured)}.items():
        text = (root / name).read_text()
        if (text.count(BEGIN), text.count(END)) != (1, 1):
            raise ValueError(f"{name} has not {BEGIN} and {END} once each, so its figures have no place")
        before, _, rest = text.partition(BEGIN)
        block = "\n\n".join(parts)
        pages[name] = f"{before}{BEGIN}\n{block}\n{END}{rest.partition(END)[2]}"
    return pages


def _readme(measured: Measured) -> Iterator[str]:
    yield from auroc_by_folder(measured)
    yield from beside_anomalib(measured)


def _whole_page(measured: Measured) -> str:
    sections = (
        _head,
        quality,
        blends,
        views,
        tiles_beside_anomalib,
        alignment,
        speed,
        scale,
        reliability,
        resampled,
        few_normals,
        promotions,
        method_choice,
        contamination,
        wrong_labels,
        _behind,
        _end,
    )
    return "\n\n".join(part for section in sections for part in section(measured)) + "\n"


def _head(measured: Measured) -> Iterator[str]:
    machine = next(record.machine for record in measured.records if not is_further_seed(record))
    yield "# Benchmarks"
    yield (
        "`make tables` renders this page from [benchmarks/results](../benchmarks/results); each file there has a\n"
        "command, a commit and a machine. Figures are medians, with the least and the most in brackets."
    )
    yield (
        f"Machine: {machine['cores']} cores ({machine['cpu']}), {machine['memory_gib']} GiB, no GPU, Python "
        f"{machine['python']}, torch {machine['torch']}.\nOther programs ran on it: ratios and processor seconds are "
        "more reliable than seconds and rates. Qualities of seeds 1 and 2 may be of another: the records name it."
    )


def _behind(measured: Measured) -> Iterator[str]:
    """Goals that are not met, and where another method is ahead of the default."""
    every = goals(measured)
    missed = [goal for goal in every if not goal.met]
    yield "## Behind a peer or a goal"
    yield f"{len(every) - len(missed)} of {len(every)} [goals](../benchmarks/goals.py) are met. These are not:"
    yield table(["goal", "wanted", "measured"], [[goal.words, goal.wanted, goal.measured] for goal in missed])
    yield "Other methods are ahead of reverse distillation, the default, in:"
    rows = [[lead.words, lead.ours, ", ".join(lead.peers)] for lead in behind_peers(measured)]
    yield table(["what", "reverse distillation", "ahead"], rows)


def _end(measured: Measured) -> Iterator[str]:
    left = [name for name in BENCHMARKS if not any(record.benchmark == name for record in measured.records)]
    yield f"Not measured: {', '.join(left)}." if left else "Every benchmark is on this page."


if __name__ == "__main__":
    sys.exit(main())
