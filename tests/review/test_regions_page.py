"""Drawing ignored regions in a real browser, with the mouse and with the keyboard alone."""

from collections.abc import Callable, Iterator

import numpy as np
import pytest
from numpy.typing import NDArray

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
from tests.review.chromium import CHROMIUM, Tab, chromium
from tests.review.night import NOW, png, put_night
from tests.review.serving import served

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed: the page is not worked with")

NORMALS = [f"images/cloth/2026-03-01/{name}.png" for name in "ab"]
DRAWN = "!document.getElementById('picture').hidden && document.getElementById('picture').naturalWidth > 0"
SHAPES = "[...document.querySelectorAll('#drawing polygon[data-what]')].map(one => one.getAttribute('points'))"


@pytest.fixture(scope="module")
def tab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tab]:
    with chromium(tmp_path_factory.mktemp("profile")) as tab:
        yield tab


@pytest.fixture
def page(store: LocalStore, desk_of: Callable[..., Desk], tab: Tab) -> Iterator[str]:
    put_night(store)
    for seed, key in enumerate(NORMALS):
        store.write(key, png(seed, (100, 200)))
    write_labels(store, "cloth", [Label(key, "normal", None, "ann", NOW) for key in NORMALS], "first")
    app = create_app(desk_of(store, store), hosts={"127.0.0.1"}, reviewer="ann")
    with served(app) as url:
        tab.messages.clear()
        tab.view(1280, 860)
        tab.open(url)
        tab.run("sessionStorage.clear()")
        tab.open(f"{url}/regions?category=cloth")
        tab.wait(DRAWN)
        yield url
        tab.run("window.onbeforeunload = null; sessionStorage.clear()")


def text(tab: Tab, name: str) -> str:
    return str(tab.run(f"document.getElementById({name!r}).textContent"))


def focused(tab: Tab) -> str | None:
    found = tab.run("document.activeElement.dataset.what ?? document.activeElement.id")
    return None if found is None else str(found)


def mouse(tab: Tab, kind: str, x: float, y: float, clicks: int = 1) -> None:
    """`x`, `y`: shares of the picture."""
    box = tab.run("(({left, top, width, height}) => [left, top, width, height])"
                  "(document.getElementById('drawing').getBoundingClientRect())")  # fmt: skip
    tab.send(
        "Input.dispatchMouseEvent", type=kind, x=box[0] + x * box[2], y=box[1] + y * box[3],
        button="none" if kind == "mouseMoved" else "left", buttons=1, clickCount=clicks,
    )  # fmt: skip


def drag(tab: Tab, start: tuple[float, float], end: tuple[float, float]) -> None:
    mouse(tab, "mousePressed", *start)
    mouse(tab, "mouseMoved", (start[0] + end[0]) / 2, (start[1] + end[1]) / 2)
    mouse(tab, "mouseMoved", *end)
    mouse(tab, "mouseReleased", *end)


def click(tab: Tab, x: float, y: float, clicks: int = 1) -> None:
    mouse(tab, "mousePressed", x, y, clicks)
    mouse(tab, "mouseReleased", x, y, clicks)


def saved(tab: Tab, store: LocalStore) -> list[NDArray[np.float64]]:
    tab.run("document.getElementById('save').click()")
    tab.wait("document.getElementById('state').textContent.includes('in force')")
    region = read_region(store, "cloth")
    assert region is not None
    return [np.array(polygon) for polygon in region.polygons]


def test_with_the_keyboard_alone(tab: Tab, page: str, store: LocalStore) -> None:
    tab.run("document.querySelector('.skip').focus()")
    tab.press("Enter")  # the skip link leads to the picture
    tab.wait("location.hash === '#sheet'")
    tab.run("document.getElementById('sheet').focus()")
    tab.press("Enter")
    assert focused(tab) == "0 -"
    assert text(tab, "told") == "Region 1 drawn, 4 points."
    tab.press("Tab")
    assert focused(tab) == "0 0"
    for _ in range(2):
        tab.press("ArrowLeft")
    assert "39.0 % from the left, 40.0 % from the top" in text(tab, "told")
    tab.press("Escape")  # both moves are one
    assert tab.run(SHAPES) == ["80,40 120,40 120,60 80,60"]
    tab.run("document.querySelector('[data-what=\"0 3\"]').focus()")
    tab.press("Enter")
    assert focused(tab) == "0 4"
    tab.press("ArrowLeft")
    tab.press("ArrowUp")
    tab.run("document.querySelector('[data-what=\"0 1\"]').focus()")
    tab.press("Delete")
    assert focused(tab) == "0 1"
    assert tab.run(SHAPES) == ["80,40 120,60 80,60 79,49.5"]
    tab.press("z")
    tab.press("z")
    assert tab.run(SHAPES) == ["80,40 120,40 120,60 80,60 80,50"]
    [kept] = saved(tab, store)
    assert kept.tolist() == [[0.4, 0.4], [0.6, 0.4], [0.6, 0.6], [0.4, 0.6], [0.4, 0.5]]
    said = text(tab, "next")
    assert "Days that are scored stay as they are." in said
    assert "rd-inspect recalibrate --category cloth" in said
    assert tab.messages == []


def test_with_the_mouse(tab: Tab, page: str, store: LocalStore) -> None:
    drag(tab, (0.5, 0.5), (0.25, 0.25))
    [box] = saved(tab, store)
    assert box == pytest.approx(np.array([[0.25, 0.25], [0.5, 0.25], [0.5, 0.5], [0.25, 0.5]]), abs=0.003)
    tab.run("document.querySelector('[value=polygon]').click()")
    for x, y in ((0.7, 0.1), (0.9, 0.1), (0.8, 0.4)):
        click(tab, x, y)
    assert "Enter closes it" in text(tab, "state")
    click(tab, 0.701, 0.101)  # at the first point
    drag(tab, (0.9, 0.1), (0.95, 0.05))  # a point
    drag(tab, (0.3, 0.3), (0.3, 0.5))  # a region, as a whole
    box, polygon = saved(tab, store)
    assert polygon == pytest.approx(np.array([[0.7, 0.1], [0.95, 0.05], [0.8, 0.4]]), abs=0.006)
    assert box == pytest.approx(np.array([[0.25, 0.45], [0.5, 0.45], [0.5, 0.7], [0.25, 0.7]]), abs=0.006)
    assert [version.drawn_on for version in read_history(store, "cloth")] == [NORMALS[0]] * 2


def test_two_people_at_once_and_a_reload(tab: Tab, page: str, store: LocalStore) -> None:
    drag(tab, (0.1, 0.1), (0.2, 0.2))
    tab.reload()
    tab.wait(DRAWN)
    assert len(tab.run(SHAPES)) == 1  # what was drawn is still there
    theirs = drawn([[[0, 0], [0.5, 0], [0.5, 0.5]]], by="bo", at=NOW)
    save_region(store, "cloth", theirs, expected=None)
    tab.run("document.getElementById('save').click()")
    tab.wait("document.getElementById('failure').textContent.includes('bo saved another region')")
    assert tab.run(SHAPES) == ["0,0 100,0 100,50"]
    tab.press("z")
    assert len(tab.run(SHAPES)) == 1
    assert "Not saved yet" in text(tab, "state")
    [mine] = saved(tab, store)
    assert mine == pytest.approx(np.array([[0.1, 0.1], [0.2, 0.1], [0.2, 0.2], [0.1, 0.2]]), abs=0.003)
    assert [version.drawn_by for version in read_history(store, "cloth")] == ["ann", "bo"]
    tab.run("document.querySelector('#versions button').click()")
    assert tab.run(SHAPES) == ["0,0 100,0 100,50"]
    tab.run("document.getElementById('nothing').click()")
    tab.run("document.getElementById('save').click()")
    tab.wait("document.getElementById('state').textContent.includes('Nothing is ignored')")
    assert read_region(store, "cloth") is None


def test_a_mask_is_shown_and_taken_away(tab: Tab, page: str, store: LocalStore) -> None:
    mask = np.zeros((100, 200), np.bool_)
    mask[:, :50] = True
    save_region(store, "cloth", masked(mask_png(mask), by="bo", at=NOW), expected=None)
    tab.reload()
    tab.wait(DRAWN)
    tab.wait("!document.getElementById('mask').hidden && document.getElementById('mask').naturalWidth === 200")
    assert text(tab, "count") == "A mask image."
    assert "scores with another region" in text(tab, "champion")
    tab.run("document.getElementById('nothing').click()")
    assert "Not saved yet" in text(tab, "state")
    tab.run("document.getElementById('save').click()")
    tab.wait("document.getElementById('state').textContent.includes('Nothing is ignored')")
    assert read_region(store, "cloth") is None
    assert tab.run("document.getElementById('mask').hidden")
    assert "scores with this region" in text(tab, "champion")


def test_what_the_crop_leaves_out_is_dark(tab: Tab, page: str, store: LocalStore) -> None:
    view = ImageView(8, 8, Crop.of([10, 40, 50, 100])).to_dict()
    publish_made_up(store, "cloth", "cropping", preprocessing={"view": view})
    promote(store, "cloth", "cropping", by="test", now=NOW)
    tab.reload()
    tab.wait(DRAWN)
    tab.wait("document.querySelector('#drawing .crop')")
    box = "(({x, y, width, height}) => [x, y, width, height])(document.querySelector('#drawing .crop').getBBox())"
    assert tab.run(box) == [0, 0, 200, 100]
    assert "M40,10v50h100v-50Z" in tab.run("document.querySelector('#drawing .crop').getAttribute('d')")
    assert "It sees the bright rectangle alone." in text(tab, "champion")
    drag(tab, (0.5, 0.5), (0.25, 0.25))
    assert len(saved(tab, store)) == 1


def test_it_fits_a_phone(tab: Tab, page: str) -> None:
    tab.view(360, 740, phone=True)
    tab.reload()
    tab.wait(DRAWN)
    assert tab.run("document.documentElement.scrollWidth") <= 360
