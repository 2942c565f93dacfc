"""The web app: who comes in, what goes out, and that no label is lost."""

import io
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from html.parser import HTMLParser
from urllib.parse import quote
from zoneinfo import ZoneInfo

import pytest
from PIL import Image
from starlette.testclient import TestClient

from review import app
from review.access import Guard, is_loopback
from review.app import create_app
from review.desk import Desk
from storage.errors import StorageError
from storage.filesystem import LocalStore, Store, open_store
from storage.labels import labels
from storage.labels.labels import Label, append_label, read_label_history
from tests.object_stores import Bucket
from tests.review.night import NOW, Scored, png, put_night
from tests.storage.faulty_store import FaultyStore

HERE = "http://127.0.0.1:8010"
HOSTS = {"127.0.0.1", "localhost"}
TOKEN = "a long secret, with ümlaut & signs"
ODD = "\"><script>alert('x')<script> ü 漢 #?&%2e.png"
OWN = {"origin": HERE}


class Page(HTMLParser):
    """What stands in a page, as a browser takes it apart."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict]] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text += data

    def all(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]


Browsers = Callable[..., TestClient]


@pytest.fixture
def browser() -> Iterator[Browsers]:
    """Opens the page of a desk. Each stays open for the whole test: that is quicker than a loop a request."""
    with ExitStack() as opened:

        def browse(desk: Desk, reviewer: str | None = "ann", **options: object) -> TestClient:
            made = create_app(desk, reviewer=reviewer, **{"hosts": HOSTS, **options})
            client = TestClient(
                made, base_url=HERE, follow_redirects=False, headers=OWN, raise_server_exceptions=False
            )
            return opened.enter_context(client)

        yield browse


@pytest.fixture
def client(desk: Desk, browser: Browsers) -> TestClient:
    return browser(desk)


@pytest.fixture(scope="module")
def still(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """A desk that nobody labels at, shared by tests that look alone."""
    store = LocalStore(tmp_path_factory.mktemp("still"))
    put_night(store)
    desk = Desk(store, store)
    yield desk
    desk.close()


@pytest.fixture
def onlooker(still: Desk, browser: Browsers) -> TestClient:
    return browser(still)


def post(client: TestClient, desk: Desk, key: str, word: str = "normal", **headers: str):
    return client.post("/api/label", json={"key": key, "etag": desk.row(key).etag, "word": word}, headers=headers)


def history(store: Store) -> list[Label]:
    return labels.to_labels(read_label_history(store, "cloth"))


def test_a_label_is_in_the_store_when_it_is_answered(client, desk, store, keys) -> None:
    [first, *_] = client.get("/api/list").json()["rows"]
    sent = {"key": first["key"], "etag": first["etag"], "word": "anomalous", "kind": "dent"}
    answer = client.post("/api/label", json=sent)
    assert answer.status_code == 200
    [label] = history(store)
    assert (label.image_key, label.label, label.labelled_by) == (keys["near.png"], "anomalous", "ann")
    taken = client.post("/api/undo", json={"key": first["key"], "labelled_at": answer.json()["labelled_at"]})
    assert taken.json()["word"] == "withdrawn"
    assert [word.label for word in history(store)] == ["anomalous", "withdrawn"]


def test_pictures(onlooker) -> None:
    for path in ("/picture", "/overlay", "/nearest"):
        answer = onlooker.get(path, params={"key": "images/cloth/2026-03-02/far.png"})
        assert (answer.status_code, answer.headers["content-type"]) == (200, "image/webp")
    assert (
        onlooker.get("/api/nearest", params={"key": "images/cloth/2026-03-02/far.png"}).json()["nearest"]["distance"]
        == "0.0"
    )


def test_nobody_labels_without_a_name(desk, store, keys, browser: Browsers) -> None:
    nameless = browser(desk, reviewer=None)
    answer = post(nameless, desk, keys["far.png"])
    assert (answer.status_code, answer.json()["need"]) == (403, "reviewer")
    assert nameless.post("/api/reviewer", json={"name": " \x00 "}).status_code == 400
    nameless.post("/api/reviewer", json={"name": "  Zoë; Path=/ O'Neil"})
    assert post(nameless, desk, keys["far.png"]).status_code == 200
    assert [label.labelled_by for label in history(store)] == ["Zoë; Path=/ O'Neil"]


def test_a_link_leads_to_the_same_list(onlooker) -> None:
    far = "images/cloth/2026-03-02/far.png"
    page = Page(onlooker.get("/list?show=look&day=2026-03-02&category=cloth&sort=highest").text)
    assert "3 images: cloth, 2 March 2026, look at these first, highest score first" in page.text
    links = [a["href"] for a in page.all("a") if "&key=" in a.get("href", "")]
    assert links[0] == f"/?show=look&category=cloth&day=2026-03-02&sort=highest&key={quote(far, safe='')}"
    rows = onlooker.get(links[0].replace("/?", "/api/list?", 1)).json()["rows"]
    assert [row["short_name"] for row in rows] == ["far.png", "near.png", "borderline.png"]
    form = onlooker.get("/list?day=2026-03-02&show=look&by=&from=&to=1,1&label=&category=&sort=first&page=2")
    assert (form.status_code, form.headers["location"]) == (303, "/list?show=look&day=2026-03-02&to=1.1&page=2")


def test_pages_of_a_list(onlooker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app, "_LIST_PAGE", 3)
    pages = [Page(onlooker.get(f"/list?show=all&day=2026-03-02&page={number}").text) for number in (1, 2, 9)]
    assert [len(page.all("img")) for page in pages] == [3, 1, 0]
    assert "page 1 of 2" in pages[0].text and "The list has 2 pages" in pages[2].text
    [back] = [a["href"] for a in pages[1].all("a") if a.get("rel") == "prev"]
    assert back == "/list?show=all&day=2026-03-02&page=1"


def test_a_wrong_address_is_told_in_words(onlooker) -> None:
    for path in ("/", "/list", "/api/list"):
        answer = onlooker.get(f"{path}?show=flaged", headers={"accept": "text/html"})
        assert answer.status_code == 400
        assert "show=" in answer.text and "not-flagged" in answer.text
    assert onlooker.get("/list?category=nothing", headers={"accept": "text/html"}).status_code == 404
    assert "To label" in onlooker.get("/list?day=yesterday", headers={"accept": "text/html"}).text


def test_no_picture_in_a_list_looks_broken(store, desk_of, browser: Browsers) -> None:
    found = {name: Scored(1.5, 0.01) for name in ("there.png", "gone.png", "changed.png", "mapless.png")}
    keys = put_night(store, found={**found, "cut.png": Scored(0, 0, status="unreadable")})
    store.root.joinpath(keys["gone.png"]).unlink()
    store.write(keys["changed.png"], png(9))
    client = browser(desk_of(store, store))
    told = {name: client.get("/thumbnail", params={"key": key}) for name, key in keys.items()}
    assert {answer.status_code for answer in told.values()} == {200}
    assert told.pop("there.png").headers["content-type"] == "image/webp"
    for name, word in (("gone.png", "missing since"), ("changed.png", "changed since"), ("cut.png", "no picture")):
        assert (told[name].headers["content-type"], word in told[name].text) == ("image/svg+xml", True)
    shutil.rmtree(store.root / "maps")
    plain = browser(desk_of(store, store)).get("/thumbnail", params={"key": keys["mapless.png"]})
    assert (plain.status_code, plain.headers["content-type"]) == (200, "image/webp")
    lost = client.get("/overlay", params={"key": keys["mapless.png"]})
    assert (lost.status_code, "maps/cloth" in lost.json()["error"]) == (404, True)
    text = Page(client.get("/list?show=all&day=2026-03-02").text).text
    assert "unreadable" in text and "the file is cut off" in text


def test_the_full_picture_has_every_pixel(store, desk_of, browser: Browsers) -> None:
    key = put_night(store, found={"wide.png": Scored(1.5, 0.01)}, size=(20, 2100))["wide.png"]
    client = browser(desk_of(store, store))
    sizes = [Image.open(io.BytesIO(client.get(f"{path}?key={key}").content)).size for path in ("/picture", "/full")]
    assert sizes == [(2048, 20), (2100, 20)]


# Who comes in


def test_without_the_token_nothing_is_served(still, browser: Browsers) -> None:
    client = browser(still, token=TOKEN, hosts=None)
    for cookie in ("", "wrong", TOKEN):
        client.cookies.set("rd_inspect_review", quote(cookie))
        for path in ("/", "/list", "/audit", "/api/list", "/static/review.js", "/picture", "/full", "/nowhere"):
            for wrong in ("", "?token=", "?token=wrong", f"?token={quote(TOKEN[:-1])}"):
                assert client.get(path + wrong).status_code == 401


def test_with_the_token_everything_is_served_and_it_leaves_the_address(desk, keys, browser: Browsers) -> None:
    client = browser(desk, token=TOKEN, hosts=None)
    assert post(client, desk, keys["far.png"]).status_code == 401
    answer = client.get("/audit", params={"token": TOKEN, "category": "cloth"})
    assert (answer.status_code, answer.headers["location"]) == (303, "/audit?category=cloth")
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=lax" in cookie
    assert "secret" not in cookie
    assert client.get("/audit").status_code == 200
    assert client.get("/", params={"token": TOKEN}).headers["location"] == "/"
    assert post(client, desk, keys["far.png"]).status_code == 200


def test_the_token_sends_nobody_elsewhere(still, browser: Browsers) -> None:
    client = browser(still, token=TOKEN, hosts=None)
    answer = client.get(f"{HERE}//evil.example/", params={"token": TOKEN})
    assert answer.headers["location"] == "/evil.example/"


def test_labels_from_other_pages_are_refused(client, desk, store, keys) -> None:
    elsewhere = (
        "",
        "null",
        "http://evil.example",
        "http://127.0.0.1:9999",
        "http://127.0.0.1",
        f"{HERE}.evil.example",
    )
    for origin in elsewhere:
        for path in ("/api/label", "/api/undo", "/api/reviewer"):
            assert client.post(path, json={"name": "eve"}, headers={"origin": origin}).status_code == 403
        assert post(client, desk, keys["far.png"], origin=origin).status_code == 403
    assert history(store) == []


def test_a_name_that_was_made_to_lead_here_is_not_served(desk, store, keys, browser: Browsers) -> None:
    client = browser(desk)
    evil = {"host": "evil.example:8010", "origin": "http://evil.example:8010"}
    assert client.get("/", headers=evil).status_code == 421
    assert post(client, desk, keys["far.png"], **evil).status_code == 421
    assert history(store) == []


def test_there_is_no_open_door() -> None:
    with pytest.raises(ValueError, match="token nor hosts"):
        Guard(lambda *_: None, token=None, hosts=None)
    assert [is_loopback(host) for host in ("127.0.0.1", "::1", "localhost", "127.1.2.3")] == [True] * 4
    assert [is_loopback(host) for host in ("0.0.0.0", "::", "10.0.0.1", "plant.example", "")] == [False] * 5


# What goes out


def test_every_answer_tells_the_browser_to_run_nothing_else(onlooker) -> None:
    for path in ("/", "/list", "/audit", "/api/list", "/static/review.css", "/api/row?key=x", "/nowhere"):
        headers = onlooker.get(path).headers
        assert "default-src 'none'" in headers["content-security-policy"]
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"


def test_names_from_outside_are_shown_and_never_run(store, desk_of, browser: Browsers) -> None:
    keys = put_night(store, found={ODD: Scored(1.5, 0.01)})
    append_label(store, "cloth", Label(keys[ODD], "normal", None, None, NOW, ODD), reviewer=ODD)
    desk = desk_of(store, store)
    client = browser(desk, reviewer="<img src=x onerror=alert(1)>")
    assert post(client, desk, keys[ODD], "anomalous").status_code == 200
    for path in ("/list?show=look", "/", "/audit"):
        page = Page(client.get(path).text)
        assert {script["src"] for script in page.all("script")} <= {
            "/static/review.js", "/static/zoom.js", "/static/outbox.js", "/static/count.js",
        }  # fmt: skip
        assert [image.get("id") for image in page.all("img")] in ([], [None], ["picture", "overlay", "normal"])
        assert not any(name.startswith("on") or name == "style" for _, found in page.elements for name in found)
    assert ODD in page.text
    [link] = {a["href"] for a in page.all("a") if a["href"].startswith("/?key")}
    assert client.get(link.replace("/?", "/api/row?")).json()["key"] == keys[ODD]
    assert client.get("/picture", params={"key": keys[ODD]}).status_code == 200


def test_no_path_leads_elsewhere(client, store, keys) -> None:
    store.write("categories.toml", b"[defaults]")
    for key in (
        "../../etc/passwd", "images/../categories.toml", "categories.toml", "/etc/passwd", "%2e%2e/x", "a\0b", "",
        "models/cloth/champion.json", "images/cloth/2026-03-01/other.png", "x" * 5000,
    ):  # fmt: skip
        for path in ("/picture", "/full", "/thumbnail", "/overlay", "/nearest", "/api/row", "/api/nearest"):
            assert client.get(path, params={"key": key}).status_code in (400, 404)
    for path in ("/static/../app.py", "/static/..%2fapp.py", "/static/%2e%2e/app.py", "/static//etc/passwd"):
        assert client.get(path).status_code == 404


def test_what_is_no_label_is_refused(client, store, keys) -> None:
    for body in (b"", b"[]", b"nonsense", b"\xff", b"[" * 50_000, b'{"key": "' + b"x" * 70_000):
        for path in ("/api/label", "/api/undo", "/api/reviewer"):
            assert client.post(path, content=body).status_code == 400
    assert client.get("/api/label").status_code == 405
    assert history(store) == []


def test_a_changed_image_is_a_conflict(client, desk, store, keys) -> None:
    store.write(keys["far.png"], png(8))
    answer = post(client, desk, keys["far.png"])
    assert answer.status_code == 409
    assert "far.png" in answer.json()["error"]
    assert client.get("/picture", params={"key": keys["far.png"]}).status_code == 409


def test_a_store_that_fails_is_told_and_the_label_kept_at_the_next_try(
    store, keys, desk_of, browser: Browsers
) -> None:
    desk = desk_of(FaultyStore(store.root, fails_at=1, after=True), store)
    client = browser(desk)
    answer = post(client, desk, keys["far.png"])
    assert answer.status_code == 503
    assert "connection was cut" in answer.json()["error"]
    assert post(client, desk, keys["far.png"]).status_code == 200
    assert len(history(store)) == 1


def test_pages_of_the_history(store, keys, desk_of, browser: Browsers) -> None:
    client = browser(desk_of(store, store, zone=ZoneInfo("Europe/Vienna")))
    made = [Label(keys["far.png"], "normal", None, "import", NOW, str(i)) for i in range(150)]
    labels.write_labels(store, "cloth", made, "many")
    append_label(store, "cloth", Label(keys["near.png"], "anomalous", None, None, NOW), reviewer="ann")
    append_label(store, "cloth", Label(keys["near.png"], "normal", None, None, NOW), reviewer="bob")
    store.write("labels/cloth/bad.csv", b"image_key,label\na,okay\n")
    text = client.get("/audit").text
    assert "When (Europe/Vienna)" in text and NOW.astimezone(ZoneInfo("Europe/Vienna")).strftime("%d %H:%M") in text
    assert "152 labels" in text and "labels/cloth/bad.csv cannot be read" in text
    assert "1 image with labels that disagree" in text
    assert "page 2 of 2" in client.get("/audit", params={"page": "2", "category": "cloth"}).text
    assert client.get("/audit", params={"category": "nothing"}).status_code == 404
    assert client.get("/audit", params={"page": "-1"}).status_code == 200


# Several people at once


@pytest.fixture(params=["local", "moto_s3"])
def plant(request: pytest.FixtureRequest, store: LocalStore) -> Iterator[Store]:
    if request.param == "local":
        yield store
    else:
        bucket: Bucket = request.getfixturevalue("moto_s3")
        yield open_store(bucket.uri)


def test_all_labels_of_two_reviewers_on_two_servers_are_kept(
    plant: Store, desk_of: Callable[..., Desk], browser: Browsers
) -> None:
    images = 30 if isinstance(plant, LocalStore) else 8
    found = {f"{i:03}.png": Scored(1.01 + i / 100, 0.01) for i in range(images)}
    keys = put_night(plant, found=found)
    desks = [desk_of(plant, plant) for _ in range(2)]
    clients = [browser(desk, reviewer=name) for desk, name in zip(desks, ("ann", "bob"), strict=True)]
    etags = {row["key"]: row["etag"] for row in clients[0].get("/api/list?limit=100").json()["rows"]}
    assert set(etags) == set(keys.values())

    def label(number: int) -> int:
        key = list(keys.values())[number // 2]
        sent = {"key": key, "etag": etags[key], "word": ("normal", "anomalous")[number % 2]}
        return clients[number % 2].post("/api/label", json=sent).status_code

    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(label, range(2 * images))) == {200}
    said = {(word.image_key, word.labelled_by, word.label) for word in history(plant)}
    assert said == {(key, *who) for key in keys.values() for who in (("ann", "normal"), ("bob", "anomalous"))}
    assert len(history(plant)) == 2 * images


def test_the_same_reviewer_in_two_tabs_of_two_servers(
    plant: Store, desk_of: Callable[..., Desk], browser: Browsers
) -> None:
    keys = put_night(plant, found={f"{i:02}.png": Scored(1.5, 0.01) for i in range(8)})
    desks = [desk_of(plant, plant) for _ in range(2)]
    clients = [browser(desk) for desk in desks]
    with ThreadPoolExecutor(4) as pool:
        answers = pool.map(lambda i: post(clients[i % 2], desks[i % 2], list(keys.values())[i]), range(8))
        assert {answer.status_code for answer in answers} == {200}
    assert {word.image_key for word in history(plant)} == set(keys.values())


def test_every_failure_of_a_store_has_an_answer(store: LocalStore, browser: Browsers) -> None:
    class Failing(Desk):
        def categories(self) -> list[str]:
            raise StorageError("the disk is gone")

    answer = browser(Failing(store, store)).get("/")
    assert (answer.status_code, answer.json()) == (503, {"error": "the disk is gone"})
