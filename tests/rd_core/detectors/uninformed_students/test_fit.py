"""What teachers and students learn from: patches, general images, normals."""

import hashlib
import io
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from rd_core.detectors import checkpoint
from rd_core.detectors.detector import FitProgress, FitRun, Normals
from rd_core.detectors.training import Fitted, train
from rd_core.detectors.uninformed_students import general_images
from rd_core.detectors.uninformed_students.architecture import seen_by
from rd_core.detectors.uninformed_students.detector import UninformedStudents
from rd_core.detectors.uninformed_students.ensemble import Ensemble
from rd_core.detectors.uninformed_students.general_images import GeneralImages
from rd_core.detectors.uninformed_students.kept_images import KeptImages
from rd_core.detectors.uninformed_students.learning import Learning
from rd_core.detectors.uninformed_students.patches import draw
from rd_core.detectors.uninformed_students.settings import UninformedStudentsSettings
from rd_core.engines.choice import OPENVINO, engine_here
from rd_core.engines.engine import computed_by
from rd_core.errors import ConfigError
from rd_core.maps.micro_batch import AnomalyMaps
from tests.rd_core.detectors.partly_ignored import PartlyIgnoredImages
from tests.rd_core.detectors.test_contract import small
from tests.rd_core.striped_images import SIZE, textured

NORMALS = Normals(textured(6), textured(2, seed=1))


def kept(images: object, size: tuple[int, int] = (SIZE, SIZE), most: int = 2**30) -> KeptImages:
    return KeptImages(images, size, most, lambda: None)  # type: ignore[arg-type]  # a list of arrays serves as Images


def settings(**changes: object) -> UninformedStudentsSettings:
    found = replace(small("uninformed_students"), teacher_steps=2, student_steps=2, **changes)  # type: ignore[arg-type]
    assert isinstance(found, UninformedStudentsSettings)
    return found


def put(folder: Path, count: int) -> Path:
    for number, pixels in enumerate(textured(count, 50, 70, seed=8)):
        (folder / f"{number % 2}").mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(folder / f"{number % 2}" / f"{number}.{'png' if number % 3 else 'JPG'}")
    return folder


@pytest.mark.parametrize("general", [True, False])
def test_patches_show_one_place_twice_and_the_negatives_another_image(general: bool) -> None:
    """Each image has a grey level of its own, which a colour change moves alike for anchor and positive."""
    images = np.repeat(np.linspace(40, 200, 5).astype(np.uint8), SIZE * SIZE * 3).reshape(5, SIZE, SIZE, 3)
    images = images + textured(5).astype(np.uint8) // 16
    drawn = draw(kept(images), 20, 17, np.random.default_rng(0), general=general)
    assert drawn.anchors.shape == drawn.positives.shape == (20, 17, 17, 3) and drawn.anchors.dtype == np.uint8
    assert np.array_equal(np.bincount(drawn.numbers), [4] * 5)
    assert (drawn.numbers != np.roll(drawn.numbers, 1)).all()
    levels = drawn.anchors.mean(axis=(1, 2, 3)), drawn.positives.mean(axis=(1, 2, 3))
    assert (np.abs(levels[1] / levels[0] - 1) < 0.25)[levels[0] > 20].all() and not np.array_equal(*levels)
    again = draw(kept(images), 20, 17, np.random.default_rng(0), general=general)
    assert all(np.array_equal(*pair) for pair in zip(drawn, again, strict=True))


def test_no_patch_has_an_ignored_middle_or_shows_what_is_ignored() -> None:
    mask = np.zeros((SIZE, SIZE), np.bool_)
    mask[30:40, 20:50] = True
    changed = textured(3)
    changed[:, ~mask] = np.random.default_rng(1).integers(0, 256, changed[:, ~mask].shape, np.uint8)
    one, other = (
        draw(kept(PartlyIgnoredImages(images, [mask])), 30, 17, np.random.default_rng(2), general=True)
        for images in (textured(3), changed)
    )
    assert np.array_equal(one.anchors, other.anchors) and np.array_equal(one.positives, other.positives)
    assert (one.anchors[:, 6:11, 6:11].std(axis=(1, 2, 3)) > 1).all(), "stripes, not the fill"


def test_images_that_disk_does_not_hold_are_read_at_every_use() -> None:
    masks = PartlyIgnoredImages(textured(4, 40, 40), [None, np.eye(SIZE, dtype=np.bool_)])
    one, other = kept(masks), kept(masks, most=1000)
    assert np.array_equal(one.pixels([3, 1]), other.pixels([3, 1])) and one.pixels([0]).shape == (1, SIZE, SIZE, 3)
    counted = one.counted([0, 1])
    assert counted is not None and counted.pixels[0].all() and int(counted.pixels[1].sum()) == SIZE


def test_general_images_are_told_apart_by_their_bytes_and_unreadable_ones_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = put(tmp_path / "nature", 5)
    (folder / "broken.png").write_bytes(b"\x89PNG nothing")
    whole = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)).save(whole, "JPEG")
    (folder / "cut.jpg").write_bytes(whole.getvalue()[:-100])
    files = UninformedStudentsSettings(general_images=str(folder)).general_files()
    images = GeneralImages(folder, files, seed=0)
    assert len(images) == 5 and images[0].shape == (512, 512, 3)
    figures = images.figures
    assert figures["files"] == 7 and figures["unreadable"] == 2 and figures["learnt_from"] == 5
    digest = hashlib.sha256()
    for path in files:
        digest.update(
            path.relative_to(folder).as_posix().encode() + b"\0" + hashlib.sha256(path.read_bytes()).digest()
        )
    assert figures["sha256"] == digest.hexdigest()
    monkeypatch.setattr(general_images, "MOST", 3)
    assert GeneralImages(folder, files, seed=0).figures["sha256"] != figures["sha256"]
    with pytest.raises(ConfigError, match=r"1 of 2 images .* can be read"):
        GeneralImages(folder, [files[0], folder / "broken.png"], seed=0)


def test_greys_of_more_than_8_bits_keep_their_contrast_and_a_hot_pixel_does_not_set_it(tmp_path: Path) -> None:
    greys = np.tile(np.linspace(0, 4095, 512).astype(np.uint16), (512, 1))
    greys[100, 100] = 65535
    for name, values in (("12 bits.png", greys), ("float.tiff", (greys / 4095).astype(np.float32))):
        Image.fromarray(values).save(tmp_path / name)
    for image in GeneralImages(tmp_path, sorted(tmp_path.iterdir()), seed=0):
        assert np.abs(image[0, :, 0] - np.linspace(0, 255, 512)).max() < 2


@pytest.mark.parametrize("inside", ["missing", "empty", "one"])
def test_a_folder_without_images_is_refused_before_any_work(tmp_path: Path, inside: str) -> None:
    folder = tmp_path / inside
    if inside != "missing":
        put(folder, int(inside == "one"))
        folder.mkdir(exist_ok=True)
    reports: list[FitProgress] = []
    with pytest.raises(ConfigError, match=r"holds fewer than two images.*teachers then learn from the normals"):
        train("uninformed_students", settings(general_images=str(folder)), NORMALS, FitRun(reports.append))
    assert not reports


def fitted(**changes: object) -> Fitted:
    return train("uninformed_students", settings(**changes), NORMALS)


def test_the_report_says_what_the_teachers_learnt_from(tmp_path: Path) -> None:
    own, general = fitted(), fitted(general_images=str(put(tmp_path / "nature", 4)))
    assert own.report.figures["teachers_learnt_from"] == "the normals, strongly augmented"
    assert "no general_images were given" in own.report.summary
    source = general.report.figures["teachers_learnt_from"]
    assert source["learnt_from"] == 4 and len(source["sha256"]) == 64
    networks = [one.detector.ensembles[0].teacher.state_dict() for one in (own, general)]
    assert not torch.equal(networks[0]["convolutions.0.weight"], networks[1]["convolutions.0.weight"])
    loaded = checkpoint.from_bytes(checkpoint.to_bytes(general.detector))
    (tmp_path / "nature").rename(tmp_path / "gone")
    assert np.array_equal(loaded.score(NORMALS.train).maps, general.detector.score(NORMALS.train).maps)


def test_students_come_nearer_to_the_teacher() -> None:
    losses: list[float] = []

    def note(progress: FitProgress) -> None:
        if progress.phase == "steps" and progress.loss is not None:
            losses.append(progress.loss)

    train("uninformed_students", replace(settings(), student_steps=30), NORMALS, FitRun(note))
    assert np.mean(losses[-5:]) < 0.9 * np.mean(losses[:5])


def test_a_fits_moments_are_those_of_the_normals_it_saw() -> None:
    detector = fitted().detector
    assert isinstance(detector, UninformedStudents)
    (ensemble,) = detector.ensembles
    with torch.no_grad():
        train_targets, held_out = (
            ensemble.targets(ensemble.bordered(detector.shown(torch.from_numpy(images), None)))
            for images in (NORMALS.train, NORMALS.early_stop)
        )
        padded = ensemble.bordered(detector.shown(torch.from_numpy(NORMALS.early_stop), None))
        distances = ensemble.distances(held_out, ensemble.predictions(padded))
    np.testing.assert_allclose(train_targets.mean(dim=(0, 2, 3)), 0, atol=1e-4)
    np.testing.assert_allclose(train_targets.std(dim=(0, 2, 3)), 1, rtol=1e-3)
    assert 0.5 < float(distances.std()) < 3, "two summands of deviation 1"


def test_all_early_stop_pixels_may_be_ignored() -> None:
    nothing = PartlyIgnoredImages(NORMALS.early_stop, [np.zeros((SIZE, SIZE), np.bool_)])
    detector = train("uninformed_students", settings(), Normals(NORMALS.train, nothing)).detector
    assert np.isfinite(detector.score(NORMALS.train).maps).all()


def test_nothing_of_an_ignored_position_is_learnt_or_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither in a training's steps and moments, nor in the map beside it, nor in the feature distance."""
    mask = np.ones((SIZE, SIZE), np.bool_)
    mask[:, 32:] = False
    normals = Normals(*(PartlyIgnoredImages(images, [mask]) for images in (NORMALS.train, NORMALS.early_stop)))
    images, masks = textured(2, seed=4), np.stack([mask, mask])

    def outcome() -> tuple[bytes, AnomalyMaps]:
        detector = train("uninformed_students", settings(), normals).detector
        return checkpoint.to_bytes(detector), detector.score(images, masks)

    usual, ignored = Ensemble.targets, torch.from_numpy(~mask[::4, ::4])

    def far(ensemble: Ensemble, padded: torch.Tensor) -> torch.Tensor:
        return usual(ensemble, padded).clone().masked_fill_(ignored, 99.0)  # in the same order in memory

    expected = outcome()
    monkeypatch.setattr(Ensemble, "targets", far)
    found = outcome()
    assert found[0] == expected[0]
    assert all(np.array_equal(*pair) for pair in zip(found[1], expected[1], strict=True))


def test_crops_know_what_counts_of_them() -> None:
    """Images are white where they count, so the middles of a crop's patches tell what does."""
    detector = UninformedStudents.build(settings(image_width=4 * SIZE), pretrained=False)
    masks = np.random.default_rng(0).random((3, SIZE // 4, SIZE)).repeat(4, axis=1).repeat(4, axis=2) < 0.5
    images = KeptImages(
        PartlyIgnoredImages(np.full((3, SIZE, 4 * SIZE, 3), 255, np.uint8), list(masks)),
        (SIZE, 4 * SIZE), 2**30, lambda: None,
    )  # fmt: skip
    learning = Learning(detector.settings, images, images, detector._shown_of)
    (ensemble,) = detector.ensembles
    places = []
    for seed in range(5):
        crops, counted = learning._crops(ensemble, [2, 0], np.random.default_rng(seed))
        half = seen_by(ensemble.teacher.layers) // 2
        middles = crops[:, 0, half : half + SIZE : 4, half : half + 2 * SIZE : 4]
        assert counted.shape == middles.shape == (2, 16, 32)
        assert torch.equal(middles != 0, counted > 0)
        places.append(counted)
    assert not torch.equal(places[0], places[1])


@pytest.mark.skipif(find_spec("openvino") is None, reason="the extra is not installed")
def test_openvino_computes_what_torch_does() -> None:
    """With dilated layers, and ignored pixels."""
    many = settings(scales=(33, 65), image_width=96)
    detector = UninformedStudents.build(many, pretrained=False).eval().ready()
    images, counted = textured(3, SIZE, 96), np.ones((3, SIZE, 96), np.bool_)
    counted[0, :40, 30:] = False
    other = computed_by(engine_here(OPENVINO), detector, ignoring=True)
    for theirs, ours in zip(other.score(images, counted), detector.score(images, counted), strict=True):
        assert np.abs(theirs - ours).max() <= 1e-4 * np.abs(ours).max() and ours.any()


def test_two_scales_make_one_map() -> None:
    detector = train("uninformed_students", settings(scales=(65, 17), stride=8, students=1), NORMALS).detector
    found = detector.score(NORMALS.train[:2])
    assert found.maps.shape == (2, SIZE // 4, SIZE // 4) and found.maps.min() > 0
    assert "65 and 17 pixels" in detector.map_values and [one.scale for one in detector.ensembles] == [65, 17]
