"""Drawing ignored regions: what the page asks for and what it is told."""

import io
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient

from proofs.model_cards import publish_made_up
from rd_core.pictures.crop import Crop
from rd_core.pictures.image_view import ImageView
from review.app import create_app
from review.desk import Desk
from storage.filesystem import LocalStore
from storage.ignored_regions import drawn, masked, read_history, read_region, save_region
from storage.labels.labels import Label, write_labels
from storage.models.models import promote
from storage.pictures.masks import mask_png
from tests.review.night import NOW

HERE = "http://127.0.0.1:8010"
CORNER = [[0, 0], [0.5, 0], [0.5, 0.25]]


@pytest.fixture
def client(desk: Desk) -> Iterator[TestClient]:
    app = create_app(desk, reviewer="ann", hosts={"127.0.0.1"})
    with TestClient(app, base_url=HERE, headers={"origin": HERE}, raise_server_exceptions=False) as client:
        yield client


def sent(polygons: object, expected: str | None = None, **more: object) -> dict[str, object]:
    return {"category": "cloth", "polygons": polygons, "expected": expected, **more}


def test_a_region_is_in_the_store_when_it_is_answered(
    client: TestClient, store: LocalStore, keys: dict[str, str]
) -> None:
    answer = client.post("/api/regions", json=sent([CORNER], key=keys["far.png"]))
    assert answer.status_code == 200, answer.text
    region = read_region(store, "cloth")
    assert region is not None
    assert (region.drawn_by, region.drawn_on) == ("ann", keys["far.png"])
    said = " ".join(answer.json()["next"])
    for words in ("scored stay as they are", "keeps scoring cloth with the region that it was trained with",
                  "rd-inspect recalibrate --category cloth", "rd-inspect train --category cloth"):  # fmt: skip
        assert words in said
    shown = client.get("/api/regions", params={"category": "cloth"}).json()
    assert shown["region"]["digest"] == region.digest
    assert shown["versions"][0]["words"].startswith("1 region, by ann at ")
    assert "v1, scores with another region" in shown["champion"]
    client.post("/api/regions", json=sent([], region.digest))
    shown = client.get("/api/regions", params={"category": "cloth"}).json()
    assert shown["champion"] == "The model in force, v1, scores with this region."


def test_the_second_of_two_people_sees_what_the_first_saved(client: TestClient, store: LocalStore) -> None:
    first = save_region(store, "cloth", drawn([CORNER], by="bo", at=NOW), expected=None)
    answer = client.post("/api/regions", json=sent([CORNER, CORNER]))
    assert answer.status_code == 409
    assert "bo saved another region" in answer.json()["error"]
    assert answer.json()["region"]["digest"] == first.digest
    assert client.post("/api/regions", json=sent([CORNER, CORNER], first.digest)).status_code == 200
    assert [version.drawn_by for version in read_history(store, "cloth")] == ["ann", "bo"]


@pytest.mark.parametrize(
    ("body", "status", "why"),
    [
        (sent([[[0, 0], [1, 1]]]), 422, "polygon 1 has 2 different points"),
        (sent([[[0, 0], [2, 0], [1, 1]]]), 422, "outside the image"),
        (sent([[[0, 0], [1, 0], [1, 1], [0, 1]]]), 422, "nothing would be left"),
        (sent("all"), 422, "list of polygons"),
        ({"category": "cloth", "polygons": [CORNER], "expected": 3}, 422, "expected"),
        ({**sent([CORNER]), "category": "silk"}, 404, "'silk' is not reviewed here"),
        ({**sent([CORNER]), "category": ["cloth"]}, 404, "is not reviewed here"),
    ],
)
def test_what_is_refused_is_not_saved(
    client: TestClient, store: LocalStore, body: dict[str, object], status: int, why: str
) -> None:
    answer = client.post("/api/regions", json=body)
    assert (answer.status_code, why in answer.json()["error"]) == (status, True), answer.text
    assert read_history(store, "cloth") == ()


def test_nobody_draws_without_a_name(desk: Desk, store: LocalStore) -> None:
    with TestClient(create_app(desk, hosts={"127.0.0.1"}), base_url=HERE, headers={"origin": HERE}) as nameless:
        assert nameless.post("/api/regions", json=sent([CORNER])).json()["need"] == "reviewer"
    assert read_history(store, "cloth") == ()


def test_another_image_than_the_categorys_is_neither_shown_nor_named(client: TestClient, store: LocalStore) -> None:
    store.write("images/silk/2026-03-02/a.png", b"another category's")
    for key in ("images/silk/2026-03-02/a.png", "models/cloth/v1/card.json", "images/cloth/../silk/a.png", ""):
        assert client.get("/regions/picture", params={"category": "cloth", "key": key}).status_code == 404
    client.post("/api/regions", json=sent([CORNER], key="images/silk/2026-03-02/a.png"))
    assert read_history(store, "cloth")[0].drawn_on is None


def test_labelled_normals_are_drawn_over_one_by_one_or_as_their_mean(client: TestClient, store: LocalStore) -> None:
    keys = [f"images/cloth/2026-03-01/{level}.png" for level in (10, 20, 60)]
    for key, level in zip(keys, (10, 20, 60), strict=True):
        out = io.BytesIO()
        Image.new("RGB", (30, 20), (level, level, level)).save(out, "PNG")
        store.write(key, out.getvalue())
    write_labels(store, "cloth", [Label(key, "normal", None, "ann", NOW) for key in keys], "first")
    assert client.get("/api/regions", params={"category": "cloth"}).json()["images"] == keys
    for path, query, level in (("picture", {"key": keys[2]}, 60), ("mean", {}, 30)):
        answer = client.get(f"/regions/{path}", params={"category": "cloth", **query})
        pixels = np.asarray(Image.open(io.BytesIO(answer.content)).convert("RGB"))
        assert (pixels.shape, set(pixels.ravel().tolist())) == ((20, 30, 3), {level})


def test_a_mask_is_laid_over_the_picture(client: TestClient, store: LocalStore) -> None:
    mask = np.zeros((20, 30), np.bool_)
    mask[:5] = True
    region = masked(mask_png(mask), by="ann", at=datetime(2026, 3, 3, tzinfo=UTC))
    save_region(store, "cloth", region, expected=None)
    drawn_over = client.get("/regions/mask", params={"category": "cloth"})
    alpha = np.asarray(Image.open(io.BytesIO(drawn_over.content)))[..., 3]
    np.testing.assert_array_equal(alpha > 0, mask)
    answer = client.post("/api/regions", json=sent([], region.digest))
    assert answer.json()["region"] is None
    assert [version.mask is None for version in read_history(store, "cloth")] == [True, False]


def test_a_damaged_file_is_told_and_not_replaced(client: TestClient, store: LocalStore) -> None:
    store.write("regions/cloth.json", b"{}")
    assert "regions/cloth.json" in client.get("/api/regions", params={"category": "cloth"}).json()["error"]
    assert client.post("/api/regions", json=sent([CORNER])).status_code == 503
    assert store.read("regions/cloth.json") == b"{}"


def test_the_page_offers_categories_without_a_night(store: LocalStore, desk_of: Callable[..., Desk]) -> None:
    write_labels(store, "silk", [Label("images/silk/2026-03-01/0.png", "normal", None, "ann", NOW)], "first")
    app = create_app(desk_of(store, store), hosts={"127.0.0.1"})
    with TestClient(app, base_url=HERE, headers={"origin": HERE}) as client:
        page = client.get("/regions").text
        assert 'data-category="silk"' in page
        assert client.post("/api/regions", json={**sent([CORNER]), "category": "silk"}).status_code == 403
        assert client.get("/regions?category=nylon").status_code == 404


def crop_champion(store: LocalStore, crop: Crop) -> None:
    """Put a model in force that sees this rectangle."""
    view = ImageView(8, 8, crop).to_dict()
    publish_made_up(store, "cloth", "cropping", preprocessing={"view": view})
    promote(store, "cloth", "cropping", by="test", now=NOW)


@pytest.mark.parametrize(
    ("crop", "shares"),
    [([50, 60, 100, 120], [0.2, 0.25, 0.4, 0.5]), ([0.0, 0.5, 1.0, 0.5], [0.5, 0, 0.5, 1]), (None, None)],
)
def test_the_crop_of_the_model_in_force_is_told_in_shares_of_the_images(
    client: TestClient, store: LocalStore, crop: list[float] | None, shares: list[float] | None
) -> None:
    out = io.BytesIO()
    Image.new("RGB", (300, 200)).save(out, "PNG")
    store.write("images/cloth/2026-03-01/0.png", out.getvalue())
    write_labels(store, "cloth", [Label("images/cloth/2026-03-01/0.png", "normal", None, "ann", NOW)], "first")
    if crop:
        crop_champion(store, Crop.of(crop))
    assert client.get("/api/regions", params={"category": "cloth"}).json()["crop"] == shares
    save = client.post("/api/regions", json=sent([[[0.1, 0.1], [0.11, 0.1], [0.11, 0.11]]])).json()
    assert save["crop"] == shares
    assert ("too small" in save["next"][0]) == (crop is None)  # with the crops it lies outside
