"""Who judges a candidate, with what, and that the decision stays; and the promotion that follows."""

from dataclasses import asdict, replace
from datetime import timedelta

import numpy as np
import pyarrow.parquet as pq
import pytest

from proofs.model_cards import CARD, made_up_card, publish_made_up
from rd_core.calibration.threshold import calibrate
from rd_core.gate.decision import GateSettings
from rd_core.pictures.image_view import ImageView
from reports.retraining.decision import OVERTAKEN
from storage.errors import Conflict
from storage.filesystem import Store
from storage.labels import labels
from storage.labels.labels import Label
from storage.layout import decision_key, image_key, mask_key
from storage.models import models
from tasks.drift.golden_set import GoldenImage, digest_of, write_golden_set
from tasks.reporting.fair_judges import Unfair
from tasks.retraining import judge_candidate as module
from tasks.retraining.gate_set import gate_set
from tasks.retraining.judge_candidate import JudgedCandidate, JudgeOrder, judge_candidate
from tasks.retraining.promote_candidate import promote_candidate
from tasks.retraining.write_retraining_report import RetrainingFindings
from tests.drift_plants import CORNER
from tests.factories import DAY, NOW
from tests.retraining_plants import put_labels
from tests.told_scores import SIDE, ToldScorer, png_of, told_picture

KEY = "reports/retraining/2026-03-02/cloth/run/gate.parquet"
ORDER = JudgeOrder("cloth", "v1", "v2", None, KEY, GateSettings(fewest_defects=5, resamples=200, slowdown=100.0))
THRESHOLD = 5.0


@pytest.fixture(autouse=True)
def _told(monkeypatch: pytest.MonkeyPatch) -> None:
    """v1 tells a picture's first score, v2 its second; the maps of v1 are wrong where those of v2 are right."""
    champion = ToldScorer(np.float32(THRESHOLD), 0, inverted=True)
    monkeypatch.setattr(
        module,
        "warm_scorer",
        lambda _, __, version: champion if version == "v1" else ToldScorer(np.float32(THRESHOLD), 1),
    )


def put(store: Store, name: str, seed: int, *scores: float, mask: np.ndarray | None = None) -> str:
    key = image_key("cloth", DAY, name)
    store.write(key, png_of(told_picture(seed, *scores, defect=mask)))
    return key


def publish(store: Store, version: str, *, alpha: float = 0.1, **sets: list[str]) -> None:
    threshold = asdict(calibrate(np.arange(40.0), alpha))
    publish_made_up(store, version=version, weights=version.encode(), threshold=threshold, images=sets)


def put_plant(store: Store, found: tuple[float, float] = (2.0, 9.0), good: tuple[float, float] = (1.0, 1.0)) -> None:
    """30 good and 20 defective images for evaluation, with the scores of both models; champion v1, candidate v2."""
    normals = [put(store, f"good{i}.png", i, *(s + i / 100 for s in good)) for i in range(30)]
    put_labels(store, "cloth", "good", normals, purpose="evaluation")
    square = np.zeros((SIDE, SIDE), np.bool_)
    square[8:16, 8:16] = True
    rows = []
    for i in range(20):
        key = put(store, f"bad{i}.png", 100 + i, *(s + i / 100 for s in found), mask=square)
        mask = mask_key("cloth", DAY, f"bad{i}.png")
        store.write(mask, png_of(square.astype(np.uint8)[..., None].repeat(3, axis=2) * 255))
        rows.append(Label(key, "anomalous", mask, "ada", NOW, ("hole", "stain")[i % 2], "evaluation"))
    labels.write_labels(store, "cloth", rows, "bad")
    publish(store, "v1", train=["images/cloth/a.png"])
    publish(store, "v2", train=["images/cloth/a.png"], test=[])
    models.promote(store, "cloth", "v1", by="test", now=NOW)


def judge(store: Store, order: JudgeOrder = ORDER) -> JudgedCandidate:
    return judge_candidate.fn(store.uri, store.uri, order, run_id="run", now=NOW)


def test_a_better_candidate_passes_and_its_decision_lies_with_it(store: Store) -> None:
    put_plant(store)
    found = judge(store)
    assert found.decision.promote, found.decision.words
    assert found.images == {"normal": 30, "anomalous": 20, "masked": 20, "parts": 50, "golden": 0, "left_out": 0}
    checks = {check.name: check for check in found.decision.checks}
    assert (checks["recall"].champion, checks["recall"].candidate) == (0.0, 1.0)
    assert checks["AUPRO"].champion < 0.2 and checks["AUPRO"].candidate > 0.8
    kept = models.read_decision(store, "cloth", "v2")
    assert kept is not None
    assert (kept["promote"], kept["champion"], kept["words"]) == (True, "v1", found.decision.words)
    assert kept["kinds"] == {"hole": 10, "stain": 10}
    assert kept["settings"]["recall_margin"] == 0.05
    table = pq.read_table(store.zarr_store(KEY).root).to_pylist()
    assert len(table) == 50
    one = next(row for row in table if row["image_key"].endswith("bad3.png"))
    assert (one["champion_flagged"], one["candidate_flagged"], one["kind"]) == (False, True, "stain")
    assert one["candidate_score"] == pytest.approx(9.03, abs=0.03)


def test_a_candidate_that_gains_nothing_stays_out_and_the_words_say_so(store: Store) -> None:
    put_plant(store, found=(9.0, 9.0))
    again = replace(ORDER, candidate="v3")
    publish(store, "v3")
    publish(store, "v0")
    found = judge(store, replace(again, champion="v0"))  # all but v1 score and map alike
    assert not found.decision.promote and not found.decision.gained
    assert "gains nothing" in found.decision.words


def test_with_too_few_normals_for_its_promise_a_better_candidate_waits_for_labels_or_a_person(store: Store) -> None:
    put_plant(store)
    publish(store, "v3", alpha=0.01)
    found = judge(store, replace(ORDER, candidate="v3"))
    assert found.decision.gained and not found.decision.promote
    says = "promised rate: cannot be shown: 0 of 30 normals alarm, so up to 9.50% may, and 5.00% is the most"
    assert says in found.decision.words
    assert "59 normals without an alarm would show it" in found.decision.words
    wider = replace(ORDER, candidate="v4", settings=replace(ORDER.settings, false_alarm_margin=10.0))
    publish(store, "v4", alpha=0.01)
    assert judge(store, wider).decision.promote


def test_a_candidate_with_the_champions_weights_is_judged_by_its_threshold_alone(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_plant(store, found=(7.0, 0.0), good=(6.0, 9.0))
    publish_made_up(store, version="v3", weights=b"v1", threshold=asdict(calibrate(np.arange(40.0), 0.1)))
    # The second channel, which v3 would tell, must not be asked for: the scores are the champion's.
    scorers = {"v1": ToldScorer(np.float32(THRESHOLD), 0), "v3": ToldScorer(np.float32(6.5), 1)}
    monkeypatch.setattr(module, "warm_scorer", lambda _, __, version: scorers[version])
    found = judge(store, replace(ORDER, candidate="v3"))
    assert [check.name for check in found.decision.checks] == [
        "false alarms", "promised rate", "recall", "defect kinds", "golden images",
    ]  # fmt: skip
    assert found.decision.promote, found.decision.words
    assert "The new threshold is promoted" in found.decision.words
    assert judge(store, replace(ORDER, candidate="v3")) == found


def test_the_champions_weights_with_another_view_give_scores_of_their_own(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_plant(store, found=(7.0, 0.0), good=(1.0, 9.0))
    view = ImageView(SIDE, SIDE, ignore=CORNER).to_dict()
    held = asdict(calibrate(np.arange(40.0), 0.1))
    publish_made_up(store, version="v3", weights=b"v1", threshold=held, preprocessing={"view": view})
    scorers = {"v1": ToldScorer(np.float32(THRESHOLD), 0), "v3": ToldScorer(np.float32(6.5), 1)}
    monkeypatch.setattr(module, "warm_scorer", lambda _, __, version: scorers[version])
    found = judge(store, replace(ORDER, candidate="v3"))
    assert "30 of 30" in found.decision.words
    assert "The champion's threshold stays" in found.decision.words


def test_a_worse_candidate_stays_out(store: Store) -> None:
    put_plant(store, found=(9.0, 2.0))
    found = judge(store)
    assert not found.decision.promote
    assert {check.name for check in found.decision.checks if check.passed is False} >= {"recall"}


def test_judging_again_gives_what_was_decided_whatever_was_labelled_since(store: Store) -> None:
    put_plant(store)
    first = judge(store)
    before = store.read(decision_key("cloth", "v2"))
    put_labels(store, "cloth", "more", [put(store, "more.png", 999, 1, 1)], "anomalous")
    assert judge(store) == first
    assert store.read(decision_key("cloth", "v2")) == before
    with pytest.raises(Conflict, match="judged against v1 and not v0"):
        judge(store, replace(ORDER, champion="v0"))


def test_the_gate_set_holds_nothing_that_a_model_has_seen(store: Store) -> None:
    names = [
        "train",
        "stop",
        "calibrated",
        "cand-train",
        "plain",
        "line-defect",
        "held-out",
        "old-test",
        "disputed",
        "copy",
    ]
    keys = {name: put(store, f"{name}.png", i, 1, 1) for i, name in enumerate(names)}
    seen = ["train", "stop", "calibrated", "cand-train"]
    evaluation = [keys[name] for name in (*seen, "plain", "disputed")]
    put_labels(store, "cloth", "evaluation", evaluation, purpose="evaluation")
    put_labels(store, "cloth", "bob", [keys["disputed"]], "anomalous", by="bob", labelled_at=NOW - timedelta(days=1))
    put_labels(store, "cloth", "defect", [keys["line-defect"]], "anomalous")
    others = [keys["old-test"], keys["copy"], put(store, "other.png", 99, 1, 1)]
    put_labels(store, "cloth", "training", [keys["held-out"], *others])
    of_champion = {"early_stop": [keys["stop"]], "calibration": [keys["calibrated"]], "duplicates": [keys["copy"]]}
    champion = made_up_card(images={"train": [keys["train"]], **of_champion})
    test = [keys["held-out"], keys["train"], keys["copy"], "images/x"]
    candidate = made_up_card(images={"train": [keys["cand-train"]], "test": test, "duplicates": [keys["held-out"]]})
    found = gate_set(store, "cloth", champion, candidate, None)
    assert {one.key: one.source for one in found.images} == {
        keys["plain"]: "evaluation", keys["line-defect"]: "defect", keys["held-out"]: "held out",
    }  # fmt: skip
    assert [key for key, _ in found.left_out] == sorted([*(keys[name] for name in seen), keys["disputed"]])
    assert {one.key: one.is_anomalous for one in found.images}[keys["line-defect"]]


def test_parts_are_told_as_in_training(store: Store) -> None:
    keys = [put(store, f"p{i // 2}_{i}.png", i, 1, 1) for i in range(6)]
    put_labels(store, "cloth", "e", keys, purpose="evaluation")
    found = gate_set(store, "cloth", CARD, CARD, r"(?P<part>p\d)_")
    assert [one.part for one in found.images] == ["p0", "p0", "p1", "p1", "p2", "p2"]
    assert [one.part for one in gate_set(store, "cloth", CARD, CARD, r"(?P<part>q\d)_").images] == keys


def test_no_part_that_chose_the_method_judges_it(store: Store) -> None:
    keys = [put(store, f"p{i // 2}_{i}.png", i, 1, 1) for i in range(6)]
    put_labels(store, "cloth", "e", keys, purpose="evaluation")  # keys[3] after the comparison, say
    found = gate_set(store, "cloth", CARD, CARD, r"(?P<part>p\d)_", {keys[2]})
    assert [one.part for one in found.images] == ["p0", "p0", "p2", "p2"]
    assert [key for key, _ in found.left_out] == keys[2:4]
    assert len(gate_set(store, "cloth", CARD, CARD, None, {keys[2]}).images) == 5


def test_no_good_image_of_a_part_that_a_model_has_seen_judges_it_but_defects_do(store: Store) -> None:
    keys = [put(store, f"p{i // 2}_{i}.png", i, 1, 1) for i in range(6)]
    put_labels(store, "cloth", "e", [*keys[:3], *keys[4:]], purpose="evaluation")
    put_labels(store, "cloth", "d", keys[3:4], "anomalous")
    seen = made_up_card(images={"train": [keys[0], image_key("cloth", DAY - timedelta(days=1), "p1_9.png")]})
    found = gate_set(store, "cloth", seen, CARD, r"(?P<part>p\d)_")
    assert [one.key for one in found.images] == keys[3:]
    assert [why for _, why in found.left_out] == [Unfair.TRAINED, Unfair.TRAINED_PART, Unfair.TRAINED_PART]


def test_unreadable_images_and_masks_that_do_not_fit_are_counted_and_told(store: Store) -> None:
    put_plant(store)
    store.write(image_key("cloth", DAY, "good0.png"), b"broken")
    store.write(mask_key("cloth", DAY, "bad1.png"), png_of(np.zeros((SIDE, SIDE, 3), np.uint8)))
    store.write(mask_key("cloth", DAY, "bad2.png"), png_of(np.full((SIDE, 2 * SIDE, 3), 255, np.uint8)))
    found = judge(store)
    assert (found.images["normal"], found.images["anomalous"], found.images["left_out"]) == (29, 20, 3)
    why = dict(found.left_out)
    assert "is black" in why[image_key("cloth", DAY, "bad1.png")]
    assert "32x64 pixels, its image 32x32" in why[image_key("cloth", DAY, "bad2.png")]
    aupro = next(check for check in found.decision.checks if check.name == "AUPRO")
    assert aupro.candidate > 0.8, "the other masks still count"


def test_golden_images_that_alarm_keep_a_candidate_out(store: Store) -> None:
    put_plant(store)
    keys = [put(store, f"golden{i}.png", 500 + i, 1.0, 9.0) for i in range(12)]
    gone, bad = put(store, "gone.png", 600, 1, 9), put(store, "bad-golden.png", 601, 1, 9)
    chosen = [GoldenImage(key, digest_of(store, key)) for key in [*keys, gone, bad]]
    write_golden_set(store, "cloth", chosen, now=NOW)
    store.write(gone, png_of(told_picture(700, 1, 9)))
    put_labels(store, "cloth", "bad-golden", [bad], "anomalous", purpose="training")
    found = judge(store)
    golden = next(check for check in found.decision.checks if check.name == "golden images")
    assert (golden.passed, golden.candidate, found.images["golden"]) == (False, 1.0, 12)
    assert not found.decision.promote


def test_without_labels_nothing_is_proven(store: Store) -> None:
    publish(store, "v1")
    publish(store, "v2")
    found = judge(store)
    assert not found.decision.promote
    assert found.images["normal"] == found.images["anomalous"] == 0
    assert "too few" in found.decision.words


def test_a_promotion_moves_the_pointer_once_and_one_that_is_overtaken_is_told(store: Store) -> None:
    put_plant(store)
    publish(store, "v9")
    judged = judge(store)
    first, again = (promote_candidate.fn(store.uri, judged, run_id="run-1", now=NOW) for _ in range(2))
    assert first.promoted and again == first
    champion = models.read_champion(store, "cloth")
    assert (champion.version, champion.by) == ("v2", "retraining run run-1")
    assert [one.version for one in champion.history] == ["v1"]
    models.promote(store, "cloth", "v9", by="somebody", now=NOW)
    late = promote_candidate.fn(store.uri, judged, run_id="run-2", now=NOW)
    assert not late.promoted
    assert "v9" in late.overtaken and "v2 is not put in force" in late.overtaken
    findings = RetrainingFindings(gathered=None, judged=judged, promotion=late)
    assert findings.outcome == OVERTAKEN and late.overtaken in findings.words
    assert models.read_champion(store, "cloth").version == "v9"
