from dataclasses import replace

import pytest

from proofs.model_cards import made_up_card
from reports.evaluation.report import render_evaluation_report
from reports.promise import Promise, promise_in_words
from reports.run.report import render_run_report
from tasks.reporting.promise import promise_of
from tests.reports.html_page import words

KEPT = Promise(0.01, 0.01, 1, 120, 120, 99, 0.0002, 0.0456, extrapolated=False, method="split")
FEW = Promise(0.01, 1 / 12, 0, 11, 11, 99, 0.0, 0.285, extrapolated=True, method="split")


@pytest.mark.parametrize(
    ("promise", "said"),
    [
        (KEPT, "Promised false-alarm rate 1 %. 120 held-out scores prove it; 1 of them lies above the threshold "
               "(0.02 % to 4.6 %)."),
        (FEW, "Promised false-alarm rate 1 %. 11 held-out scores prove 8.3 %; 0 of them lie above the threshold "
              "(0 % to 28.5 %), which is extrapolated by a fitted tail."),
        (replace(KEPT, parts=1, proven=1.0),
         "Promised false-alarm rate 1 %. 120 held-out scores of 1 part prove 100 %; 1 of them lies above the "
         "threshold (0.02 % to 4.6 %)."),
        (replace(KEPT, method="cross", folds=5, proven=0.02),
         "Promised false-alarm rate 1 %. 120 held-out scores in 5 folds prove 2 %; 1 of them lies above the "
         "threshold (0.02 % to 4.6 %)."),
    ],
)  # fmt: skip
def test_one_sentence_says_what_is_promised_proven_and_realised(promise, said):
    assert promise_in_words(promise).replace("\u202f", " ") == said


@pytest.mark.parametrize(
    ("method", "said"),
    [("cross", "with each part left out prove it"), ("labelled normals", "of later normals prove it"),
     ("unlabelled scores", "of unlabelled images prove nothing, for nobody has looked at them")],
)  # fmt: skip
def test_it_names_the_scores(method, said):
    assert f"120 held-out scores {said}; 1 of them" in promise_in_words(replace(KEPT, method=method))


def test_a_card_gives_it_and_both_reports_have_it(evaluation, evaluated, run_report, category_run):
    card = made_up_card(calibration={"proven": 0.09, "above": 3, "method": "cross", "folds": 4})
    promise = promise_of(card)
    assert (promise.alpha, promise.n, promise.above, promise.folds) == (0.05, 40, 3, 4)
    assert promise.low < 3 / 40 < promise.high
    said = words(promise_in_words(promise))
    assert said in words(render_evaluation_report(evaluation(categories=(evaluated(promise=promise),))))
    assert said in words(render_run_report(run_report(categories=[category_run(promise=promise)])))
