import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from demo.factory import Factory
from rd_core.pictures.near_duplicates import BITS, MOST_BITS, near_duplicates, perceptual_hash


def pictures(category, count=8):
    """Good parts of the demo's factory; a printed part lies in a fixture and differs from the next by little."""
    files = Factory(normals=count).normals(category)
    return [np.asarray(Image.open(io.BytesIO(file.data)).convert("RGB")) for file in files]


def encoded(picture, quality=80, scale=1.0):
    size = (round(picture.shape[1] * scale), round(picture.shape[0] * scale))
    out = io.BytesIO()
    Image.fromarray(picture).resize(size, Image.Resampling.BICUBIC).save(out, "JPEG", quality=quality)
    return np.asarray(Image.open(out).convert("RGB"))


def bits_between(one, other):
    return int((perceptual_hash(one) != perceptual_hash(other)).sum())


@pytest.fixture(scope="module", params=["printed_part", "brushed_metal", "woven_cloth"])
def parts(request):
    return pictures(request.param)


def test_another_encoding_or_size_is_the_same_picture(parts):
    copies = [encoded(part, *how) for part in parts[:4] for how in ((95,), (70,), (90, 0.6), (90, 1.5))]
    known = np.array([perceptual_hash(part) for part in parts])
    assert near_duplicates(np.array([perceptual_hash(copy) for copy in copies]), known) == [-1] * len(copies)


def test_no_part_is_taken_for_another(parts):
    hashes = np.array([perceptual_hash(part) for part in parts])
    assert near_duplicates(hashes, hashes[:0]) == [None] * len(parts)


def test_a_part_under_another_light_is_no_copy(parts):
    """Those are the images that retraining is for."""
    part = parts[0]
    darker, brighter = (part * 0.9).astype(np.uint8), np.minimum(part.astype(int) + 6, 255).astype(np.uint8)
    assert min(bits_between(part, darker), bits_between(part, brighter)) > 1.2 * MOST_BITS


def test_pictures_that_have_nothing_in_common_differ_in_half_of_the_bits():
    random = np.random.default_rng(0)
    flat = [np.full((40, 50, 3), level, np.uint8) + random.integers(0, 30, (40, 50, 3), np.uint8) for level in
            (0, 90, 180)]  # fmt: skip
    assert [bits_between(flat[i], flat[j]) for i, j in ((0, 1), (0, 2), (1, 2))] == pytest.approx([128] * 3, abs=40)


def test_the_size_of_the_picture_does_not_matter_and_the_hash_is_the_same_every_time():
    random = np.random.default_rng(1)
    coarse = random.integers(0, 256, (8, 8, 3), np.uint8)
    small, large = (np.asarray(Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC)) for size in
                    ((128, 128), (640, 640)))  # fmt: skip
    assert bits_between(small, large) <= MOST_BITS
    assert perceptual_hash(small).shape == (BITS,)
    assert np.array_equal(perceptual_hash(small), perceptual_hash(small.copy()))


def chosen_slowly(hashes, known, most):
    result, kept = [], []
    for i, one in enumerate(hashes):
        away = [sum(a != b for a, b in zip(one, hashes[j], strict=True)) for j in kept]
        if any(sum(a != b for a, b in zip(one, k, strict=True)) <= most for k in known):
            result.append(-1)
        elif away and min(away) <= most:
            result.append(kept[away.index(min(away))])
        else:
            result.append(None)
            kept.append(i)
    return result


@given(st.integers(0, 2**32), st.integers(0, 12), st.integers(0, 4), st.sampled_from([0, 3, 20]))
def test_each_that_is_left_out_resembles_one_that_stays(seed, count, there, most):
    random = np.random.default_rng(seed)
    base = random.random((3, BITS)) < 0.5

    def hashes(n):
        return base[random.integers(3, size=n)] ^ (random.random((n, BITS)) < random.choice([0, 0.01, 0.05]))

    own, known = hashes(count), hashes(there)
    assert near_duplicates(own, known, most) == chosen_slowly(own.tolist(), known.tolist(), most)


def test_a_chain_of_likenesses_does_not_swallow_its_end():
    """The third resembles the second, which goes, but not the first, which stays."""
    hashes = np.zeros((3, BITS), np.bool_)
    hashes[1, :40] = hashes[2, :80] = True
    assert near_duplicates(hashes, hashes[:0], 50) == [None, 0, None]


def test_arrays_that_are_no_hashes_are_refused():
    none = np.zeros((0, BITS), np.bool_)
    for wrong in (np.zeros((2, 64), np.bool_), np.zeros((2, BITS)), np.zeros(BITS, np.bool_)):
        with pytest.raises(ValueError, match=r"perceptual_hash\(\)"):
            near_duplicates(wrong, none)
        with pytest.raises(ValueError, match=r"perceptual_hash\(\)"):
            near_duplicates(np.zeros((1, BITS), np.bool_), wrong)
    assert near_duplicates(none, none) == []
