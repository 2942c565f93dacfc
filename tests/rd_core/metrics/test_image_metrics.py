import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score

from rd_core.metrics.image_metrics import image_auroc, image_average_precision, image_f1_max
from tests.examples import examples
from tests.rd_core.metrics.random_maps import f1


@st.composite
def images(draw):
    n = draw(st.integers(2, 40))
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    labels = random.random(n) < 0.5
    labels[:2] = [True, False]
    return np.round(random.normal(size=n), draw(st.sampled_from([0, 1, 9]))), labels


@given(images())
@examples(25)
def test_they_are_those_of_scikit_learn(sample):
    scores, labels = sample
    assert image_auroc(scores, labels) == pytest.approx(roc_auc_score(labels, scores))
    assert image_average_precision(scores, labels) == pytest.approx(average_precision_score(labels, scores))
    oracle = image_f1_max(scores, labels)
    assert oracle.value == pytest.approx(max(f1(labels, scores >= s) for s in scores))
    assert f1(labels, scores > oracle.threshold) == pytest.approx(oracle.value)


@pytest.mark.parametrize("labels", [[True, True], [False, False], []])
def test_images_of_one_kind_have_no_metric(labels):
    scores = np.arange(len(labels))
    result = image_auroc(scores, labels), image_average_precision(scores, labels), image_f1_max(scores, labels).value
    assert np.isnan(result).all()


@pytest.mark.parametrize("metric", [image_auroc, image_average_precision, image_f1_max])
def test_inputs_that_cannot_be_are_refused(metric):
    with pytest.raises(ValueError, match="1 of 2 scores are not finite"):
        metric([1.0, np.nan], [True, False])
    with pytest.raises(ValueError, match="unlabelled image"):
        metric([1.0, 2.0], [1, 0])
    with pytest.raises(ValueError, match="do not match 2 images"):
        metric([1.0], [True, False])
