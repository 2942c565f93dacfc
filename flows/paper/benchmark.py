"""The measurements of the Reverse Distillation paper, on images in a local folder.

One process trains one network after the other, without Prefect or workers. Every finished row is in the result
file at once; existing rows are not computed again.
"""

import hashlib
import json
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from flows.errors import RunFailed
from flows.paper.figures import MAP_STAGES, TEACHERS
from flows.paper.progress import BenchmarkDisplay, benchmark_display
from flows.settings import SettingsError
from rd_core.detectors.registry import settings_class
from rd_core.detectors.reverse_distillation.settings import ReverseDistillationSettings
from rd_core.detectors.settings import DetectorSettings
from rd_core.errors import ConfigError, CoreError, TeacherUnavailable
from rd_core.features.backbone_spec import TEACHERS as KNOWN_TEACHERS
from rd_core.features.backbone_spec import teacher_spec
from storage.analysis.benchmark_rows import BenchmarkRow, RowKey, add_row, read_rows
from storage.filesystem import Store, open_store
from tasks.paper.benchmark_category import BenchmarkRequest, Measurement, benchmark_category, check_teacher
from tasks.paper.benchmark_folder import BenchmarkImages, BrokenImage, file_digest, mvtec_categories, novelty_classes
from tasks.worker.preprocessing import PREPROCESSING_VERSION
from tasks.worker.software import software

ITS_OWN = ReverseDistillationSettings.method
"""the paper's own method, which alone has ablations"""
ALL_STAGES = (1, 2, 3)


class BenchmarkFailed(RunFailed):
    """Some measurements could not be made; the message says which, and why."""


@dataclass(frozen=True)
class BenchmarkSettings:
    """What to measure, by default as the papers did."""

    folder: Path
    out: str
    """Parquet file for the rows: a path, or s3://bucket/name"""
    method: str = ITS_OWN
    protocol: Literal["paper", "novelty"] = "paper"
    ablations: bool = False
    """Tables 5 to 7 too"""
    teacher: str | None = None
    """None: that of the method's paper"""
    teacher_weights: Mapping[str, Path] = field(default_factory=dict)
    """files by teacher; other weights come from the package, the caches or a download"""
    image_size: int | None = None
    """pixels of a side; None: those of Tables 1 and 2"""
    epochs: int | None = None
    """None, with no steps either: as many as the method's paper has"""
    steps: int | None = None
    changes: Mapping[str, Any] = field(default_factory=dict)
    """settings of the method's table that differ from those of its paper"""
    seeds: int = 1
    """trainings of everything, from seed 0 on"""
    categories: tuple[str, ...] = ()
    """none: all that are in the folder"""

    def __post_init__(self) -> None:
        if self.epochs is not None and self.steps is not None:
            raise SettingsError(
                f"--epochs {self.epochs} and --steps {self.steps} say two lengths of training, so nothing was "
                "computed. Give one of them, or none for as many epochs as the paper."
            )
        if self.ablations and self.method != ITS_OWN:
            raise SettingsError(
                f"--ablations are of Tables 5 to 7, which vary {ITS_OWN}, but --method is {self.method}, so nothing "
                "was computed. Leave one of them out."
            )
        if self.ablations and self.protocol == "novelty":
            raise SettingsError(
                "--ablations are of Tables 5 to 7, which are measured on MVTec categories, but --protocol is "
                "novelty, so nothing was computed. Leave one of them out."
            )
        try:
            for name in (*([self.teacher] if self.teacher else []), *self.teacher_weights):
                teacher_spec(name)
            self._refuse_options_of_others()
            self.model()
        except ConfigError as e:
            raise SettingsError(f"{e} Nothing was computed.") from e

    def _refuse_options_of_others(self) -> None:
        known = settings_class(self.method).table_names()
        for name, value in self._length.items():
            if name not in known:
                raise SettingsError(
                    f"--{name} {value} is the length of a training, but {self.method} is not trained by {name}, so "
                    "nothing was computed. Leave the option out."
                )

    @property
    def _length(self) -> dict[str, int]:
        return {name: value for name in ("epochs", "steps") if (value := getattr(self, name)) is not None}

    def model(self, **changes: Any) -> DetectorSettings:
        """The model of Tables 1 to 4, or with `changes` of an ablation: as in the method's paper, cut to the
        requested epochs or steps."""
        kind = settings_class(self.method)
        values = kind.of_paper(changes.get("teacher", self.teacher))
        if self.protocol == "novelty" and self.method == ITS_OWN:
            values["score"] = "sum"
        if self.image_size is not None:
            values |= {"image_height": self.image_size, "image_width": self.image_size}
        if self._length:
            values = {name: value for name, value in values.items() if name not in ("epochs", "steps")}
        return kind.from_table({**values, **self._length, **self.changes, **changes})

    def networks(self) -> list[tuple[DetectorSettings, ...]]:
        """The networks to train, the main one first; each entry lists the models that one training serves."""
        if not self.ablations:
            return [(self.model(),)]
        stages = [ALL_STAGES, *(stages for stages in MAP_STAGES if stages != ALL_STAGES)]
        main = tuple(self.model(map_stages=chosen) for chosen in stages)
        bottlenecks = [(self.model(bottleneck=kind),) for kind in ("oce", "pretrained")]
        others = [(self.model(teacher=name),) for name in TEACHERS if name != main[0].teacher]
        return [main, *bottlenecks, *others]


def teacher_of_paper(method: str) -> str:
    """The teacher by which the method's paper measures."""
    name: str = settings_class(method).of_paper()["teacher"]
    return name


def changes_of(given: Iterable[str]) -> dict[str, Any]:
    """Settings from the command's options, NAME=VALUE with a value as TOML has it. Raises SettingsError."""
    changes: dict[str, Any] = {}
    for text in given:
        name, _, value = text.partition("=")
        try:
            changes[name.strip()] = tomllib.loads(f"value = {value}")["value"]
        except tomllib.TOMLDecodeError as e:
            raise SettingsError(
                f"--set {text} is no setting as TOML has it ({e}), so nothing was computed. Write a number as "
                "dimensions=100, a word as map_gradients='\"smooth\"', a list as scales=[33]."
            ) from e
    return changes


def weights_by_teacher(given: Iterable[str], teacher: str) -> dict[str, Path]:
    """Files by teacher, from the command's options: FILE is for `teacher`, NAME=FILE for another.

    Raises SettingsError for two files of one teacher.
    """
    files: dict[str, Path] = {}
    for text in given:
        name, equals, file = text.partition("=")
        if not (equals and name in KNOWN_TEACHERS):
            name, file = teacher, text
        if name in files:
            raise SettingsError(
                f"--teacher-weights gives {name} both {files[name]} and {file}, so nothing was computed. "
                f"Give one file for {teacher}, and NAME=FILE for each other teacher."
            )
        files[name] = Path(file)
    return files


@dataclass(frozen=True)
class BenchmarkRun:
    """Results of a run."""

    settings: BenchmarkSettings
    rows: tuple[BenchmarkRow, ...]
    """all rows of these settings, old and new"""
    computed: int
    """new rows"""
    problems: tuple[str, ...]
    """what could not be measured, and why"""


def run_benchmark(settings: BenchmarkSettings) -> BenchmarkRun:
    """Measure what is not in the result file yet.

    Raises SettingsError or NotAnImageFolder for wrong use, CorruptObject for a damaged result file,
    BenchmarkFailed if an image or the main teacher is missing. Other problems are in the BenchmarkRun.
    """
    find = novelty_classes if settings.protocol == "novelty" else mvtec_categories
    categories = find(settings.folder, settings.categories)
    store, key = _result_file(settings.out)
    rows = {row.key: row for row in read_rows(store, key)}
    try:
        wanted = list(_networks(settings, categories))
    except BrokenImage as e:
        raise BenchmarkFailed(f"{e} Nothing was computed.") from e
    todo = [run for run in (_without(each, rows) for each in wanted) if run.request.models]
    unavailable = _unavailable(settings, todo)
    problems = list(unavailable.values())
    todo = [run for run in todo if run.teacher not in unavailable]
    before = len(rows)
    with benchmark_display(len(todo)) as display:
        display.say(f"{settings.out} has {before} rows; networks to train: {len(todo)}")
        for teacher in unavailable:
            display.say(f"no weights of {teacher}: its rows will be missing")
        for each in todo:
            try:
                for row in _measured(each, display):
                    add_row(store, key, row)
                    rows[row.key] = row
            except (CoreError, BrokenImage) as e:
                problems.append(f"{each.title}: {e}")
            display.end()
    shown = tuple(rows[key] for each in wanted for key in each.keys if key in rows)
    return BenchmarkRun(settings, shown, len(rows) - before, tuple(problems))


@dataclass(frozen=True)
class _Network:
    """One training, and its rows."""

    settings: BenchmarkSettings
    request: BenchmarkRequest
    keys: tuple[RowKey, ...]
    """of the request's models, in their order"""
    described: tuple[str, ...]
    """likewise: the settings of the row, as JSON"""

    @property
    def teacher(self) -> str:
        return self.request.models[0].teacher

    @property
    def title(self) -> str:
        model = self.request.models[0]
        kind = model.bottleneck if isinstance(model, ReverseDistillationSettings) else model.method
        return f"{self.request.images.category} {model.teacher} {kind} seed {model.seed}"


def _networks(settings: BenchmarkSettings, categories: Iterable[BenchmarkImages]) -> Iterator[_Network]:
    """Every network of the settings, the most important first."""
    digests = [(images, images.digest()) for images in categories]
    for network in settings.networks():
        weights = settings.teacher_weights.get(network[0].teacher)
        weights_digest = file_digest(weights) if weights is not None and weights.is_file() else None
        for seed in range(settings.seeds):
            models = tuple(replace(model, seed=seed) for model in network)
            for images, digest in digests:
                described = tuple(
                    _described(model, images=digest, teacher_weights=weights_digest) for model in models
                )
                keys = tuple(
                    (settings.protocol, images.category, variant(model), seed, _digest(text))
                    for model, text in zip(models, described, strict=True)
                )
                yield _Network(settings, BenchmarkRequest(images, models, weights), keys, described)


def variant(model: DetectorSettings) -> str:
    """A name for what the ablations vary, such as wide_resnet50_2-mff_oce-M123, or of another method, such as
    vgg16-mkd."""
    if not isinstance(model, ReverseDistillationSettings):
        return f"{model.teacher}-{model.method}"
    return f"{model.teacher}-{model.bottleneck}-M{''.join(map(str, model.map_stages))}"


def _described(model: DetectorSettings, **digests: str | None) -> str:
    """Everything that a figure depends on, except software."""
    return json.dumps(
        {
            "method": model.method,
            "model": model.to_dict(),
            "digests": digests,
            "preprocessing": PREPROCESSING_VERSION,
        },
        sort_keys=True,
    )


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _without(network: _Network, rows: Mapping[RowKey, BenchmarkRow]) -> _Network:
    """The network with only the models whose rows are missing."""
    missing = [number for number, key in enumerate(network.keys) if key not in rows]
    return replace(
        network,
        request=replace(network.request, models=tuple(network.request.models[i] for i in missing)),
        keys=tuple(network.keys[i] for i in missing),
        described=tuple(network.described[i] for i in missing),
    )


def _unavailable(settings: BenchmarkSettings, todo: list[_Network]) -> dict[str, str]:
    """Teachers that are not available, and why. Raises BenchmarkFailed for the teacher of Tables 1 to 4."""
    problems = {}
    for name in dict.fromkeys(run.teacher for run in todo):
        try:
            check_teacher(name, settings.teacher_weights.get(name))
        except TeacherUnavailable as e:
            main = settings.model().teacher
            given = "--teacher-weights FILE" if name == main else f"--teacher-weights {name}=FILE"
            problems[name] = f"{e} The options: {given}, or --teacher efficientnet_lite0."
            if name == main:
                raise BenchmarkFailed(f"{problems[name]} Nothing was computed.") from e
    return problems


def _measured(network: _Network, display: BenchmarkDisplay) -> Iterator[BenchmarkRow]:
    display.begin(network.title)
    measurements = benchmark_category(network.request, display.follow)
    for key, described, measured in zip(network.keys, network.described, measurements, strict=True):
        row = _row(network, key, described, measured)
        auroc = "none" if row.image_auroc is None else f"{row.image_auroc:.4f}"
        display.say(f"done {row.category} {row.variant} seed={row.seed} image_auroc={auroc}")
        yield row


def _row(network: _Network, key: RowKey, described: str, measured: Measurement) -> BenchmarkRow:
    images, model = network.request.images, measured.model
    protocol, category, word, seed, digest = key
    normal = sum(not image.is_anomalous for image in images.test)
    own = model if isinstance(model, ReverseDistillationSettings) else None
    return BenchmarkRow(
        protocol=protocol,
        dataset=images.root.resolve().name,
        category=category,
        method=model.method,
        variant=word,
        seed=seed,
        settings_digest=digest,
        teacher=model.teacher,
        bottleneck=own.bottleneck if own else None,
        map_stages=",".join(map(str, own.map_stages)) if own else None,
        image_height=model.image_height,
        image_width=model.image_width,
        image_auroc=measured.image_auroc,
        pixel_auroc=measured.pixel_auroc,
        aupro=measured.aupro,
        paper_pro=measured.paper_pro,
        train_images=len(images.train),
        normal_images=normal,
        anomalous_images=len(images.test) - normal,
        masked_images=measured.masked_images,
        steps=measured.steps,
        training_seconds=measured.training_seconds,
        images_per_second=measured.images_per_second,
        model_bytes=measured.model_bytes,
        settings=described,
        software=json.dumps(software(), sort_keys=True),
        finished_at=datetime.now(UTC),
    )


def _result_file(out: str) -> tuple[Store, str]:
    """Store and key of the result file; a missing local folder is made."""
    folder, _, name = out.rpartition("/")
    if not name.endswith(".parquet") or Path(out).is_dir():
        raise SettingsError(
            f"--out {out} names no Parquet file, so there is nowhere to put the rows and nothing was computed. "
            "Give a file such as results/mvtec.parquet."
        )
    root = folder or ("/" if out.startswith("/") else ".")
    return open_store(root, create=True), name
