"""The tables of a benchmark, numbered as in the paper, each figure beside the paper's. In percent."""

from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean, stdev
from typing import Literal, TypeVar

from flows.paper import figures as paper
from flows.paper.benchmark import ITS_OWN, BenchmarkRun, variant
from flows.printing.plain_table import PlainTable, plain_table
from rd_core.detectors.registry import settings_class
from rd_core.detectors.settings import MICRO_BATCH, DetectorSettings
from storage.analysis.benchmark_rows import BenchmarkRow

NONE = "-"
Metric = Literal["image_auroc", "pixel_auroc", "paper_pro", "aupro"]
METRICS: tuple[Metric, ...] = ("image_auroc", "pixel_auroc", "paper_pro", "aupro")
P = TypeVar("P")


def benchmark_tables(run: BenchmarkRun) -> list[PlainTable]:
    """The tables that the run has rows for."""
    rows = _of(run, run.settings.model())
    if run.settings.protocol == "novelty":
        tables = [_novelty(run, rows)]
    else:
        tables = [_detection(run, rows), _localisation(run, rows), _complexity(run, rows)]
    if run.settings.ablations:
        tables += [_bottlenecks(run), _teachers(run), _map_stages(run)]
    tables += [_cost(rows)]
    tables[-1].notes = [_conditions(run)]
    return tables


def _detection(run: BenchmarkRun, rows: Sequence[BenchmarkRow]) -> PlainTable:
    size, published = _published(run)
    table = plain_table("category", "ours", f"paper, {size} px" if size else "paper")
    table.title = "Table 1: image AUROC"
    for name in _names(rows):
        table.add_row(name, _cell(rows, {name}, "image_auroc"), _printed(published.image_auroc.get(name)))
    for title, names, printed in _groups(rows, published.image_auroc_means):
        known = [published.image_auroc[name] for name in names if name in published.image_auroc]
        table.add_row(
            title, _cell(rows, names, "image_auroc"), _printed(printed or (fmean(known) if known else None))
        )
    return table


def _localisation(run: BenchmarkRun, rows: Sequence[BenchmarkRow]) -> PlainTable:
    size, published = _published(run)
    printed_at = f"paper: AUROC/PRO, {size} px" if size else "paper: AUROC/PRO"
    table = plain_table("category", "pixel AUROC", "PRO", "AUPRO 0.3", printed_at)
    table.title = "Table 2: localisation (PRO as the authors compute it, AUPRO by its definition)"

    def add(title: str, names: set[str], printed: paper.Localisation | None) -> None:
        ours = (_cell(rows, names, metric) for metric in METRICS[1:])
        table.add_row(title, *ours, _together(printed))

    for name in _names(rows):
        add(name, {name}, published.localisation.get(name))
    for title, names, printed in _groups(rows, published.localisation_means):
        known = [published.localisation[name] for name in names if name in published.localisation]
        over_them = paper.Localisation(*map(_mean, zip(*known, strict=True))) if known else None
        add(title, names, printed or over_them)
    return table


def _complexity(run: BenchmarkRun, rows: Sequence[BenchmarkRow]) -> PlainTable:
    table = plain_table("method", "s/image", "MB", "image AUROC", "pixel AUROC", "PRO", "AUPRO 0.3")
    table.title = "Table 3: cost"
    for method in paper.COMPLEXITY:
        printed = map(_printed, (method.image_auroc, method.pixel_auroc, method.pro))
        table.add_row(f"{method.name} (paper)", f"{method.seconds:.2f}", f"{method.megabytes:.0f}", *printed, NONE)
    if rows:
        seconds = fmean(1 / row.images_per_second for row in rows)
        metrics = (_cell(rows, _compared(rows), metric) for metric in METRICS)
        table.add_row(f"ours, {_ours(run)}", f"{seconds:.3f}", f"{rows[0].model_bytes / 1e6:.0f}", *metrics)
    table.notes = [
        f"The paper: WideResNet50 on an Intel i7. Ours: this machine, {MICRO_BATCH} images at a time, without "
        "decoding; MB of the "
        f"weights; metrics are the {_averaged_over(rows)}."
    ]
    return table


def _novelty(run: BenchmarkRun, rows: Sequence[BenchmarkRow]) -> PlainTable:
    table = plain_table("normal class", "ours", "paper")
    table.title = "Table 4: one-class novelty, image AUROC"
    for name in _names(rows):
        table.add_row(name, _cell(rows, {name}, "image_auroc"), NONE)
    names = set(_names(rows))
    dataset = paper.novelty_dataset(rows[0].dataset, len(names)) if rows else None
    title = f"mean of {len(names)}" + (f" ({dataset})" if dataset else "")
    printed = paper.NOVELTY.get(run.settings.method, {}).get(dataset) if dataset else None
    table.add_row(title, _cell(rows, names, "image_auroc"), _printed(printed))
    return table


def _bottlenecks(run: BenchmarkRun) -> PlainTable:
    models = {kind: run.settings.model(bottleneck=kind) for kind in paper.BOTTLENECKS}
    return _ablation(run, "Table 5: bottleneck", "bottleneck", models, paper.BOTTLENECKS)


def _teachers(run: BenchmarkRun) -> PlainTable:
    names = dict.fromkeys((*paper.TEACHERS, run.settings.model().teacher))
    models = {name: run.settings.model(teacher=name) for name in names}
    return _ablation(run, "Table 6: teacher", "teacher", models, paper.TEACHERS)


def _map_stages(run: BenchmarkRun) -> PlainTable:
    titles = {stages: "M" + ",".join(map(str, stages)) for stages in paper.MAP_STAGES}
    models = {title: run.settings.model(map_stages=stages) for stages, title in titles.items()}
    printed = {titles[stages]: figures for stages, figures in paper.MAP_STAGES.items()}
    return _ablation(run, "Table 7: maps", "score map", models, printed)


def _ablation(
    run: BenchmarkRun,
    title: str,
    varied: str,
    models: Mapping[str, DetectorSettings],
    printed: dict[str, paper.Ablation],
) -> PlainTable:
    table = plain_table(varied, "image AUROC", "pixel AUROC", "PRO", "AUPRO 0.3", "paper: image/pixel/PRO")
    table.title = f"{title} (ours: {_averaged_over(_of(run, run.settings.model()))})"
    for name, model in models.items():
        rows = _of(run, model)
        ours = (_cell(rows, _compared(rows), metric) for metric in METRICS)
        table.add_row(name, *ours, _together(printed.get(name)))
    return table


def _cost(rows: Sequence[BenchmarkRow]) -> PlainTable:
    table = plain_table("category", "trained on", "normal", "anomalous", "masks", "steps", "training s", "images/s")
    table.title = "Images and time"
    for name in _names(rows):
        these = [row for row in rows if row.category == name]
        row = these[0]
        counts = (row.train_images, row.normal_images, row.anomalous_images, row.masked_images)
        table.add_row(
            name, *map(str, counts), NONE if row.steps is None else str(row.steps),
            f"{fmean(row.training_seconds for row in these):.1f}",
            f"{fmean(row.images_per_second for row in these):.1f}",
        )  # fmt: skip
    return table


def _conditions(run: BenchmarkRun) -> str:
    settings, method = run.settings, run.settings.method
    kind = settings_class(method)
    seeds = f"{settings.seeds} seeds, ± their standard deviation" if settings.seeds > 1 else "1 seed"
    theirs = f"The paper's figures: {_described(kind.from_table(kind.of_paper()))}."
    if method not in paper.PUBLISHED:
        theirs = f"The paper has no figures of {method}."
    return f"Ours: {_described(settings.model())}, {seeds}. {theirs}"


def _described(model: DetectorSettings) -> str:
    """Teacher, size and length of the training, if it has one."""
    training = getattr(model, "training", model)
    lengths = [f"{getattr(training, name)} {name}" for name in ("steps", "epochs") if getattr(training, name, None)]
    return ", ".join([model.teacher, f"{model.image_height} x {model.image_width} pixels", *lengths[:1]])


def _ours(run: BenchmarkRun) -> str:
    model = run.settings.model()
    return model.teacher if model.method == ITS_OWN else f"{model.method}, {model.teacher}"


def _of(run: BenchmarkRun, model: DetectorSettings) -> list[BenchmarkRow]:
    word = variant(model)
    return [row for row in run.rows if row.variant == word]


def _names(rows: Iterable[BenchmarkRow]) -> list[str]:
    """Categories in the paper's order, then the others by name."""
    categories = {row.category for row in rows}
    return [name for name in paper.CATEGORIES if name in categories] + sorted(categories - set(paper.CATEGORIES))


def _compared(rows: Sequence[BenchmarkRow]) -> set[str]:
    """Categories behind the means: MVTec's, or all if none of them is there."""
    measured = {row.category for row in rows}
    return measured & set(paper.CATEGORIES) or measured


def _averaged_over(rows: Sequence[BenchmarkRow]) -> str:
    known = len(_compared(rows) & set(paper.CATEGORIES))
    return f"mean over {known} of the paper's 15 categories" if known else f"mean over {len(_names(rows))} others"


def _groups(rows: Sequence[BenchmarkRow], means: tuple[P, P, P]) -> list[tuple[str, set[str], P | None]]:
    """Title, categories and the paper's mean of each group; None where some categories are missing."""
    categories = {row.category for row in rows}
    groups: list[tuple[str, set[str], P | None]] = []
    parts = (("textures", paper.TEXTURES), ("objects", paper.OBJECTS), ("all", paper.CATEGORIES))
    for (title, names), mean in zip(parts, means, strict=True):
        here = categories & set(names)
        if here:
            whole = len(here) == len(names)
            groups.append((f"mean, {title} ({len(here)} of {len(names)})", here, mean if whole else None))
    others = categories - set(paper.CATEGORIES)
    return [*groups, (f"mean, others ({len(others)})", others, None)] if len(others) > 1 else groups


def _cell(rows: Sequence[BenchmarkRow], names: set[str], metric: Metric) -> str:
    """The mean over the categories, then over seeds, with the seeds' standard deviation; only complete seeds
    count."""
    by_seed: dict[int, list[float]] = {}
    for row in rows:
        value = getattr(row, metric)
        if row.category in names and value is not None:
            by_seed.setdefault(row.seed, []).append(100 * value)
    most = max(map(len, by_seed.values()), default=0)
    means = [fmean(values) for values in by_seed.values() if len(values) == most]
    if not means:
        return NONE
    return f"{fmean(means):.1f}" + (f"±{stdev(means):.1f}" if len(means) > 1 else "")


def _printed(value: float | None) -> str:
    return NONE if value is None else f"{value:.1f}"


def _together(figures: Sequence[float | None] | None) -> str:
    """As in the paper: 98.9/97.0, or 95.6/- where one is missing."""
    if figures is None or all(figure is None for figure in figures):
        return NONE
    return "/".join(map(_printed, figures))


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return fmean(known) if known else None


def _published(run: BenchmarkRun) -> tuple[int | None, paper.Published]:
    """What the paper prints of the method at our image size, or else at its own, and that size; None: nothing."""
    by_size = paper.PUBLISHED.get(run.settings.method, {})
    own = run.settings.model().image_height
    size = own if own in by_size else next(iter(by_size), None)
    return size, paper.NOTHING if size is None else by_size[size]
