"""The retraining report names what the candidate's training set aside."""

from proofs.model_cards import publish_made_up
from storage.filesystem import Store
from tasks.retraining.considered_normals import NEW, ConsideredNormal, write_considered
from tasks.retraining.gather_normals import GatheredNormals
from tasks.retraining.write_retraining_report import RetrainingFindings, write_retraining_report
from tasks.training.fitted_model import FittedModel
from tests.factories import DAY, NOW
from tests.reports.html_page import words

TABLE = "reports/retraining/2026-03-02/cloth/run/normals.parquet"


def test_normals_that_the_training_set_aside_are_named_with_the_reason(store: Store) -> None:
    publish_made_up(store)
    keys = [f"images/cloth/{DAY}/{number}.png" for number in range(3)]
    write_considered(store, TABLE, [ConsideredNormal(key, NEW, None, True, DAY, None, "ada", NOW) for key in keys])
    fitted = FittedModel(
        "cloth",
        "v2",
        "padim",
        2,
        1,
        3,
        0,
        0,
        "3 images",
        1.0,
        2.0,
        True,
        False,
        set_aside={keys[1]: "It stands out."},
    )
    findings = RetrainingFindings(GatheredNormals("cloth", "v1", TABLE, {NEW: 3}, 0, None), fitted)
    page = write_retraining_report.fn(store.uri, store.uri, findings, run_date=DAY, run_id="run", made_at=NOW)
    text = words(store.read(page).decode())
    assert "Set aside: 1" in text and f"{keys[1]} It stands out. Labelled by ada on 2026-03-03." in text
