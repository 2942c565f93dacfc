"""The plan of a comparison: named by its content, and fair to all contenders."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from rd_core.errors import TooFewNormals
from rd_core.pictures.image_view import ImageView
from storage.comparisons.plan import CHOOSING, REPORTING, ComparisonPlan, read_plan
from storage.filesystem import Store
from storage.labels import labels
from storage.labels.labels import Label
from tasks.comparison.judged_pictures import ImagesChanged, read_judged
from tasks.comparison.plan_comparison import ComparisonOrder, NotCompared, NothingToCompare, plan_comparison
from tasks.training.fit_model import NoNormals
from tasks.worker.preprocessing import ImageFormat
from tests.comparison_plants import put_compared, quick_order
from tests.factories import DAY, NOW
from tests.rd_core.striped_images import textured
from tests.retraining_plants import encoded, put_labels


def planned(store: Store) -> ComparisonPlan:
    return planned_by(store, quick_order(store))


def planned_by(store: Store, order: ComparisonOrder) -> ComparisonPlan:
    return read_plan(store, plan_comparison.fn(store.uri, store.uri, order).key)


def test_equal_inputs_have_one_plan_and_other_labels_or_pixels_another(store: Store) -> None:
    put_compared(store)
    plan = planned(store)
    assert planned(store) == plan
    assert (len(plan.train), len(plan.judged), plan.drawn) == (20, 72, False)
    (few,) = plan.notes
    assert "rests on 7 held-out normal images" in few and "takes 9 to prove" in few
    halves = [image.half for image in plan.judged]
    assert halves.count(CHOOSING) == halves.count(REPORTING) == 36
    trained = {*plan.train, *plan.early_stop, *plan.calibration}
    assert trained == set(plan.normals) and not trained & {image.image_key for image in plan.judged}
    defects = [image for image in plan.judged if image.is_anomalous]
    assert {image.defect_share for image in defects} == {0.0625} and defects[0].kind == "hole"
    elsewhere = np.zeros((64, 64), np.uint8)
    elsewhere[:16, :16] = 255  # as large as before
    image_format = ImageFormat(ImageView.from_dict(plan.view))
    assert read_judged(store, store, image_format, defects[0]).defect.sum() == 16 * 16
    store.write(defects[0].mask_key, encoded(elsewhere))
    with pytest.raises(ImagesChanged, match="another mask now"):
        read_judged(store, store, image_format, defects[0])
    drawn_anew = planned(store)
    assert drawn_anew.id != plan.id and drawn_anew.contenders[0].digest != plan.contenders[0].digest
    relabelled = Label(plan.train[0], "anomalous", None, "ada", NOW.replace(hour=5), "hole", "evaluation")
    labels.write_labels(store, "cloth", [relabelled], "z")
    other = planned(store)
    assert other.id not in (plan.id, drawn_anew.id)
    assert plan.train[0] in {image.image_key for image in other.judged}


def test_other_code_and_other_weights_in_the_same_file_make_other_contenders(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_compared(store, good=4, bad=4)
    order, weights = quick_order(store), tmp_path / "teacher.pth"
    order = replace(order, request=replace(order.request, teacher_weights=weights))
    plans = []
    for content in (b"some", b"others", b"some"):
        weights.write_bytes(content)
        plans.append(planned_by(store, order))
    assert plans[0] == plans[2] != plans[1]
    monkeypatch.setattr("tasks.reporting.kept_result.code_digest", lambda: "of another release")
    other = planned_by(store, order)
    assert other.id != plans[0].id
    assert not {one.digest for one in other.contenders} & {one.digest for one in plans[0].contenders}


def test_other_general_images_in_the_same_folder_make_another_contender(store: Store, tmp_path: Path) -> None:
    put_compared(store, good=4, bad=4)
    order = quick_order(store, methods=("padim", "uninformed_students"))
    padim, students = order.contenders
    order = replace(order, contenders=(padim, replace(students, general_images=str(tmp_path))))
    plans = []
    for side in (8, 16):
        (tmp_path / "nature.png").write_bytes(encoded(textured(1)[0, :side, :side]))
        plans.append(planned_by(store, order).contenders)
    assert [one == other for one, other in zip(*plans, strict=True)] == [True, False]


def test_copies_broken_and_disputed_images_are_left_out_and_counted(store: Store) -> None:
    put_compared(store)
    plan = planned(store)
    copy, broken, odd = (f"images/cloth/{DAY}/z-{name}.png" for name in ("copy", "broken", "odd"))
    store.write(copy, store.read(plan.train[0]))
    store.write(broken, b"no image")
    store.write(odd, encoded(textured(1, seed=77)[0]))
    put_labels(store, "cloth", "more", [copy, broken, odd], purpose="evaluation")
    put_labels(store, "cloth", "other", [odd], "anomalous", by="bob", purpose="evaluation")
    later = planned(store)
    assert [image.image_key for image in later.judged] == [image.image_key for image in plan.judged]
    assert later.notes[len(plan.notes) :] == (
        f"1 labelled image cannot be read, such as {broken}.",
        "Not used, with the same bytes as another one: 1 labelled image.",
        "Not used, because people disagree: 1 image.",
    )


def test_without_a_labelled_defect_they_are_drawn_into_normals_that_judge(store: Store) -> None:
    put_compared(store, normals=60, good=0, bad=0)
    plan = planned(store)
    assert plan.drawn
    good, drawn = ([image for image in plan.judged if image.is_anomalous is bad] for bad in (False, True))
    assert len(good) == 20 and len(drawn) >= 18
    assert {image.part for image in drawn} <= {image.part for image in good}
    assert not {image.image_key for image in plan.judged} & set(plan.normals)
    image_format = ImageFormat(ImageView.from_dict(plan.view))
    one = read_judged(store, store, image_format, drawn[0])
    again = read_judged(store, store, image_format, drawn[0])
    plain = read_judged(store, store, image_format, replace(drawn[0], donor=None))
    assert np.array_equal(one.picture.pixels, again.picture.pixels)
    assert drawn[0].defect_share == one.defect.mean() > 0
    changed = np.abs(one.picture.pixels.astype(int) - plain.picture.pixels).max(axis=-1)
    assert changed[one.defect].min() > 0
    store.write(drawn[0].image_key, encoded(textured(1, seed=78)[0]))
    with pytest.raises(ImagesChanged, match="another image now"):
        read_judged(store, store, image_format, drawn[0])


def test_what_cannot_be_compared_is_refused(store: Store) -> None:
    put_compared(store, normals=4, good=0, bad=0)
    with pytest.raises(TooFewNormals, match="4 normal images"):
        planned(store)
    put_compared(store, normals=30, good=36, bad=5)
    order = quick_order(store)
    assert plan_comparison.fn(store.uri, store.uri, order).contenders
    few = plan_comparison.fn(store.uri, store.uri, replace(order, to_choose=True))
    assert isinstance(few, NotCompared)
    assert "5 with anomalous images: too few to choose a method" in few.why and "Label 27 more" in few.why
    one_method = replace(order, contenders=order.contenders[:1], left_out={"padim": "it has no places"})
    with pytest.raises(NothingToCompare, match="it has no places"):
        plan_comparison.fn(store.uri, store.uri, one_method)
    assert isinstance(plan_comparison.fn(store.uri, store.uri, replace(one_method, to_choose=True)), NotCompared)
    put_labels(store, "cloth", "normals", [f"images/cloth/{DAY}/gone.png"])
    with pytest.raises(NoNormals, match="rd-inspect import"):
        planned(store)
