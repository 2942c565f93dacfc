"""Tables of nights, trainings, engines and proofs: speed, scale and reliability."""

from collections.abc import Iterator

from benchmarks.pages import NONE, Measured, caption, printed, spread, table
from benchmarks.record import Figure

RESNET, LITE = "resnet18", "efficientnet_lite0"
ENGINES = {"torch": "torch", "openvino": "OpenVINO"}
Figures = dict[str, Figure]


def speed(measured: Measured) -> Iterator[str]:
    """The section of docs/benchmarks.md."""
    rows = [*_nights(measured), *_networks(measured), *_training(measured), *_engines(measured)]
    if not rows:
        return
    yield "## Speed"
    yield (
        "A night goes from the store to sealed scores and maps. `Engine.predict` is anomalib 2.7.0's, with its\n"
        "Reverse Distillation of ResNet18, and keeps nothing."
    )
    yield table(["what", "rd-inspect", "beside it", "times as fast"], rows)
    names = ("prediction", "throughput", "cost", "training_step", "engines")
    yield caption(measured.find(name, engine) for name in names for engine in (None, *ENGINES))
    if tasks := measured.find("task_cost"):
        flow, workers, server = (
            spread(*_milliseconds(tasks.figures, name)) for name in ("flow", "workers", "server")
        )
        yield (
            f"A task that does nothing costs {flow} processor milliseconds in the flow, {workers} in the worker and "
            f"{server} in the\nPrefect server. {caption([tasks])}"
        )


def beside_anomalib(measured: Measured) -> Iterator[str]:
    """A line for the README."""
    if record := measured.find("prediction", "torch"):
        default, same = (spread(record.figures[row]["times Engine.predict"], "2") for row in (LITE, RESNET))
        yield (
            f"On {record.machine['cores']} cores, a night scores {default} times as many images a second as\n"
            "anomalib's `Engine.predict` with Reverse Distillation of ResNet18, and with the same networks\n"
            f"{same} times. Only the night stores scores and maps."
        )


def scale(measured: Measured) -> Iterator[str]:
    """Nights by size, a year of scores."""
    nights, year = measured.find("night_sizes"), measured.find("year_of_scores")
    if nights or year:
        yield "## Scale"
    if nights:
        yield "Nights of image records, by a scorer that computes nothing; processor milliseconds an image:"
        head = ["images", "seconds", "flow and server, ms", "workers, ms", "peak memory of the flow, MiB"]
        yield table(head, [_night(row, figures) for row, figures in nights.figures.items()])
        yield caption([nights])
    if year:
        rows, categories = year.about["rows"], year.about["categories"]
        yield f"Seconds that SQL questions take over a year of {rows:,} scores, {categories} categories:"
        questions = {
            "`SELECT 1`" if row == "none" else row: figures
            for row, figures in year.figures.items()
            if "query s" in figures
        }
        yield table(
            ["question", "open connection", "`rd-inspect query`"], [_question(*one) for one in questions.items()]
        )
        yield caption([year])


def reliability(measured: Measured) -> Iterator[str]:
    """The storm, drift, the lasting light."""
    storm, drift, light = (measured.find(name) for name in ("storm", "drift_delay", "lasting_light"))
    if storm or drift or light:
        yield "## Reliability"
    if storm:
        yield "Nights and backfills that are killed, cut off or run into each other ([how](storm.md)):"
        kinds = dict.fromkeys(row.partition(", ")[0] for row in storm.figures)
        rows = [_fault(kind, [of for row, of in storm.figures.items() if row.startswith(kind)]) for kind in kinds]
        yield table(["fault", "rounds", "came in time", "runs until done, at most", "losses"], rows)
        yield caption([storm])
    if drift:
        yield (
            "Simulated months with a change on day 10: nights to the first verdict other than hold (median / 90 %),\n"
            "and how often the verdict is right; by the number of normals that calibrate:"
        )
        sizes = [f"{size} normals" for size in drift.about["calibrations"]]
        changes = dict.fromkeys(row.rpartition(", ")[0] for row in drift.figures)
        rows = [[change, *(_delay(drift.figures[f"{change}, {size}"]) for size in sizes)] for change in changes]
        yield table(["change", *sizes], rows)
        yield caption([drift])
    if light:
        yield "The generated factory, where the light changes for good ([how](retraining.md)):"
        rows = [
            [row, _of(figures, "false_alarms", "good"), _of(figures, "found", "defective")]
            for row, figures in light.figures.items()
        ]
        yield table(["nights", "false alarms", "defects found"], rows)
        yield caption([light])


def _nights(measured: Measured) -> Iterator[list[str]]:
    for engine, name in ENGINES.items():
        if record := measured.find("prediction", engine):
            for row, words in ((RESNET, "the same networks"), (LITE, "default teacher")):
                what = f"night beside `Engine.predict`, {words}, {name}, images/s"
                names = ("ours images/s", "Engine.predict images/s", "times Engine.predict")
                yield _row(what, record.figures[row], *names)


def _networks(measured: Measured) -> Iterator[list[str]]:
    for engine, name in ENGINES.items():
        if record := measured.find("throughput", engine):
            what = f"night beside its bare networks, {name}, images/s"
            yield _row(what, record.figures["images/s"], "sealed", "forward", "sealed to forward")
    if record := measured.find("cost"):
        for teacher, figures in record.figures.items():
            what = f"forward pass beside a matrix product, {teacher}, GFLOP/s"
            yield _row(what, figures, "forward pass gflop/s", "matrix product gflop/s", "share of matrix product")


def _training(measured: Measured) -> Iterator[list[str]]:
    if record := measured.find("training_step"):
        for teacher, figures in record.figures.items():
            what = f"training step beside the authors' loop, {teacher}, s"
            yield _row(what, figures, "our step s", "their step s", "times theirs")


def _engines(measured: Measured) -> Iterator[list[str]]:
    record = measured.find("engines")
    for row, figures in record.figures.items() if record else ():
        teacher, _, engine = row.partition(", ")
        if record and engine != "torch":
            both = figures | {"torch": record.figures[f"{teacher}, torch"]["ms an image"]}
            others = f"{_of(figures, 'other decisions', 'images decided')} decisions differ"
            what = f"{ENGINES[engine]} beside torch, {teacher}, ms an image ({others})"
            yield _row(what, both, "ms an image", "torch", "times torch")


def _row(what: str, figures: Figures, *names: str) -> list[str]:
    return [what, *(spread(figures[name], "2") for name in names)]


def _milliseconds(figures: dict[str, Figures], name: str) -> tuple[Figure, str]:
    (row,) = figures.values()
    return row[f"{name} ms"], "2"


def _night(row: str, figures: Figures) -> list[str]:
    seconds = sum(figures[f"{stage} s"].median for stage in ("start", "planning", "scoring", "sealing", "reporting"))
    costs = (figures[f"{name} processor ms an image"] for name in ("orchestration", "workers"))
    return [
        row,
        printed(seconds, "2"),
        *(spread(figure, "2") for figure in costs),
        printed(figures["peak mib"].median, "3"),
    ]


def _question(row: str, figures: Figures) -> list[str]:
    return [row, spread(figures["held s"], "2") if "held s" in figures else NONE, spread(figures["query s"], "2")]


def _fault(kind: str, some: list[Figures]) -> list[str]:
    sums = (f"{sum(figures[name].median for figures in some):.0f}" for name in ("rounds", "hit"))
    most = max(figures["reruns"].most for figures in some)
    return [kind, *sums, f"{most:.0f}", f"{sum(figures['losses'].median for figures in some):.0f}"]


def _delay(figures: Figures) -> str:
    if "false alarm" in figures:
        return f"{_of(figures, 'false alarm', 'months')} months have a false alarm"
    if "delay nights" not in figures:
        return "never"
    nights = (printed(figures[name].median, "2") for name in ("delay nights", "delay nights 90 %"))
    return f"{' / '.join(nights)}, {printed(figures['verdict right'].median, 'percent')}"


def _of(figures: Figures, part: str, whole: str) -> str:
    return f"{figures[part].median:.0f} of {figures[whole].median:.0f}"
