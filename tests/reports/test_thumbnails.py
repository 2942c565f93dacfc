import base64
import io

import numpy as np
from PIL import Image

from reports.thumbnails import thumbnails

NOISY = np.random.default_rng(0).integers(0, 255, (300, 400, 3), dtype=np.uint8)


def size(uri: str) -> tuple[int, int]:
    return Image.open(io.BytesIO(base64.b64decode(uri.removeprefix("data:image/webp;base64,")))).size


def test_with_room_enough_pictures_are_large(scored_image):
    (thumbnail,) = thumbnails([scored_image(picture=NOISY)], 10**6)
    assert size(thumbnail.picture) == size(thumbnail.overlay) == (400, 300)


def test_all_pictures_shrink_alike_until_they_fit_together(scored_image):
    drawn = thumbnails([scored_image(picture=NOISY)] * 6, 100_000)
    assert sum(len(thumbnail.picture) + len(thumbnail.overlay) for thumbnail in drawn) <= 100_000
    assert len({size(thumbnail.picture) for thumbnail in drawn}) == 1


def test_plain_samples_do_not_hide_heavy_pictures(scored_image):
    plain = scored_image(picture=np.zeros_like(NOISY), anomaly_map=None)
    images = [plain if number % 2 == 0 else scored_image(picture=NOISY) for number in range(18)]
    drawn = thumbnails(images, 150_000)
    assert sum(thumbnail.size for thumbnail in drawn) <= 150_000


def test_what_cannot_fit_is_drawn_at_its_smallest(scored_image):
    (thumbnail,) = thumbnails([scored_image(picture=NOISY)], 10)
    assert size(thumbnail.picture) == (64, 48)


def test_images_without_picture_or_map_keep_their_place(scored_image):
    first, second = thumbnails([scored_image(picture=None), scored_image(anomaly_map=None)], 10**6)
    assert first is None
    assert second.overlay is None
    assert thumbnails([], 10) == []
