"""Label Studio's exports, and files of labels people bring."""

import io
import json
import math
import unicodedata
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from storage.errors import StorageError
from storage.filesystem import LocalStore
from storage.labels import labels
from storage.labels.imports import Imported, import_labels
from storage.labels.known_images import KnownImages, UnusableLabels
from storage.labels.label_studio import Export, read_export
from storage.labels.labels import Label, read_label_history, read_labels, write_labels
from storage.labels.reading import table_reading
from storage.labels.regions import NotAnExport
from storage.pictures import rasters
from storage.stores import parquet

NOW = datetime(2026, 3, 3, 2, 0, tzinfo=UTC)
KEY = "images/c/2026-03-02/good/1.png"
ODD = "images/c/2026-03-02/a b/ü#?.png"
W, H = 40, 20


def region(shape: str, label: str = "scratch", **value: object) -> dict:
    return {
        "type": f"{shape}labels", "original_width": W, "original_height": H, "image_rotation": 0,
        "value": {f"{shape}labels": [label], **value},
    }  # fmt: skip


def choice(*names: str) -> dict:
    return {"type": "choices", "from_name": "c", "to_name": "image", "value": {"choices": list(names)}}


BOX = region("rectangle", x=25, y=50, width=50, height=25, rotation=0)


def annotation(*result: dict, **fields: object) -> dict:
    known = {"id": 5, "completed_by": 3, "updated_at": "2026-03-02T10:00:00.5Z", "was_cancelled": False}
    return {**known, "result": list(result), **fields}


def task(*annotations: dict, image: str = KEY, number: int = 1) -> dict:
    return {
        "id": number,
        "data": {"image": image},
        "annotations": list(annotations),
        "predictions": [{"result": [BOX]}],
    }


def exported(*tasks: dict) -> bytes:
    return json.dumps(list(tasks)).encode()


def read(*tasks: dict, **choices: str) -> Export:
    return read_export(exported(*tasks), lambda called: called, choices, now=NOW)


def mask_of(*regions: dict) -> np.ndarray:
    [one] = read(task(annotation(*regions))).annotations
    assert one.word == "anomalous"
    return one.mask


def test_an_export_of_every_kind() -> None:
    person = {"id": 9, "email": "ann@plant.example", "first_name": "Ann"}
    export = read(
        task(annotation(choice("Normal")), annotation(choice("defect", "dent"), completed_by=person)),
        task(annotation(choice("normal"), was_cancelled=True), annotation(), number=2),
        task(annotation(BOX, BOX, region("polygon", "hole", points=[[0, 0], [9, 0], [9, 9]])), number=3),
        task(annotation(choice("unsure"), BOX, completed_by=None, updated_at=None, created_at="2026-03-02T09:00:00")),
        task(number=5),
    )
    assert (export.cancelled, export.empty) == (1, 1)
    assert [(one.word, one.kind, one.annotator, one.mask is not None) for one in export.annotations] == [
        ("normal", None, "annotator 3", False),
        ("anomalous", "dent", "ann@plant.example", False),
        ("anomalous", "scratch", "annotator 3", True),
        ("unsure", None, "annotator unknown", False),
    ]
    assert export.annotations[0].time == datetime(2026, 3, 2, 10, 0, 0, 500_000, UTC)
    assert export.annotations[3].time == datetime(2026, 3, 2, 9, tzinfo=UTC)


def test_a_box_covers_its_pixels() -> None:
    wanted = np.zeros((H, W), np.bool_)
    wanted[10:15, 10:30] = True
    assert np.array_equal(mask_of(BOX), wanted)
    beyond = mask_of(region("rectangle", x=90, y=-50, width=50, height=100))
    assert beyond.sum() == beyond[:10, 36:].sum() == 40


def test_regions_of_an_image_are_one_mask() -> None:
    other = region("rectangle", x=0, y=0, width=10, height=10)
    assert np.array_equal(mask_of(BOX, other), mask_of(BOX) | mask_of(other))


def test_a_turned_box_turns_clockwise_about_its_corner_in_pixels() -> None:
    mask = mask_of(region("rectangle", x=50, y=25, width=20, height=20, rotation=90))  # 8 x 4 pixels
    rows, columns = np.nonzero(mask)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (5, 12, 16, 19)
    assert mask.sum() == 32


def test_an_ellipse_has_the_area_of_one() -> None:
    mask = mask_of(region("ellipse", x=50, y=50, radiusX=30, radiusY=40, rotation=0))
    assert mask.sum() == pytest.approx(math.pi * 12 * 8, rel=0.03)
    assert mask[10, 20] and not mask[0, 0]


def is_inside(points: np.ndarray, x: float, y: float) -> bool:
    """Even-odd rule, edge by edge."""
    crossings = 0
    for (x0, y0), (x1, y1) in zip(points, np.roll(points, -1, axis=0), strict=True):
        if (y0 <= y) != (y1 <= y) and x0 + (y - y0) * (x1 - x0) / (y1 - y0) <= x:
            crossings += 1
    return crossings % 2 == 1


@given(st.lists(st.tuples(st.floats(-5, 15), st.floats(-5, 15)), min_size=3, max_size=8))
def test_a_polygon_holds_the_pixels_whose_centre_is_inside(corners: list[tuple[float, float]]) -> None:
    points = np.array(corners)
    wanted = np.array([[is_inside(points, x + 0.5, y + 0.5) for x in range(10)] for y in range(8)])
    found = rasters.polygon_mask(points, 8, 10)
    if wanted.any():
        assert np.array_equal(found, wanted)


def test_a_defect_thinner_than_a_pixel_is_not_lost() -> None:
    mask = rasters.polygon_mask(np.array([[2.6, 1.1], [2.7, 1.1], [2.65, 3.2]]), 8, 10)
    assert np.argwhere(mask).tolist() == [[1, 2], [3, 2]]


def packed(values: np.ndarray, random: np.random.Generator) -> bytes:
    """`rle-pack`, block by block, with runs and literals as they come."""
    lengths, bits, at = [1, 3, 7, 15], f"{len(values):032b}" + f"{7:05b}", 0
    bits += "".join(f"{length:04b}" for length in lengths)
    while at < len(values):
        run = 1
        while at + run < len(values) and values[at + run] == values[at]:
            run += 1
        which = int(random.integers(4))
        size = min(1 << (lengths[which] + 1), len(values) - at)
        repeated = run >= 2
        size = min(size, run) if repeated else size
        bits += f"{int(repeated)}{which:02b}{size - 1:0{lengths[which] + 1}b}"
        bits += f"{values[at]:08b}" if repeated else "".join(f"{value:08b}" for value in values[at : at + size])
        at += size
    bits += "0" * (-len(bits) % 8)
    return bytes(int(bits[i : i + 8], 2) for i in range(0, len(bits), 8))


@given(st.integers(0, 2**32))
def test_a_brush_is_unpacked(seed: int) -> None:
    random = np.random.default_rng(seed)
    mask = random.random((H, W)) < random.random()
    mask[:, : random.integers(0, W)] = bool(random.integers(2))
    rgba = np.repeat(mask.ravel(), 4).astype(np.uint8) * 255
    rgba[:-1:4] = 7  # colours, which say nothing
    code = packed(rgba, random)
    assert np.array_equal(mask_of(region("brush", format="rle", rle=list(code))), mask)


@pytest.mark.parametrize("cut", [0, 3, 7, 12, -3])
def test_a_brush_that_is_cut_off_is_refused(cut: int) -> None:
    code = packed(np.zeros(4 * W * H, np.uint8), np.random.default_rng(1))
    with pytest.raises(NotAnExport, match=r"task 1, annotation 5 of .*cut off|brush of"):
        mask_of(region("brush", format="rle", rle=list(code[:cut])))


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"\xff", "not JSON"),
        (b'{"a": 1}', "not a list of tasks"),
        (b'[{"image": "x", "choice": "normal"}]', "JSON-MIN"),
        (
            exported(task(annotation(choice("Kratzer")))),
            r"task 1.*'Kratzer' is no known word.*--word Kratzer=anomalous",
        ),
        (exported(task(annotation(choice("normal"), BOX))), "says normal and a region"),
        (exported(task(annotation(choice("normal", "defect")))), "anomalous and normal"),
        (exported(task(annotation(choice("normal"), updated_at=None))), "no time"),
        (exported(task(annotation(choice("normal"), updated_at="today"))), "labelled_at 'today' is no time"),
        (exported(task(annotation({**BOX, "image_rotation": 90}))), "turned by 90 degrees"),
        (exported(task(annotation({**BOX, "original_width": 7}, BOX))), "regions of images of"),
        (exported(task(annotation({**BOX, "original_width": 10**9}))), "cannot be read"),
        (exported(task(annotation(region("keypoint", x=1, y=1)))), "keypointlabels"),
        (exported(task(annotation(region("polygon", points=[[0, None]])))), "cannot be read"),
        (exported(task(annotation(region("polygon", points=[[0, math.inf]])))), "cannot be read"),
        (exported({**task(annotation(BOX)), "data": {"a": "x", "b": "y"}}), "a, b: which of it is the one image"),
    ],
)
def test_what_cannot_be_understood_is_named(data: bytes, told: str) -> None:
    with pytest.raises(NotAnExport, match=told):
        read_export(data, lambda called: called, now=NOW)


def test_choices_of_ones_own() -> None:
    assert read(task(annotation(choice("Kratzer"))), Kratzer="anomalous").annotations[0].word == "anomalous"
    with pytest.raises(NotAnExport, match="'broken' is unknown"):
        read(task(annotation(choice("Kratzer"))), Kratzer="broken")


# What is done with them


@pytest.fixture
def plant(local: LocalStore) -> LocalStore:
    for key in (KEY, ODD, "images/c/2026-03-02/bad/1.png", "images/c/2026-03-03/2.png", "images/d/2026-03-02/3.png"):
        local.write(key, b"an image")
    return local


def bring(store: LocalStore, data: bytes, name: str = "export.json", **options: object) -> Imported:
    return import_labels(store, store, "c", data, name, now=NOW, **options)


@pytest.mark.parametrize(
    "called",
    [KEY, f"/{KEY}", f"s3://bucket/prefix/{KEY}", f"gs://bucket/{KEY}", f"/data/local-files/?d=plant/{KEY}",
     "/data/local-files/?d=%2Fmnt%2F" + KEY.replace("/", "%2F"), f"https://minio:9000/b/{KEY}?X-Amz-Signature=a",
     "2026-03-02/good/1.png", "good/1.png".join(["images/c/2026-03-02/", ""])],
)  # fmt: skip
def test_names_of_an_image(plant: LocalStore, called: str) -> None:
    assert KnownImages(plant, "c").key_of(called) == KEY


@pytest.mark.parametrize(
    ("called", "key"),
    [("2.png", "images/c/2026-03-03/2.png"), ("/data/upload/4/1a2b3c4d-2.png", "images/c/2026-03-03/2.png"),
     (f"s3://b/{ODD}", ODD), ("http://h/images/c/2026-03-02/a%20b/%C3%BC%23%3F.png", ODD)],
)  # fmt: skip
def test_bare_and_odd_names(plant: LocalStore, called: str, key: str) -> None:
    assert KnownImages(plant, "c").key_of(called) == key


def test_unknown_and_ambiguous_images_are_refused_with_the_nearest(plant: LocalStore) -> None:
    known = KnownImages(plant, "c")
    for called, told in (
        ("images/c/2026-03-02/good/11.png", rf"is no image below images/c/.*Nearest: {KEY}"),
        ("1.png", "could be any of 2 images.*bad/1.png.*good/1.png"),
        ("images/d/2026-03-02/3.png", "no image below"),
        ("images/c/2026-03-01/2.png", "no image below"),
        ("s3://bucket/d/2026-03-03/2.png", "no image below"),
        ("/mnt/images/gone/2026-03-03/2.png", "no image below"),
        ("../../etc/passwd", "no image below"),
    ):
        with pytest.raises(UnusableLabels, match=told):
            known.key_of(called)
    with pytest.raises(UnusableLabels, match="There are none"):
        KnownImages(plant, "empty").key_of("x")
    with pytest.raises(UnusableLabels, match=r"There are none; did you mean --category c\?"):
        KnownImages(plant, "cc").key_of("x")


def test_an_export_is_brought_in_once(plant: LocalStore) -> None:
    data = exported(task(annotation(BOX)), task(annotation(choice("normal")), image=ODD))
    done = bring(plant, data)
    assert (dict(done.words), done.new, done.masks, done.people) == ({"anomalous": 1, "normal": 1}, 2, 1, 1)
    first = {info.key: info.etag for info in plant.list("")}
    defect = next(row for row in read_labels(plant, "c").to_pylist() if row["image_key"] == KEY)
    mask = np.asarray(Image.open(io.BytesIO(plant.read(defect["mask_key"]))).convert("RGB"))
    assert defect["mask_key"].startswith("labels/c/masks/2026-03-02/good/1.png.")
    assert (mask.shape, mask.dtype, set(np.unique(mask))) == ((H, W, 3), np.uint8, {0, 255})
    assert (mask[..., 0] > 0).sum() == 100
    again = bring(plant, data)
    assert (again.new, again.key) == (0, None)
    assert {info.key: info.etag for info in plant.list("")} == first


def test_a_longer_export_adds_what_is_new(plant: LocalStore) -> None:
    bring(plant, exported(task(annotation(choice("normal")))))
    later = annotation(choice("defect"), BOX, updated_at="2026-03-02T11:00:00Z", completed_by=4)
    done = bring(plant, exported(task(annotation(choice("normal")), later)))
    assert done.new == 1
    assert [label.label for label in labels.to_labels(read_label_history(plant, "c"))] == ["normal", "anomalous"]


def test_masks_of_several_people_stand_side_by_side(plant: LocalStore) -> None:
    other = region("rectangle", x=0, y=0, width=10, height=10)
    bring(plant, exported(task(annotation(BOX), annotation(other, completed_by=4))))
    keys = {label.mask_key for label in labels.to_labels(read_label_history(plant, "c"))}
    assert len(keys) == 2
    assert all(key is not None and plant.info(key) for key in keys)


def test_an_image_keeps_its_purpose_unless_one_is_given(plant: LocalStore) -> None:
    write_labels(plant, "c", [Label(KEY, "normal", None, "x", NOW.replace(year=2020), None, "evaluation")], "old")
    bring(plant, exported(task(annotation(BOX)), task(annotation(BOX), image=ODD)))
    assert [row["purpose"] for row in read_labels(plant, "c").to_pylist()] == ["training", "evaluation"]
    bring(plant, f"image_key,label\n{ODD},normal\n".encode(), "t.csv", purpose="evaluation")
    assert [row["purpose"] for row in read_labels(plant, "c").to_pylist()] == ["evaluation", "evaluation"]


def test_tables_are_checked_and_kept(plant: LocalStore) -> None:
    text = f"image_key,label,labelled_by,purpose\ngood/1.png,normal,ann,evaluation\n{ODD},unsure,,\n".replace(
        "good/1.png", "2026-03-02/good/1.png"
    )
    done = bring(plant, text.encode(), "hand made (2).CSV")
    assert done.new == 2
    assert done.key is not None
    assert done.key.startswith("labels/c/import-hand-made-2-")
    assert bring(plant, text.encode(), "hand made (2).CSV").new == 0
    [row] = read_labels(plant, "c").to_pylist()
    assert (row["image_key"], row["labelled_by"], row["purpose"], row["labelled_at"]) == (
        KEY,
        "ann",
        "evaluation",
        NOW,
    )
    table = parquet.to_bytes(pa.table({"image_key": [KEY], "label": ["anomalous"]}))
    assert bring(plant, table, "x.parquet").new == 1


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("x.csv", "image_key,label\nnowhere.png,normal\n", "no image below"),
        ("x.csv", f"image_key,label\n{KEY},okay\n", "line 2: the label 'okay'"),
        ("x.csv", "picture,label\n", "no column image_key"),
        ("x.csv", f"image_key,label,mask_key\n{KEY},anomalous,labels/c/masks/m.png\n", "mask .*is not in the store"),
        ("x.parquet", "no parquet", "not the Parquet file"),
        ("x.csv", f"image_key,label,labelled_at\n{KEY},normal,2026-03-03T04:00:00\n", "line 2: .*lies in the future"),
        ("x.xlsx", "", "x.xlsx is an Excel workbook"),
        ("x.txt", "", r"as \.csv.*\.json, \.csv, \.tsv, \.parquet"),
    ],
)
def test_tables_with_a_mistake_change_nothing(plant: LocalStore, name: str, text: str, told: str) -> None:
    with pytest.raises(UnusableLabels, match=told):
        bring(plant, text.encode(), name)
    assert list(plant.list("labels/")) == []


def held(store: LocalStore) -> list[str]:
    return [row["label"] for row in read_labels(store, "c").to_pylist()]


def test_a_table_that_is_read_otherwise_says_something_new(plant: LocalStore) -> None:
    def bring_as(zero: str) -> int:
        return bring(plant, data, "t.csv", table=table_reading(words={"0": zero, "unused": "normal"})).new

    for timed in ("", ",2026-03-02T09:00:00Z"):
        head = "image_key,label" + (",labelled_at" if timed else "")
        data = f"{head}\n{KEY},0{timed}\n".encode()
        for word in ("normal", "anomalous"):
            assert (bring_as(word), bring_as(word), held(plant)) == (1, 0, [word])
        write_labels(plant, "c", [Label(KEY, "normal", None, "Eva", NOW + timedelta(seconds=1))], "eva")
        assert (bring_as("anomalous"), held(plant)) == (0, ["normal"])
        for info in list(plant.list("labels/")):
            plant.remove(info.key)


def test_an_export_that_is_read_otherwise_says_something_new(plant: LocalStore) -> None:
    data = exported(task(annotation(choice("fine"))))
    for word in ("anomalous", "normal", "unsure"):
        counts = [bring(plant, data, choices={"fine": word}).new for _ in range(2)]
        assert (counts, held(plant)) == ([1, 0], [] if word == "unsure" else [word])


def test_what_an_option_says_of_another_kind_of_file_is_refused(plant: LocalStore) -> None:
    with pytest.raises(UnusableLabels, match="has no Image tags"):
        bring(plant, b"image_key,label\n", "t.csv", image_tag="left")
    with pytest.raises(UnusableLabels, match="has no columns and no delimiter"):
        bring(plant, exported(), table=table_reading(delimiter=";"))
    with pytest.raises(StorageError, match="'-1' and '1' are the same"):
        bring(plant, exported(), choices={"-1": "anomalous", "1": "normal"})


# Several pictures, several answers, several ways to name a person


def test_only_what_is_on_the_image_counts() -> None:
    beside = {**BOX, "to_name": "image_ref", "value": {**BOX["value"], "x": 0}}
    second = {**BOX, "to_name": "image", "item_index": 1}
    others = [
        {"type": "textarea", "to_name": "image", "value": {"text": ["odd"]}},
        {**choice("bad"), "to_name": "text"},
    ]
    joined = {"type": "relation", "from_id": "a", "to_id": "b", "direction": "right"}
    both = {"data": {"image": KEY, "reference": "x.png"}}
    drawn = {**BOX, "to_name": "image"}
    export = read({**task(annotation(drawn, beside, second, joined, *others)), **both}, task(annotation(beside)))
    [one] = export.annotations
    assert one.mask is not None
    assert np.array_equal(one.mask, mask_of(BOX))
    assert export.elsewhere == {"image_ref": 2, "image, picture 1": 1, "text": 1}
    assert (export.unheard, export.empty) == ({"textarea": 1}, 1)


def test_which_picture_is_the_image_is_asked_where_it_cannot_be_told() -> None:
    shown = [{**BOX, "to_name": name} for name in ("left", "right")]
    data = exported(task(annotation(*shown)))
    with pytest.raises(NotAnExport, match=r"on left, right: which of them.*--image-tag"):
        read_export(data, lambda called: called, now=NOW)
    chosen = read_export(data, lambda called: called, now=NOW, image_tag="right")
    assert (len(chosen.annotations), chosen.elsewhere) == (1, {"left": 1})
    with pytest.raises(NotAnExport, match="no region or choice is on the tag 'top'"):
        read_export(data, lambda called: called, now=NOW, image_tag="top")
    alone = exported({**task(annotation(shown[0])), "data": {"left_view": "a.png", "right_view": "b.png"}})
    with pytest.raises(NotAnExport, match="on left: which of them"):
        read_export(alone, lambda called: called, now=NOW)


def test_a_plain_shape_has_the_kind_of_its_labels() -> None:
    shape = {**BOX, "id": "r", "type": "rectangle"}
    named = {"id": "r", "type": "labels", "value": {"labels": ["hole"]}}
    assert [(one.kind, one.word) for one in read(task(annotation(shape, named))).annotations] == [
        ("hole", "anomalous")
    ]


def test_a_number_and_an_address_are_one_annotator() -> None:
    by = [{"id": 3, "email": "eva@plant.example"}, 3, 3.0, "3", {"id": 3}]
    export = read(*(task(annotation(choice("ok"), completed_by=one)) for one in by))
    assert {one.annotator for one in export.annotations} == {"eva@plant.example"}


def test_an_annotator_is_known_by_the_words_of_an_earlier_export(plant: LocalStore) -> None:
    first = annotation(choice("ok"), updated_at="2026-03-02T09:00:00.123Z")
    second = annotation(choice("bad"), updated_at="2026-03-02T10:00:00.456Z")
    bring(plant, exported(task(first)))
    eva = {"id": 3, "email": "eva@plant.example"}
    done = bring(plant, exported(*(task({**one, "completed_by": eva}) for one in (first, second))))
    assert done.new == 1
    assert set(read_label_history(plant, "c")["labelled_by"].to_pylist()) == {"annotator 3"}


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b'{"id": 1}\n{"id": 2}\n', "one JSON record a line"),
        (b'{"images": [], "annotations": [], "categories": []}', "COCO"),
        (b"[" * 100_000, "not JSON"),
        (exported(task(annotation({**BOX, "original_width": None}))), "original_width is None"),
        (exported(task(annotation({**BOX, "original_width": 1e400}))), "original_width is inf"),
        (exported(task(annotation(region("rectangle", x=1, y=1, width=10**400, height=1)))), "cannot be read"),
        (exported(task(annotation(choice("ok"), updated_at="2126-01-01T00:00:00Z"))), "task 1, .*lies in the future"),
        (exported(task(annotation({"type": "videorectangle", "value": {}}))), "type 'videorectangle'"),
        (exported({**task(annotation(BOX)), "data": {"image": ["a.png", "b.png"]}}), "one image a task"),
        (exported(task(annotation(choice("bad", "a\ud800")))), "the kind .*control character"),
    ],
)
def test_what_is_no_export_of_images_is_named(data: bytes, told: str) -> None:
    with pytest.raises(NotAnExport, match=told):
        read_export(data, lambda called: called, now=NOW)


@given(st.data())
def test_any_json_is_labels_or_a_plain_refusal(data: st.DataObject) -> None:
    shape = data.draw(st.sampled_from([BOX, choice("bad"), region("polygon", points=[[0, 0], [9, 0], [9, 9]])]))
    whole = task(annotation(shape, completed_by={"id": 3, "email": "a@b"}))
    odd = st.sampled_from(
        [None, True, -1, 10**400, math.nan, math.inf, "", "x", "\ud800", [], {}, [None], {"id": []}]
    )
    places = [whole, whole["annotations"][0], whole["annotations"][0]["result"][0], shape["value"]]
    place = data.draw(st.sampled_from(places))
    kept = dict(place)
    place[data.draw(st.sampled_from(sorted(place)))] = data.draw(odd)
    try:
        read_export(exported(whole), lambda called: called, now=NOW)
    except NotAnExport as e:
        assert "no label was read" in str(e)
    finally:
        place.clear()
        place.update(kept)


# Names and words that come again


def test_names_in_composed_and_other_characters_are_one_image(plant: LocalStore) -> None:
    composed, apart = (unicodedata.normalize(form, "images/c/2026-03-03/prüfung.png") for form in ("NFC", "NFD"))
    plant.write(composed, b"an image")
    for called in (apart, apart.rpartition("/")[2], apart.replace("/", "\\"), f"file:///mnt/{apart}"):
        assert KnownImages(plant, "c").key_of(called) == composed
    plant.write(apart, b"another image")
    assert KnownImages(plant, "c").key_of(apart) == apart
    with pytest.raises(UnusableLabels, match=r"2 images whose names look the same.*u\\u0308"):
        KnownImages(plant, "c").key_of("prüfung.png")


def test_a_word_without_a_time_that_comes_again_undoes_no_correction(plant: LocalStore) -> None:
    text = f"image_key,label\n{KEY},anomalous\n"
    bring(plant, text.encode(), "a.csv")
    write_labels(plant, "c", [Label(KEY, "normal", None, "Eva", NOW + timedelta(hours=1))], "eva")
    for longer in (text, f"{text}{ODD},normal\n"):
        bring(plant, longer.encode(), "b.csv")
        assert {row["image_key"]: row["label"] for row in read_labels(plant, "c").to_pylist()}[KEY] == "normal"
    corrected = bring(plant, f"image_key,label\n{KEY},unsure\n".encode(), "correction.csv")
    again = bring(plant, f"{text}images/c/2026-03-03/2.png,normal\n".encode(), "a.csv")
    assert (corrected.new, again.new, again.outvoted) == (1, 1, 1)
    assert KEY not in {row["image_key"] for row in read_labels(plant, "c").to_pylist()}
    bring(plant, f"image_key,label,labelled_by\n{KEY},anomalous,Bob\n".encode(), "c.csv")
    last = labels.to_labels(read_label_history(plant, "c"))[-1]
    assert (last.label, last.labelled_at > NOW + timedelta(hours=1)) == ("anomalous", True)


def test_two_words_of_one_person_at_one_time_are_refused(plant: LocalStore) -> None:
    text = f"image_key,label,labelled_by\n{KEY},normal,Eva\n{KEY},anomalous,eva\n"
    with pytest.raises(UnusableLabels, match=r"line 3: .* in line 2 it is normal"):
        bring(plant, text.encode(), "x.csv")
    assert bring(plant, text.replace("eva", "Bob").encode(), "x.csv").people == 2
    kinds = f"image_key,label,kind\n{KEY},anomalous,hole\n{KEY},anomalous,cut\n"
    with pytest.raises(UnusableLabels, match=r"is anomalous \(cut\), and in line 2 it is anomalous \(hole\)"):
        bring(plant, kinds.encode(), "y.csv")


def test_a_mask_that_does_not_read_is_refused(plant: LocalStore) -> None:
    plant.write("labels/c/masks/m.png", b"no picture")
    with pytest.raises(UnusableLabels, match=r"masks/m\.png' cannot be read: a text and no picture"):
        bring(plant, f"image_key,label,mask_key\n{KEY},anomalous,labels/c/masks/m.png\n".encode(), "x.csv")


def test_a_region_of_a_good_place_is_no_defect() -> None:
    with pytest.raises(NotAnExport, match="says normal and a region of a defect"):
        read(task(annotation(region("rectangle", "OK", x=1, y=1, width=9, height=9), BOX)))
    [unclear] = read(task(annotation(region("rectangle", "unclear", x=1, y=1, width=9, height=9)))).annotations
    assert (unclear.word, unclear.mask) == ("unsure", None)


def test_the_command(plant: LocalStore, tmp_path: Path) -> None:
    from typer.testing import CliRunner  # noqa: PLC0415  # one test of many uses the command line; its imports take a second

    from flows.cli import app  # noqa: PLC0415  # the command line itself, for that one test

    file = tmp_path / "export.json"
    file.write_bytes(exported(task(annotation(choice("Kratzer"))), task(annotation(), number=2)))
    call = ["labels", str(file), "--category", "c", "--store", plant.uri]
    refused = CliRunner().invoke(app, call)
    assert refused.exit_code == 2
    assert "--word Kratzer=anomalous" in " ".join(refused.output.split())
    assert CliRunner().invoke(app, [*call, "--word", "Kratzer"]).exit_code == 2
    done = CliRunner().invoke(app, [*call, "--word", "Kratzer=anomalous", "--purpose", "evaluation"])
    assert done.exit_code == 0
    assert "1 anomalous by 1 person, 0 masks; 1 cancelled or empty" in done.output
    assert [row["purpose"] for row in read_labels(plant, "c").to_pylist()] == ["evaluation"]
