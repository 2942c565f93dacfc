"""Images a second, in one run: the bare networks, scoring, and the whole path from store to sealed partition.

    python -m benchmarks.throughput [--images 1024] [--rounds 3] [--engine openvino | --precision bfloat16]

The bare forward pass is measured with one process a core, the better of the two ways to use the cores, and right
before and after each night, since a machine's speed drifts. The ratios are of a night's rates to the mean of the two.
The bare networks are torch's whichever engine the night has, in its precision.
"""

import argparse
import io
import multiprocessing
import tempfile
import time
from dataclasses import asdict, dataclass, fields
from datetime import UTC, date, datetime

import numpy as np
import torch
from dask.system import cpu_count
from PIL import Image

from benchmarks.record import Record, Values, add_results_option
from demo import woven_cloth
from flows.dask_cluster import dask_cluster
from flows.inspection import inspect_images
from flows.prefect_server import prefect_server
from flows.settings import load_settings
from rd_core.calibration.threshold import calibrate
from rd_core.detectors import checkpoint
from rd_core.detectors.reverse_distillation.detector import ReverseDistillation
from rd_core.detectors.reverse_distillation.settings import ReverseDistillationSettings
from rd_core.detectors.settings import MICRO_BATCH
from rd_core.kernels.precision import networks_in
from rd_core.pictures.image_view import ImageView
from rd_core.settings import PRECISIONS, Precision
from storage.filesystem import Store, open_store
from storage.layout import image_key, seal_key
from storage.models import models
from storage.models.card import (
    Calibration,
    Engine,
    Fit,
    ImageSets,
    ImageThreshold,
    Maps,
    Method,
    ModelCard,
    PixelThreshold,
    Preprocessing,
    WeightsFile,
)
from tasks.worker.preprocessing import PREPROCESSING_VERSION
from tasks.worker.scorer import model_for_scoring
from tasks.worker.worker_process import prepare_worker_process

CATEGORY, VERSION, TEACHER = "cloth", "v1", "efficientnet_lite0"
PICTURES = 16
"""drawn; the night repeats them under other names"""


@dataclass(frozen=True)
class Round:
    """Rates of one round, images a second, all cores together."""

    forward: float
    """teacher, bottleneck and student alone"""
    score: float
    """the same with normalisation, map, smoothing and score"""
    sealed: float
    """from listing to the last seal, workers warm"""
    reported: float
    """until the run's report is written too"""


RATES = tuple(field.name for field in fields(Round))


def main() -> None:
    """Measure and record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=1024)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--engine", choices=("torch", "openvino"), default="torch")
    parser.add_argument("--precision", choices=PRECISIONS, default="float32")
    add_results_option(parser)
    arguments = parser.parse_args()
    record = Record.begin("throughput")
    with tempfile.TemporaryDirectory() as folder, prefect_server():
        store = open_store(folder)
        weights = put_model(store, CATEGORY, arguments.size, precision=arguments.precision)
        with dask_cluster(load_settings(folder)) as scheduler:
            put_pictures(store, CATEGORY, date(2026, 1, 1), 64, arguments.size)
            night(
                store, scheduler, CATEGORY, date(2026, 1, 1), arguments.engine
            )  # imports and the model, once a worker
            rounds = [_round(store, scheduler, weights, day, arguments) for day in range(arguments.rounds)]
    rates: dict[str, Values] = {name: [getattr(one, name) for one in rounds] for name in RATES}
    for name in ("sealed", "reported"):
        rates[f"{name} to forward"] = [getattr(one, name) / one.forward for one in rounds]
    about = {name: getattr(arguments, name) for name in ("images", "size", "engine", "precision")}
    file = result_name("throughput", arguments.engine, arguments.precision)
    record.write(arguments.results / file, {"images/s": rates}, about)


def result_name(benchmark: str, engine: str, precision: str) -> str:
    """Of the file of results: what is not the default has one of its own."""
    return (
        "-".join([benchmark, *(word for word in (engine, precision) if word not in ("torch", "float32"))]) + ".json"
    )


def _round(store: Store, scheduler: str, weights: bytes, day: int, arguments: argparse.Namespace) -> Round:
    put_pictures(store, CATEGORY, date(2026, 2, 1 + day), arguments.images, arguments.size)
    before = _bare(weights, arguments.size)
    sealed, reported = night(store, scheduler, CATEGORY, date(2026, 2, 1 + day), arguments.engine)
    after = _bare(weights, arguments.size)
    forward, score = ((one + other) / 2 for one, other in zip(before, after, strict=True))
    one = Round(forward, score, sealed, reported)
    print(f"round {day}: " + ", ".join(f"{name} {rate:.1f}" for name, rate in asdict(one).items()), flush=True)
    return one


def put_model(
    store: Store,
    category: str,
    size: int,
    teacher: str = TEACHER,
    precision: Precision = "float32",
) -> bytes:
    """An untrained model costs what a trained one costs, if it flags no more: one of the sixteen pictures here."""
    config = ReverseDistillationSettings(teacher=teacher, image_height=size, image_width=size, precision=precision)
    model = untrained(config)
    found = model.score(np.stack([np.asarray(_picture(seed, size)) for seed in range(PICTURES)]))
    scores = np.repeat(found.scores, PICTURES).astype(np.float64)
    threshold, weights = calibrate(scores, 0.1), checkpoint.to_bytes(model)
    card = ModelCard(
        category=category,
        version=VERSION,
        created_at=datetime.now(UTC),
        run_id="benchmark",
        method=Method("reverse_distillation", config.to_dict(), teacher_weights=None),
        fit=Fit("none", {}, 0.0),
        preprocessing=Preprocessing(PREPROCESSING_VERSION, ImageView(size, size).to_dict(), 65535, None, 100_000_000),
        maps=Maps(size, size, "of no meaning", maximum_is_score=True),
        threshold=ImageThreshold(**asdict(threshold)),
        pixel_threshold=PixelThreshold(float(np.quantile(found.maps, 0.999)), 0.001, PICTURES),
        calibration=Calibration(
            tuple(scores.tolist()),
            {},
            "split",
            None,
            (1,) * len(scores),
            0.1,
            int(np.count_nonzero(scores > threshold.value)),
        ),
        images=ImageSets("", None, (), (), (), (), (), {}, {}, ()),
        retraining=None,
        engine=Engine("torch", "of no meaning", {}),
        weights=WeightsFile.of(weights),
        software={},
    )
    models.publish_model(store, card, weights)
    models.promote(store, category, VERSION, by="benchmark", now=datetime.now(UTC))
    return weights


def untrained(config: ReverseDistillationSettings) -> ReverseDistillation:
    """The same at every call, in eval mode, without a download.

    Every kind of distance counts: of a weight of 0, which a model has as built, a compiler may leave out all that
    leads to it.
    """
    torch.manual_seed(0)
    model = ReverseDistillation.build(config, pretrained=False).eval()
    model.blend.magnitude.fill_(0.5)
    for discriminator in model.discriminators:
        discriminator.weight.fill_(1)
    return model


def put_pictures(store: Store, category: str, day: date, images: int, size: int) -> None:
    """A night's images: a few that are drawn, again and again under other names."""
    pictures = [_jpeg(seed, size) for seed in range(PICTURES)]
    for number in range(images):
        store.write(image_key(category, day, f"{number:05}.jpg"), pictures[number % PICTURES])


def night(store: Store, scheduler: str, category: str, day: date, engine: str = "torch") -> tuple[float, float]:
    """Images a second until the partition is sealed, and until the run's report is written too."""
    began = time.time()
    options = {"engine": engine}
    run = inspect_images(store.uri, day, [category], reports=False, dask_address=scheduler, options=options)
    ended = time.time()
    sealed = store.info(seal_key(category, day, VERSION))
    assert sealed is not None  # or the inspection would have failed
    images = run.categories[0].images
    return images / (sealed.modified.timestamp() - began), images / (ended - began)


def _jpeg(seed: int, size: int) -> bytes:
    out = io.BytesIO()
    _picture(seed, size).save(out, "JPEG", quality=92)
    return out.getvalue()


def _picture(seed: int, size: int) -> Image.Image:
    return Image.fromarray((woven_cloth.draw(np.random.default_rng(seed), size) * 255).astype(np.uint8))


def _bare(weights: bytes, size: int, seconds: float = 8) -> tuple[float, float]:
    """(forward, score) images a second of one process a core at once."""
    context = multiprocessing.get_context("spawn")
    workers = cpu_count()
    barrier = context.Barrier(workers)
    with context.Pool(workers, _keep_barrier, (barrier,)) as pool:
        rates = pool.starmap(_one_process, [(weights, size, seconds)] * workers, chunksize=1)
    return sum(rate[0] for rate in rates), sum(rate[1] for rate in rates)


def _keep_barrier(barrier: object) -> None:
    globals()["_barrier"] = barrier


def _one_process(weights: bytes, size: int, seconds: float) -> tuple[float, float]:
    prepare_worker_process()
    model = model_for_scoring(weights)
    assert isinstance(model, ReverseDistillation)
    images = np.random.default_rng(0).integers(0, 256, (MICRO_BATCH, size, size, 3), dtype=np.uint8)
    normalised = torch.randn(MICRO_BATCH, 3, size, size).to(memory_format=torch.channels_last)

    def forward() -> None:
        with torch.inference_mode(), networks_in(model.settings.precision, model.device):
            model(model.teacher(normalised))

    return _rate(forward, seconds), _rate(lambda: model.score(images), seconds)


def _rate(work: object, seconds: float) -> float:
    assert callable(work)
    work()
    globals()["_barrier"].wait()
    began, done = time.perf_counter(), 0
    while time.perf_counter() - began < seconds:
        work()
        done += MICRO_BATCH
    return done / (time.perf_counter() - began)


if __name__ == "__main__":
    main()
