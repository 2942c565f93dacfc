"""The tables of a benchmark, numbered as in the paper, each figure beside the paper's. In percent."""

from collections.abc import Iterable, Sequence
from statistics import fmean, stdev
from typing import Literal, TypeVar

from flows.paper import figures as paper
from flows.paper.benchmark import PAPER_IMAGE_SIZE, BenchmarkRun, variant
from flows.printing.plain_table import PlainTable, plain_table
from rd_core.detectors.reverse_distillation.settings import ReverseDistillationSettings
from storage.analysis.benchmark_rows import BenchmarkRow

NONE = "-"
Metric = Literal["image_auroc", "pixel_auroc", "paper_pro", "aupro"]
METRICS: tuple[Metric, ...] = ("image_auroc", "pixel_auroc", "paper_pro", "aupro")
P = TypeVar("P")


def benchmark_tables(run: BenchmarkRun) -> list[PlainTable]:
    """The tables that the run has rows for."""
    rows = _of(run, run.settings.model())
    if run.settings.protocol == "novelty":
        tables = [_novelty(rows)]
    else:
        tables = [_detection(run, rows), _localisation(run, rows), _complexity(run, rows)]
    if run.settings.ablations:
        tables += [_bottlenecks(run), _teachers(run), _map_stages(run)]
    tables += [_cost(rows)]
    tables[-1].notes = [_conditions(run)]
    return tables


def _detection(run: BenchmarkRun, rows: Sequence[BenchmarkRow]) -> PlainTable:
    size = _paper_size(run)
    table = plain_table("category", "ours", f"paper, {size} px")
    table.title = "Table 1: image AUROC"
    for name in _names(rows):
        table.add_row(name, _cell(rows, {name}, "image_auroc"), _printed(paper.IMAGE_AUROC[size].get(name)))
    for title, names, printed in _groups(rows, paper.IMAGE_AUROC_MEANS[size]):
        known = [paper.IMAGE_AUROC[size][name] for name in names if name in paper.IMAGE_AUROC[size]]
        table.add_row(
            title, _cell(rows, names, "image_auroc"), _printed(printed or (fmean(known) if known else None))
        )
    return table


def _localisation(run: BenchmarkRun, rows: Sequence[BenchmarkRow]) -> PlainTable:
    size = _paper_size(run)
    table = plain_table("category", "pixel AUROC", "PRO", "AUPRO 0.3", f"paper: AUROC/PRO, {size} px")
    table.title = "Table 2: localisation (PRO as the authors compute it, AUPRO by its definition)"

    def add(title: str, names: set[str], printed: paper.Localisation | None) -> None:
        ours = (_cell(rows, names, metric) for metric in METRICS[1:])
        table.add_row(title, *ours, _together(printed))

    for name in _names(rows):
        add(name, {name}, paper.LOCALISATION[size].get(name))
    for title, names, printed in _groups(rows, paper.LOCALISATION_MEANS[size]):
        known = [paper.LOCALISATION[size][name] for name in names if name in paper.LOCALISATION[size]]
        over_them = paper.Localisation(*map(fmean, zip(*known, strict=True))) if known else None
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
        table.add_row(f"ours, {run.settings.teacher}", f"{seconds:.3f}", f"{rows[0].model_bytes / 1e6:.0f}", *metrics)
    table.notes = [
        "The paper: WideResNet50 on an Intel i7. Ours: this machine, 8 images at a time, without decoding; MB of the "
        f"weights; metrics are the {_averaged_over(rows)}."
    ]
    return table


def _novelty(rows: Sequence[BenchmarkRow]) -> PlainTable:
    table = plain_table("normal class", "ours", "paper")
    table.title = "Table 4: one-class novelty, image AUROC"
    for name in _names(rows):
        table.add_row(name, _cell(rows, {name}, "image_auroc"), NONE)
    names = set(_names(rows))
    dataset = paper.novelty_dataset(rows[0].dataset, len(names)) if rows else None
    title = f"mean of {len(names)}" + (f" ({dataset})" if dataset else "")
    table.add_row(title, _cell(rows, names, "image_auroc"), _printed(paper.NOVELTY[dataset] if dataset else None))
    return table


def _bottlenecks(run: BenchmarkRun) -> PlainTable:
    models = {kind: run.settings.model(bottleneck=kind) for kind in paper.BOTTLENECKS}
    return _ablation(run, "Table 5: bottleneck", "bottleneck", models, paper.BOTTLENECKS)


def _teachers(run: BenchmarkRun) -> PlainTable:
    names = dict.fromkeys((*paper.TEACHERS, run.settings.teacher))
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
    models: dict[str, ReverseDistillationSettings],
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
        counts = (row.train_images, row.normal_images, row.anomalous_images, row.masked_images, row.steps)
        table.add_row(
            name, *map(str, counts),
            f"{fmean(row.training_seconds for row in these):.1f}",
            f"{fmean(row.images_per_second for row in these):.1f}",
        )  # fmt: skip
    return table


def _conditions(run: BenchmarkRun) -> str:
    settings = run.settings
    training = settings.model().training
    length = f"{training.steps} steps" if training.steps is not None else f"{training.epochs} epochs"
    seeds = f"{settings.seeds} seeds, ± their standard deviation" if settings.seeds > 1 else "1 seed"
    return (
        f"Ours: {settings.teacher}, {settings.image_size} x {settings.image_size} pixels, {length}, {seeds}. "
        "The paper: wide_resnet50_2, 256 x 256 pixels, 200 epochs."
    )


def _of(run: BenchmarkRun, model: ReverseDistillationSettings) -> list[BenchmarkRow]:
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


def _together(figures: Sequence[float] | None) -> str:
    """As in the paper: 98.9/97.0."""
    return NONE if figures is None else "/".join(map(_printed, figures))


def _paper_size(run: BenchmarkRun) -> int:
    """The paper's image size to compare ours with."""
    return run.settings.image_size if run.settings.image_size in paper.IMAGE_AUROC else PAPER_IMAGE_SIZE
