import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from rd_core.metrics.image_metrics import image_ranking
from rd_core.metrics.threshold_curve import ThresholdCurve
from tests.examples import examples

SCORES = st.lists(st.tuples(st.sampled_from([-1e300, 0.0, 0.5, 1.0, 1e300]) | st.floats(-3, 3), st.booleans()))


@given(SCORES, st.lists(st.floats(-4, 4), max_size=5))
@examples(60)
def test_every_step_is_what_counting_gives(images, between):
    scores, labels = np.array([s for s, _ in images], float), np.array([a for _, a in images], bool)
    curve = ThresholdCurve.of(image_ranking(scores, labels))
    assert curve.thresholds.tolist() == [-np.inf, *sorted(set(scores.tolist()))]
    for index, threshold in enumerate(curve.thresholds):
        assert curve.found[index] == sum(a and s > threshold for s, a in images)
        assert curve.alarms[index] == sum(not a and s > threshold for s, a in images)
    anywhere = np.array([*between, *scores])
    others = curve.at(anywhere)
    for rates, group in ((others.recall, labels), (others.false_alarm_rate, ~labels)):
        expected = [np.mean(scores[group] > t) if group.any() else np.nan for t in anywhere]
        np.testing.assert_array_equal(rates, expected)
