"""Tables of the methods: what each finds on each folder, and what it costs."""

import statistics
from collections.abc import Iterator, Mapping, Sequence

from benchmarks.goals import PROMISED, behind_peers
from benchmarks.pages import COSTS, NAMES, NONE, Measured, printed, spread, table
from benchmarks.record import Figure

LICENCES = (
    "Data, none of which is in the repository: casting product images (Kaggle, CC BY-NC-ND 4.0), KolektorSDD\n"
    "(non-commercial), Magnetic Tile Defects, DeepPCB (MIT)."
)
ON_FIRST_PAGE = 4
"""methods in the README's table"""
QUALITIES = {"image auroc": ".3f", "aupro": ".3f"}


def quality(measured: Measured) -> Iterator[str]:
    """The section of docs/benchmarks.md."""
    if not measured.methods:
        return
    yield "## Quality"
    yield (
        "Photographs of real parts: each method trains on the normals of a folder and is judged by half of its test\n"
        f"images; no part is in both. Defaults, and the default teacher for all{_settings(measured)}.\n"
        f"Image size (height x width, pixels) as chosen by the images: {_sizes(measured)}.\n"
        f"{_seeds(measured)}"
    )
    yield "**Image AUROC, AUPRO** (castings have no masks):"
    yield _by_folder(measured, ("image auroc", ".3f"), ("aupro", ".3f"))
    promised = printed(PROMISED, "percent")
    yield f"**Share of defects above the threshold, of good images** (at most {promised} is promised):"
    together = ["all", *(", ".join(_pooled(measured, method)) for method in measured.methods)]
    yield _by_folder(measured, ("recall", "percent"), ("false alarms", "percent"), last=together)
    yield "**Cost** of seed 0, over the folders:"
    head = ["method", "training, processor s", "images a processor s", "peak memory of training, MiB", "model, MiB"]
    yield table(head, [[NAMES[method], *_over_folders(measured, method, COSTS)] for method in measured.methods])
    commits = ", ".join(sorted({record.commit for record in measured.of_methods}))
    dates = " to ".join(sorted({record.date for record in measured.of_methods}))
    yield f"`make methods DATA=FOLDER`, {commits}, {dates}. {_parity(measured)}{LICENCES}"


def auroc_by_folder(measured: Measured) -> Iterator[str]:
    """Image AUROC of the best methods, a row each, the best of each folder in bold; medians over the seeds."""
    best = sorted(measured.methods, key=lambda method: _mean_auroc(measured, method), reverse=True)[:ON_FIRST_PAGE]
    shown = [method for method in measured.methods if method in best]
    yield (
        "Image AUROC (1 is perfect, 0.5 chance) on real parts, best "
        f"{len(shown)} of {len(measured.methods)} methods. One seed{_further_seeds(measured, shown)}."
    )
    columns = [_with_best(measured, folder, shown) for folder in measured.folders]
    rows = [[NAMES[method], *cells] for method, *cells in zip(shown, *columns, strict=True)]
    yield table(["method", *measured.folders], rows)


def _further_seeds(measured: Measured, methods: Sequence[str]) -> str:
    """Such as ", 3 of reverse distillation and PatchCore (medians; at most 0.018 apart)": of methods with more than
    one in every folder, as many as each has at least."""
    figures = [measured.figure(folder, method, "image auroc") for folder in measured.folders for method in methods]
    apart = printed(max(figure.most - figure.least for figure in figures if figure), ".3f")
    seeds = {name: min(len(measured.runs(name, folder)) for folder in measured.folders) for name in methods}
    several = {NAMES[name]: count for name, count in seeds.items() if count > 1}
    if not several:
        return ""
    return f", {min(several.values())} of {' and '.join(several)} (medians; at most {apart} apart)"


def _mean_auroc(measured: Measured, method: str) -> float:
    figures = [measured.figure(folder, method, "image auroc") for folder in measured.folders]
    return statistics.fmean(figure.median for figure in figures if figure)


def method_by_method(measured: Measured) -> Iterator[str]:
    """Each folder; a row a method, over all folders; then where the default is not first."""
    yield "Image AUROC, AUPRO (castings have no masks), share of defects found:"
    yield _by_folder(measured, ("image auroc", ".3f"), ("aupro", ".3f"), ("recall", "percent"))
    yield "Over the folders, median and range; images above the threshold; cost, of seed 0:"
    rows = []
    for method in measured.methods:
        quality, cost = (_over_folders(measured, method, forms) for forms in (QUALITIES, COSTS))
        rows.append([f"`{method}`", *quality, *_pooled(measured, method), *cost])
    head = ["method", "image AUROC", "AUPRO", "defects found", "false alarms"]
    yield table([*head, "training, processor s", "images a processor s", "peak of training, MiB", "model, MiB"], rows)
    ahead = [lead for lead in behind_peers(measured) if lead.is_quality]
    leads = "; ".join(f"{lead.words} ({', '.join(lead.peers)}; it has {lead.ours})" for lead in ahead)
    yield (
        f"Reverse distillation is not first in {leads}."
        if ahead
        else "Reverse distillation is first in every folder."
    )


def _names(measured: Measured) -> list[str]:
    return [NAMES[method] for method in measured.methods]


def _settings(measured: Measured) -> str:
    """What is not a default, as ", SPADE with `gallery_stride=16`"."""
    words = ""
    for method in measured.methods:
        settings = {word for record in measured.runs(method) for word in record.about["set"]}
        if settings:
            words += f", {NAMES[method]} with " + ", ".join(f"`{word}`" for word in sorted(settings))
    return words


def _sizes(measured: Measured) -> str:
    """Such as "256 x 256 on casting, magnetic_tile; 320 x 320 on pcb_00041"."""
    folders: dict[str, set[str]] = {}
    for record in measured.of_methods:
        if "size" in record.about:  # a training that was stopped has none
            folders.setdefault(record.about["size"], set()).add(record.about["category"])
    return "; ".join(f"{size} on {', '.join(sorted(some))}" for size, some in sorted(folders.items()))


def _seeds(measured: Measured) -> str:
    """Such as "One seed; 3 of reverse distillation and PatchCore."."""
    methods: dict[tuple[int, tuple[str, ...]], list[str]] = {}
    for method in measured.methods:
        folders: dict[int, list[str]] = {}
        for folder in measured.folders:
            folders.setdefault(len(measured.runs(method, folder)), []).append(folder)
        for count, some in folders.items():
            if count > 1:
                methods.setdefault((count, tuple(some)), []).append(NAMES[method])
    several = [
        f"{count} of {' and '.join(names)}" + (f" on {', '.join(some)}" if len(some) < len(measured.folders) else "")
        for (count, some), names in methods.items()
    ]
    return f"One seed; {'; '.join(several)}." if several else "One seed."


def _parity(measured: Measured) -> str:
    record = measured.find("parity")
    if not record:
        return ""
    # Lines of anomalib in float32 show its rounding, not ours.
    most = max(figures["apart"].median for row, figures in record.figures.items() if "float32" not in row)
    return (
        "PaDiM and PatchCore are our own\nimplementations; on the same features they are within "
        f"{most:.0e} of anomalib 2.7.0's modules (`make parity`, {record.commit}, {record.date}).\n"
    )


def _by_folder(measured: Measured, *names: tuple[str, str], last: list[str] | None = None) -> str:
    rows = [
        [folder, *(_cell(measured, folder, method, *names) for method in measured.methods)]
        for folder in measured.folders
    ]
    return table(["folder", *_names(measured)], [*rows, last] if last else rows)


def _cell(measured: Measured, folder: str, method: str, *names: tuple[str, str]) -> str:
    for record in measured.runs(method, folder):
        if "stopped" in record.about:
            return f"stopped {record.about['stopped']}"
    figures = [(measured.figure(folder, method, name), form) for name, form in names]
    return ", ".join(spread(figure, form) for figure, form in figures if figure) or NONE


def _pooled(measured: Measured, method: str) -> list[str]:
    counts = (measured.pooled(method, "recall", "defective"), measured.pooled(method, "false alarms", "good"))
    return [f"{part} of {whole}" for part, whole in counts]


def _with_best(measured: Measured, folder: str, methods: Sequence[str]) -> Iterator[str]:
    figures = [measured.figure(folder, method, "image auroc") for method in methods]
    medians = [printed(figure.median, ".3f") if figure else NONE for figure in figures]
    best = max(median for median in medians if median != NONE)
    for median in medians:
        yield f"**{median}**" if median == best else median


def _over_folders(measured: Measured, method: str, forms: Mapping[str, str]) -> list[str]:
    cells = []
    for name, form in forms.items():
        figures = [measured.figure(folder, method, name) for folder in measured.folders]
        medians = [figure.median for figure in figures if figure]
        cells.append(spread(Figure.of(medians), form) if medians else NONE)
    return cells
