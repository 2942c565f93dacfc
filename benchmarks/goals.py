"""What rd-inspect was built to reach, and the other methods, held against the records."""

from collections.abc import Iterator
from dataclasses import dataclass

from benchmarks.pages import DEFAULT, NAMES, Measured, printed, spread
from benchmarks.record import Figure

IMAGE_AUROC = {"casting": 0.995, "magnetic_tile": 0.90, "pcb": 0.95}
"""by folder, or what its name begins with up to '_'"""
PROMISED = 0.01
"""the share of good images that may lie above a threshold of benchmarks.methods"""
QUALITY = {
    "image auroc": ("image AUROC", ".3f"),
    "aupro": ("AUPRO", ".3f"),
    "recall": ("share of defects found", "percent"),
}
LEVEL = 1.05
"""times in cost within which methods count as level; these runs are not in turns, so little more is noise"""
NIGHT, STEP = "night, times `Engine.predict`", "training step, times the authors' loop"
FORWARD = "forward pass, share of a matrix product"
RATIOS = (
    ("prediction", "torch", "resnet18", "times Engine.predict", 2, f"{NIGHT}, same networks, torch"),
    ("prediction", "torch", "efficientnet_lite0", "times Engine.predict", 5, f"{NIGHT}, default teacher, torch"),
    ("prediction", "openvino", "resnet18", "times Engine.predict", 2, f"{NIGHT}, same networks, OpenVINO"),
    (
        "prediction",
        "openvino",
        "efficientnet_lite0",
        "times Engine.predict",
        5,
        f"{NIGHT}, default teacher, OpenVINO",
    ),
    ("throughput", "torch", "images/s", "sealed to forward", 0.8, "night, share of its bare networks' rate"),
    ("cost", None, "efficientnet_lite0", "share of matrix product", 0.85, f"{FORWARD}, default teacher"),
    ("cost", None, "resnet18", "share of matrix product", 0.85, f"{FORWARD}, ResNet18"),
    ("training_step", None, "resnet18", "times theirs", 1.6, STEP),
)
"""benchmark, engine, row, figure, the least that is wanted, words"""


@dataclass(frozen=True)
class Goal:
    """One goal and what was measured."""

    words: str
    wanted: str
    measured: str
    met: bool


@dataclass(frozen=True)
class Lead:
    """Other methods ahead of the default one."""

    words: str
    ours: str
    peers: list[str]
    """name and figure of each"""
    is_quality: bool
    """or else cost"""


def goals(measured: Measured) -> list[Goal]:
    """Those whose benchmark has a record."""
    return [*_quality(measured), *_promise(measured), *_ratios(measured), *_reliability(measured)]


def behind_peers(measured: Measured) -> list[Lead]:
    """Folder by folder in quality; in cost over the folders in which the other is ahead."""
    leads = [*_behind_in_quality(measured)]
    for name, words, less in (
        ("training processor s", "processor seconds of a training", True),
        ("images/processor s", "images a processor second", False),
    ):
        leads += _behind_in_cost(measured, name, words, less_is_better=less)
    return leads


def _behind_in_quality(measured: Measured) -> Iterator[Lead]:
    for name, (words, form) in QUALITY.items():
        for folder in measured.folders:
            ours = measured.figure(folder, DEFAULT, name)
            figures = {peer: measured.figure(folder, peer, name) for peer in measured.methods if peer != DEFAULT}
            ahead = [
                f"{NAMES[peer]} {spread(figure, form)}"
                for peer, figure in figures.items()
                if ours and figure and figure.median > ours.median
            ]
            if ours and ahead:
                yield Lead(f"{words} on {folder}", spread(ours, form), ahead, True)


def _behind_in_cost(measured: Measured, name: str, words: str, *, less_is_better: bool) -> Iterator[Lead]:
    ahead, word = [], "less" if less_is_better else "more"
    for peer in (method for method in measured.methods if method != DEFAULT):
        pairs = [[measured.figure(folder, method, name) for method in (DEFAULT, peer)] for folder in measured.folders]
        ratios = [ours.median / theirs.median for ours, theirs in pairs if ours and theirs]
        better = [ratio for ratio in (ratios if less_is_better else [1 / ratio for ratio in ratios]) if ratio > LEVEL]
        if better:
            times = spread(Figure.of(better), "2")
            where = "" if len(better) == len(ratios) else f" in {len(better)} of {len(ratios)} folders"
            ahead.append(f"{NAMES[peer]} {times} times {word}{where}")
    ours = [figure.median for folder in measured.folders if (figure := measured.figure(folder, DEFAULT, name))]
    if ahead:
        yield Lead(words, spread(Figure.of(ours), "2"), ahead, False)


def _quality(measured: Measured) -> Iterator[Goal]:
    for folder in measured.folders:
        wanted = IMAGE_AUROC.get(folder, IMAGE_AUROC.get(folder.split("_", maxsplit=1)[0]))
        figure = measured.figure(folder, DEFAULT, "image auroc")
        if wanted and figure:
            words = f"image AUROC on {folder}"
            yield Goal(words, f"at least {wanted:.3f}", spread(figure, ".3f"), figure.median >= wanted)


def _promise(measured: Measured) -> Iterator[Goal]:
    for method in measured.methods:
        alarms, good = measured.pooled(method, "false alarms", "good")
        words = f"false alarms of {NAMES[method]}, all folders"
        wanted = f"at most {printed(PROMISED, 'percent')}"
        yield Goal(words, wanted, f"{alarms} of {good} good images", alarms <= PROMISED * good)


def _ratios(measured: Measured) -> Iterator[Goal]:
    for benchmark, engine, row, name, wanted, words in RATIOS:
        record = measured.find(benchmark, engine)
        if record and row in record.figures:
            figure = record.figures[row][name]
            yield Goal(words, f"at least {wanted:g}", spread(figure, "2"), figure.median >= wanted)


def _reliability(measured: Measured) -> Iterator[Goal]:
    if storm := measured.find("storm"):
        losses, rounds = (storm.figures["all"][name].median for name in ("losses", "rounds"))
        yield Goal("storm", "nothing lost", f"{losses:.0f} losses in {rounds:.0f} rounds", losses == 0)
    if nights := measured.find("night_sizes"):
        most = max(row["peak mib"].median for row in nights.figures.values())
        yield Goal("memory of a night's flow", "below 1,024 MiB", f"{most:.0f} MiB", most < 1024)
    if year := measured.find("year_of_scores"):
        slowest = max(row["query s"].median for row in year.figures.values() if "query s" in row)
        yield Goal("a question of a year of scores", "below 1 s", f"at most {slowest:.2g} s", slowest < 1)
    if drift := measured.find("drift_delay"):
        for row, figures in drift.figures.items():
            months, missed = figures["months"].median, figures.get("missed")
            if missed:
                yield Goal(
                    f"drift: {row}", "no month missed", f"{missed.median:.0f} of {months:.0f}", not missed.median
                )
            else:
                false = figures["false alarm"].median
                words = f"quiet months with a drift alarm, {row.partition(', ')[2]}"
                yield Goal(words, "at most 5 %", f"{false:.0f} of {months:.0f}", false <= 0.05 * months)
