import io
import itertools

import numpy as np
import pytest
from PIL import Image

from demo import defects
from demo.factory import BROKEN_NIGHT, LAMP_NIGHT, NIGHTS, Factory

CATEGORIES = ("woven_cloth", "brushed_metal", "printed_part")


def decoded(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


def test_a_seed_gives_the_same_bytes_and_another_seed_other_ones():
    first, second, other = (next(Factory(seed=s, size=64).normals("printed_part")).data for s in (5, 5, 6))
    assert first == second
    assert first != other


@pytest.mark.parametrize("category", CATEGORIES)
def test_normals_are_as_many_as_asked_for_and_all_different(small_factory, category):
    images = list(small_factory.normals(category))
    assert [image.name for image in images] == ["good/000.png", "good/001.jpg", "good/002.png", "good/003.png"]
    assert len({image.data for image in images}) == 4
    assert {(image.label, image.kind, image.mask) for image in images} == {("normal", None, None)}
    assert {decoded(image.data).shape for image in images} == {(96, 96, 3)}


@pytest.mark.parametrize("category", CATEGORIES)
def test_a_plain_night_has_good_parts_and_two_of_every_kind_of_defect(small_factory, category):
    images = list(small_factory.night(category, 0))
    kinds = [image.kind for image in images if image.label == "anomalous"]
    assert sorted(kinds) == sorted([*defects.KINDS[category], *defects.KINDS[category]])
    assert sum(image.label == "normal" for image in images) == 4
    assert all(image.readable for image in images)


def test_names_do_not_repeat_and_one_is_odd(small_factory):
    names = [image.name for image in small_factory.night("woven_cloth", 1)]
    assert len(names) == len(set(names))
    assert "good/Prüfling Nr. 3 (Schicht 2).png" in names


@pytest.mark.parametrize("category", CATEGORIES)
def test_a_mask_has_its_images_size_and_marks_a_part_of_it(small_factory, category):
    for image in small_factory.night(category, 0):
        if image.mask is None:
            continue
        mask = np.asarray(Image.open(io.BytesIO(image.mask)))
        assert mask.shape == decoded(image.data).shape[:2]
        assert set(np.unique(mask)) == {0, 255}


def test_every_kind_of_defect_comes_as_png_and_as_jpeg_over_the_nights():
    factory = Factory(size=48, good_per_night=0)
    files = [image for night in range(NIGHTS) for image in factory.night("brushed_metal", night) if image.mask]
    assert {(image.kind, image.name[-3:]) for image in files} == {
        (kind, suffix) for kind in defects.KINDS["brushed_metal"] for suffix in ("png", "jpg")
    }


def test_only_the_second_night_has_broken_files_and_a_copy(small_factory):
    for night in range(NIGHTS):
        images = list(small_factory.night("printed_part", night))
        broken = sorted(image.kind for image in images if not image.readable)
        copies = len(images) - len({image.data for image in images})
        if night == BROKEN_NIGHT:
            assert broken == ["empty", "oversized", "text", "truncated", "truncated"]
            assert copies == 1
        else:
            assert broken == []
            assert copies == 0


def test_on_the_lamps_night_the_light_fades_from_image_to_image(small_factory):
    def brightness(night: int) -> list[float]:
        good = itertools.islice(small_factory.night("brushed_metal", night), 4)
        return [decoded(image.data).mean() for image in good]

    fading, steady = brightness(LAMP_NIGHT), brightness(0)
    assert fading == sorted(fading, reverse=True)
    assert fading[-1] < 0.8 * min(steady)


@pytest.mark.parametrize("night", [-1, NIGHTS])
def test_a_night_that_does_not_exist_is_refused(small_factory, night):
    with pytest.raises(ValueError, match=f"night {night} does not exist"):
        list(small_factory.night("woven_cloth", night))


def test_the_categories_look_different(small_factory):
    means = [decoded(next(small_factory.normals(c)).data).mean(axis=(0, 1)) for c in small_factory.categories]
    assert all(np.abs(a - b).max() > 30 for a, b in itertools.combinations(means, 2))
