"""The review page in a real browser, worked with the keyboard."""

from collections.abc import Callable, Iterator

import pytest

from review.app import create_app
from review.desk import Desk
from storage.errors import TransientFault
from storage.filesystem import LocalStore, Store
from storage.labels import labels
from storage.labels.labels import Label, read_label_history
from tests.review.chromium import CHROMIUM, Tab, chromium
from tests.review.night import Scored, put_night
from tests.review.serving import served

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed: the page is not worked with")

DRAWN = """["picture", "overlay", "normal"].every(id => {
  const image = document.getElementById(id);
  return !image.hidden && image.complete && image.naturalWidth > 0;
})"""
IMAGE = "document.getElementById('name').textContent.split('/').pop()"
ODD = "'\"><img src=x onerror=alert(1)>.png"
NIGHT = {"a.png": Scored(1.01, 0.01), "b.png": Scored(1.1, 0.01), "c.png": Scored(1.2, 0.01), ODD: Scored(1.3, 0.01)}


class MoodyStore(LocalStore):
    """A store that takes no labels while it is told so."""

    failing = False

    def _write(self, key: str, data: bytes) -> None:
        self._refuse()
        super()._write(key, data)

    def _create(self, key: str, data: bytes) -> None:
        self._refuse()
        super()._create(key, data)

    def _replace(self, key: str, data: bytes, etag: str) -> None:
        self._refuse()
        super()._replace(key, data, etag)

    def _refuse(self) -> None:
        if self.failing:
            raise TransientFault("injected: the store is away")


def words(store: Store) -> list[tuple[str, str, str | None]]:
    history = labels.to_labels(read_label_history(store, "cloth"))
    return [(label.image_key.rpartition("/")[2], label.label, label.labelled_by) for label in history]


def shows(tab: Tab, name: str) -> None:
    """Wait until this image and all its pictures are drawn."""
    tab.wait(f"{IMAGE} === {name!r} && {DRAWN}")


def left(tab: Tab) -> str:
    return str(tab.run("document.getElementById('left').textContent"))


def told(tab: Tab, text: str) -> None:
    tab.wait(f"document.getElementById('told').textContent.includes({text!r})")


@pytest.fixture(scope="module")
def tab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tab]:
    """One browser for all of them: it takes longer to start than to work a page."""
    with chromium(tmp_path_factory.mktemp("profile")) as tab:
        yield tab


def test_a_shift_at_the_page(store: LocalStore, desk_of: Callable[..., Desk], tab: Tab) -> None:
    put_night(store, found=NIGHT)
    moody = MoodyStore(store.root)
    app = create_app(desk_of(moody, store), hosts={"127.0.0.1"})
    with served(app) as url:
        tab.messages.clear()
        tab.view(1280, 860)
        tab.open(url)
        _give_name(tab)
        _label_and_undo(tab, store)
        _reload(tab, store)
        _lose_the_store(tab, moody)
        _look_at_odd_name(tab)
        _walk_a_list(tab, url)
        _zoom(tab)
        _fits_a_phone(tab, url)
        assert [message for message in tab.messages if "503" not in message] == []


def _give_name(tab: Tab) -> None:
    tab.wait("document.getElementById('naming').open")
    tab.press("n")  # is written into the field, and labels nothing
    tab.write(" <b>O'Neil</b>")
    tab.press("Enter")
    shows(tab, "a.png")
    assert tab.run("document.getElementById('who').textContent") == "n <b>O'Neil</b>"


def _label_and_undo(tab: Tab, store: Store) -> None:
    who = "n <b>O'Neil</b>"
    tab.press("n")
    shows(tab, "b.png")
    told(tab, "a.png is normal, for training")
    assert left(tab) == "3 images to label"
    _choose(tab, "evaluation")
    assert words(store) == [("a.png", "normal", who)]
    tab.run("document.getElementById('kind').focus()")
    for letter in "dn":  # letters in the field are no commands
        tab.press(letter)
    tab.press("Enter")
    shows(tab, "c.png")
    told(tab, "b.png is anomalous, for evaluation")
    tab.press("z")
    shows(tab, "b.png")
    told(tab, "Taken back")
    assert words(store)[1:] == [("b.png", "anomalous", who), ("b.png", "withdrawn", who)]
    [defect] = [label for label in labels.to_labels(read_label_history(store, "cloth")) if label.kind]
    assert isinstance(defect, Label)
    assert (defect.kind, defect.model_version, defect.purpose) == ("dn", "v1", "evaluation")
    said = "document.getElementById('before-words').textContent"
    tab.wait(f"{said}.includes('labelled it anomalous (dn) on') && {said}.includes(', for evaluation.')")
    assert left(tab) == "3 images to label"


def _choose(tab: Tab, purpose: str) -> None:
    tab.run(f"document.getElementById('purpose').value = {purpose!r}; document.getElementById('purpose').onchange()")


def _reload(tab: Tab, store: Store) -> None:
    tab.press("d")
    shows(tab, "c.png")
    tab.reload()
    shows(tab, "c.png")
    assert [word for name, word, _ in words(store) if name == "b.png"][-1] == "anomalous"
    tab.press("ArrowRight")
    shows(tab, ODD)
    tab.press("ArrowLeft")
    shows(tab, "c.png")
    assert left(tab) == "2 images to label"
    assert tab.run("document.getElementById('purpose').value") == "evaluation"  # as long as the page is open
    _choose(tab, "")
    tab.press("z")  # still known after the reload
    shows(tab, "b.png")
    told(tab, "Taken back")
    tab.press("d")
    shows(tab, "c.png")


def _lose_the_store(tab: Tab, store: MoodyStore) -> None:
    store.failing = True
    tab.press("u")
    tab.wait("!document.getElementById('failure').hidden")
    assert "the store is away" in tab.run("document.getElementById('failure').textContent")
    shows(tab, ODD)
    assert left(tab) == "1 image to label"  # one label is one image, on its way or kept
    tab.reload()
    tab.wait("!document.getElementById('failure').hidden")
    store.failing = False
    tab.wait("document.getElementById('failure').hidden")
    told(tab, "c.png is unsure")
    assert left(tab) == "1 image to label"
    assert [word for name, word, _ in words(store) if name == "c.png"] == ["unsure"]


def _look_at_odd_name(tab: Tab) -> None:
    tab.open(tab.run("location.origin"))
    shows(tab, ODD)
    assert tab.run("document.querySelectorAll('img').length") == 3


def _walk_a_list(tab: Tab, url: str) -> None:
    """Every image that is worth a look, whoever labelled it; a link leads into the middle of it."""
    tab.open(f"{url}/list?show=look&sort=highest")
    tab.run("document.querySelectorAll('.cards a')[1].click()")
    shows(tab, "c.png")
    assert left(tab) == "2 of 4 images"
    tab.press("ArrowLeft")
    shows(tab, ODD)
    tab.press("ArrowRight")
    tab.press("ArrowRight")
    shows(tab, "b.png")
    tab.press("d")
    shows(tab, "a.png")
    assert left(tab) == "4 of 4 images"
    tab.reload()  # the address has come along
    shows(tab, "a.png")
    tab.open(url)
    shows(tab, ODD)


def _zoom(tab: Tab) -> None:
    transform = "getComputedStyle(document.querySelector('#normal-frame .stage')).transform"
    tab.press("+")
    tab.wait(f"{transform}.startsWith('matrix(1.5')")
    tab.press("0")
    tab.wait(f"{transform}.startsWith('matrix(1,')")
    tab.run("document.getElementById('opacity').value = 20; document.getElementById('opacity').oninput()")
    assert tab.run("getComputedStyle(document.getElementById('overlay')).opacity") == "0.2"


def _fits_a_phone(tab: Tab, url: str) -> None:
    tab.view(360, 740, phone=True)
    for path in ("/", "/audit", "/list?show=all&day=2026-03-02"):
        tab.open(url + path)
        if path == "/":
            tab.wait(DRAWN)
        assert tab.run("document.documentElement.scrollWidth") <= 360


def test_who_labels_quickly_sees_every_image_once(store: Store, desk_of: Callable[..., Desk], tab: Tab) -> None:
    """Many pages of the queue, while the labels of the last are still on their way."""
    names = {f"{number:03}.png": Scored(1.01 + number / 100, 0.01) for number in range(30)}
    put_night(store, found=names)
    done = "!document.getElementById('nothing').hidden"
    app = create_app(desk_of(store, store), hosts={"127.0.0.1"}, reviewer="ann")
    with served(app) as url:
        tab.view(1280, 860)
        tab.open(url)
        seen: list[str] = []
        while not tab.run(done):
            shown = tab.run(IMAGE)
            if not shown or seen[-1:] == [shown]:
                continue
            seen.append(shown)
            tab.press("n")
        tab.wait("JSON.parse(sessionStorage.getItem('outbox') || '[]').length === 0")
    assert sorted(seen) == sorted(names)
    assert sorted(name for name, _, _ in words(store)) == sorted(names)
