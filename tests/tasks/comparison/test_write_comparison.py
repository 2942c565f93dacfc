"""The report of a comparison: what it shows of images, and what it says where none is labelled."""

import pytest
from prefect.logging import disable_run_logger

from storage.comparisons.outcome import read_outcome
from storage.comparisons.plan import read_plan
from storage.filesystem import Store, open_store
from tasks.comparison import fit_contender as contender_module
from tasks.comparison.fit_contender import ContenderOrder, fit_contender
from tasks.comparison.plan_comparison import PlannedComparison, plan_comparison
from tasks.comparison.write_comparison import ComparedMethods, FailedContender, ReportOrder, write_comparison
from tests.comparison_plants import put_compared, quick_order
from tests.factories import NOW
from tests.rd_core.striped_images import textured
from tests.retraining_plants import encoded


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> tuple[Store, PlannedComparison]:
    """A comparison without labelled defects, whose contenders keep the maps of every third image."""
    store = open_store(tmp_path_factory.mktemp("drawn") / "plant", create=True)
    put_compared(store, normals=30, good=36, bad=0)
    with disable_run_logger(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(contender_module, "MOST_MAP_BYTES", 24 * 16 * 16 * 2)
        order = quick_order(store)
        plan = plan_comparison.fn(store.uri, store.uri, order)
        for method, seed in plan.contenders:
            contender = ContenderOrder(order.request, plan.key, method, seed)
            fit_contender.fn(store.uri, store.uri, contender, run_id="run", now=NOW)
    return store, plan


def written(store: Store, plan: PlannedComparison, *failed: FailedContender) -> ComparedMethods:
    return write_comparison.fn(store.uri, store.uri, ReportOrder(plan.key, failed, None), run_id="run", made_at=NOW)


def test_drawn_defects_are_marked_everywhere(drawn: tuple[Store, PlannedComparison]) -> None:
    store, plan = drawn
    found = written(store, plan)
    outcome = read_outcome(store, "cloth", plan.id)
    assert found.drawn and outcome is not None and outcome.drawn
    assert "drawn" in found.sentence and "drawn" in found.markdown
    page = store.read(found.report).decode()
    assert "drawn defects" in page and page.count("data:image/webp") > 2
    shown = {one["image_key"] for one in outcome.figures["disagreed"]}
    kept = {image.name for image in read_plan(store, plan.key).judged[::3]}
    assert shown and shown <= kept


def test_an_image_that_changed_is_not_shown_and_a_failure_is_named(drawn: tuple[Store, PlannedComparison]) -> None:
    store, plan = drawn
    before = {image.image_key: store.read(image.image_key) for image in read_plan(store, plan.key).judged}
    for key in before:
        store.write(key, encoded(textured(1, seed=77)[0]))
    found = written(store, plan, FailedContender("spade", 0, "it was too large"))
    page = store.read(found.report).decode()
    assert page.count("data:image/webp") == 0 and "it was too large" in page
    assert {one.method for one in found.methods} == {"padim", "patchcore"}
    for key, data in before.items():
        store.write(key, data)
