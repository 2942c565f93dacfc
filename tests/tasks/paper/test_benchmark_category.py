"""One network of a benchmark: what it is trained on, and that its figures are those of its scores."""

import shutil
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.metrics import roc_auc_score

from rd_core.detectors.detector import Normals
from rd_core.detectors.reverse_distillation.settings import ReverseDistillationSettings, recipe
from rd_core.detectors.training import Fitted, train
from rd_core.errors import TooFewNormals
from rd_core.metrics.aupro import aupro
from rd_core.metrics.paper_pro import paper_pro
from rd_core.metrics.pixel_tables import PixelTables
from rd_core.pictures.preprocessing import resize
from tasks.importing.import_folder import NotAnImageFolder
from tasks.paper import benchmark_category as benchmark_category_module
from tasks.paper.benchmark_category import BenchmarkProgress, BenchmarkRequest, Measurement, benchmark_category
from tasks.paper.benchmark_folder import (
    BenchmarkImages,
    BrokenImage,
    DecodedImages,
    JudgedImage,
    defects,
    mvtec_categories,
    novelty_classes,
)
from tests.rd_core.striped_images import textured, with_blot

SIZE = 64
MODEL = recipe("paper", teacher="efficientnet_lite0", image_height=SIZE, image_width=SIZE, steps=2)
MIDDLE = replace(MODEL, map_stages=(2,))


def save(folder: Path, images: np.ndarray) -> None:
    folder.mkdir(parents=True)
    for number, image in enumerate(images):
        Image.fromarray(image).save(folder / f"{number:03}.png")


def make_category(folder: Path, masks: bool = True) -> None:
    """Stripes of 80 pixels a side, blots for defects, 10 normals to train on."""
    side = 80
    save(folder / "train" / "good", textured(10, side, side))
    save(folder / "test" / "good", textured(5, side, side, seed=1))
    save(folder / "test" / "blot", with_blot(textured(6, side, side, seed=2)))
    if masks:
        mask = np.zeros((6, side, side), dtype=np.uint8)
        mask[:, 20:36, 20:36] = 255
        for number in range(1, 6):  # not where a defect is, so that figures differ from image to image
            mask[number, 40 : 40 + 6 * number, 40:70] = 255
        save(folder / "ground_truth" / "blot", mask)
        for path in sorted((folder / "ground_truth" / "blot").iterdir()):
            path.rename(path.with_name(f"{path.stem}_mask.png"))


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("mvtec")
    make_category(folder / "cloth")
    make_category(folder / "bare", masks=False)
    return folder


@pytest.fixture
def folder(shared: Path, tmp_path: Path) -> Path:
    """A copy to spoil."""
    return Path(shutil.copytree(shared, tmp_path / "mvtec"))


def measure(images: BenchmarkImages, *models: ReverseDistillationSettings) -> list[Measurement]:
    request = BenchmarkRequest(images, models or (MODEL,), None)
    return list(benchmark_category(request, lambda _: None))


def cloth(folder: Path) -> BenchmarkImages:
    return mvtec_categories(folder, ["cloth"])[0]


def test_a_category_is_read_with_the_truth_its_folders_tell(folder: Path) -> None:
    (folder / "cloth" / "test" / "good" / ".DS_Store").write_bytes(b"x")
    (folder / "license.txt").write_text("free")
    bare, found = mvtec_categories(folder)
    assert (bare.category, found.category) == ("bare", "cloth")
    assert [path.name for path in found.train] == [f"{i:03}.png" for i in range(10)]
    assert [(one.path.parent.name, one.is_anomalous) for one in found.test] == [("blot", True)] * 6 + [
        ("good", False)
    ] * 5
    masks = [[path.name for path in one.masks] for one in found.test]
    assert masks == [[f"{i:03}_mask.png"] for i in range(6)] + [[]] * 5
    assert not any(one.masks for one in bare.test)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (shutil.rmtree, "is not a folder"),
        (lambda folder: [shutil.rmtree(path) for path in folder.iterdir()], "no category in it"),
        (lambda folder: shutil.rmtree(folder / "cloth" / "test" / "good"), "0 in test/good"),
        (lambda folder: shutil.rmtree(folder / "cloth" / "test" / "blot"), "0 in other folders"),
        (lambda folder: [path.unlink() for path in (folder / "cloth/train/good").iterdir()], "0 images in train"),
        (lambda folder: (folder / "cloth").rename(folder / "clothes"), "Did you mean 'clothes'"),
        (lambda folder: shutil.copytree(folder / "bare" / "train", folder / "train"), "--category mvtec"),
        (lambda folder: (folder / "cloth/test/good/006.png").touch(), r"006\.png cannot be placed \(empty"),
        (
            lambda folder: (folder / "cloth/test/blot").rename(folder / "cloth/test/unsure"),
            "unsure.* cannot be placed",
        ),
        (
            lambda folder: shutil.copytree(folder / "cloth/test/blot", folder / "cloth/test/ok_2"),
            "ok_2.* cannot be placed",
        ),
        (lambda folder: (folder / "cloth/test/blot/000.png").unlink(), r"000_mask\.png cannot be placed"),
    ],
)
def test_a_folder_that_cannot_be_judged_is_refused(folder: Path, spoil, words: str) -> None:
    spoil(folder)
    with pytest.raises(NotAnImageFolder, match=words):
        mvtec_categories(folder, ["cloth"])


def test_good_and_masks_may_have_other_names(folder: Path) -> None:
    usual = cloth(folder)
    (folder / "cloth/test/good").rename(folder / "cloth/test/OK")
    (folder / "cloth/train/good").rename(folder / "cloth/train/normal")
    (folder / "cloth/ground_truth/blot/000_mask.png").rename(folder / "cloth/ground_truth/blot/000.PNG")
    found = cloth(folder)
    assert len(found.train) == len(usual.train)
    assert sorted(len(one.masks) for one in found.test if one.is_anomalous) == [1] * 6
    assert sum(not one.is_anomalous for one in found.test) == 5


def test_of_novelty_each_class_in_turn_is_normal(tmp_path: Path) -> None:
    for part in ("train", "test"):
        for name, count in (("a", 2), ("b", 3), ("c", 1)):
            save(tmp_path / part / name, textured(count))
    found = novelty_classes(tmp_path)
    assert [(one.category, len(one.train), len(one.test)) for one in found] == [("a", 2, 6), ("b", 3, 6), ("c", 1, 6)]
    for one in found:
        assert all(judged.is_anomalous == (judged.path.parent.name != one.category) for judged in one.test)
        assert {path.parent.name for path in one.train} == {one.category}
    assert [(one.category, len(one.test)) for one in novelty_classes(tmp_path, ["b"])] == [("b", 6)]
    shutil.rmtree(tmp_path / "test" / "c")
    with pytest.raises(NotAnImageFolder, match="a, b, c to train and a, b to test"):
        novelty_classes(tmp_path)


def test_the_digest_follows_every_image_and_not_the_folders_place(shared: Path, folder: Path) -> None:
    digest = cloth(shared).digest()
    assert cloth(folder).digest() == digest
    for name in ("train/good/003.png", "test/blot/003.png", "ground_truth/blot/003_mask.png"):
        path = folder / "cloth" / name
        before = path.read_bytes()
        path.write_bytes(before + b"x")
        assert cloth(folder).digest() != digest
        path.write_bytes(before)
    assert cloth(folder).digest() == digest
    (folder / "cloth/test/good/004.png").rename(folder / "cloth/test/good/005.png")
    assert cloth(folder).digest() != digest


def test_masks_come_on_the_maps_grid(folder: Path) -> None:
    image = cloth(folder).test[0]
    found = defects(image, SIZE, SIZE)
    assert found is not None and found.shape == (SIZE, SIZE)
    rows, columns = np.nonzero(found)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (16, 28, 16, 28)  # 20 to 36 of 80
    assert defects(JudgedImage(image.path, True), SIZE, SIZE) is None
    Image.new("L", (80, 80)).save(image.masks[0])
    with pytest.raises(BrokenImage, match=r"000_mask\.png marks no pixel"):
        defects(image, SIZE, SIZE)


def test_a_file_that_is_no_image_is_named(folder: Path) -> None:
    (folder / "cloth" / "train" / "good" / "004.png").write_bytes(b"not an image")
    with pytest.raises(BrokenImage, match=r"004\.png cannot be read"):
        measure(cloth(folder))


def test_one_image_to_train_on_is_too_few(folder: Path) -> None:
    images = cloth(folder)
    with pytest.raises(TooFewNormals):
        measure(BenchmarkImages("cloth", folder, images.train[:1], images.test))


@dataclass
class Watched:
    """One run on cloth, from the outside."""

    found: list[Measurement]
    fitted: list[Fitted]
    asked: list[tuple[ReverseDistillationSettings, list[bytes], list[bytes]]]
    told: list[BenchmarkProgress]


@pytest.fixture(scope="module")
def watched(shared: Path) -> Watched:
    run = Watched([], [], [], [])

    def watch(method, settings, normals, *others, **more):
        run.asked.append((settings, *([i.tobytes() for i in some] for some in (normals.train, normals.early_stop))))
        run.fitted.append(train(method, settings, normals, *others, **more))
        return run.fitted[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(benchmark_category_module, "train", watch)
        request = BenchmarkRequest(cloth(shared), (MODEL, MIDDLE), None)
        run.found += benchmark_category(request, run.told.append)
    return run


def test_the_figures_are_those_of_the_scores(shared: Path, watched: Watched) -> None:
    found, model, test = watched.found[0], watched.fitted[0].detector, cloth(shared).test
    truth = [one.is_anomalous for one in test]
    scored = model.score(np.stack([resize(np.asarray(Image.open(one.path)), SIZE, SIZE) for one in test]))
    assert found.image_auroc == pytest.approx(roc_auc_score(truth, scored.scores), abs=1e-9)
    masks = [defects(one, SIZE, SIZE) for one in test]
    defective = np.stack([np.zeros((SIZE, SIZE), bool) if mask is None else mask for mask in masks])
    stored = scored.maps.astype(np.float16)
    assert found.pixel_auroc == pytest.approx(roc_auc_score(defective.ravel(), stored.ravel()), abs=1e-3)
    assert found.aupro == pytest.approx(aupro(PixelTables.of(stored, masks, truth)), abs=1e-3)
    pros = [paper_pro(one, mask) for one, mask in zip(scored.maps, masks, strict=True) if mask is not None]
    assert np.std(pros) > 0.01
    assert found.paper_pro == pytest.approx(np.mean(pros), abs=1e-3)
    assert (found.masked_images, found.steps) == (6, 2)
    assert found.images_per_second > 0
    assert found.training_seconds == watched.fitted[0].report.seconds
    weights = sum(p.numel() for p in model.parameters())
    assert found.model_bytes == pytest.approx(4 * weights, rel=0.02)  # batch norms are folded


def test_all_normals_train_to_the_last_step_as_the_paper_says(watched: Watched) -> None:
    ((asked, images, monitored),) = watched.asked
    settings = asked.training
    assert len(set(images)) == 10
    assert monitored == images[:8]
    assert (settings.keep, settings.patience, settings.schedule) == ("last", None, "constant")
    assert (settings.optimiser, settings.learning_rate, settings.betas) == ("adam", 5e-3, (0.5, 0.999))
    assert (settings.batch_size, settings.loss) == (16, "per_position")


def test_what_is_watched_changes_no_weight(shared: Path, watched: Watched) -> None:
    paths = cloth(shared).train
    normals = Normals(DecodedImages(paths), DecodedImages(paths[9:]))
    other = train(MODEL.method, MODEL, normals).detector.state_dict()
    assert all(torch.equal(tensor, other[name]) for name, tensor in watched.fitted[0].detector.state_dict().items())


def test_other_maps_are_judged_on_the_same_network(shared: Path, watched: Watched) -> None:
    assert len(watched.asked) == 1
    assert [one.model for one in watched.found] == [MODEL, MIDDLE]
    (alone,) = measure(cloth(shared), MIDDLE)
    for name in ("image_auroc", "pixel_auroc", "aupro", "paper_pro"):
        assert getattr(watched.found[1], name) == pytest.approx(getattr(alone, name), abs=1e-9)
    assert watched.found[0].pixel_auroc != watched.found[1].pixel_auroc


def test_the_work_is_followed_to_its_end(watched: Watched) -> None:
    last = {progress.stage: (progress.done, progress.total) for progress in watched.told}
    assert last == {"features": (18, 18), "steps": (2, 2), "scoring": (11, 11)}


@pytest.mark.parametrize("kind", ["oce", "pretrained"])
def test_every_bottleneck_of_table_5_trains(shared: Path, kind: str) -> None:
    (found,) = measure(cloth(shared), replace(MODEL, bottleneck=kind, map_stages=(1, 3)))
    assert found.model.bottleneck == kind
    assert found.image_auroc is not None


def test_without_masks_there_are_image_figures_alone(shared: Path) -> None:
    (found,) = measure(mvtec_categories(shared, ["bare"])[0])
    assert found.image_auroc is not None
    assert (found.pixel_auroc, found.aupro, found.paper_pro, found.masked_images) == (None, None, None, 0)
