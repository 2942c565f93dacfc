import pytest

from rd_core.drift.settings import DriftSettings
from rd_core.errors import ConfigError


@pytest.mark.parametrize(
    "wrong",
    [{"defect_share": -0.1}, {"significance": 0}, {"run_length_days": 5}, {"resamples": 3}, {"ewma_weight": 2}],
)
def test_a_setting_out_of_range_is_refused(wrong):
    with pytest.raises(ConfigError, match=f"{next(iter(wrong))} = .* lies outside"):
        DriftSettings(**wrong)


def test_no_defects_at_all_may_be_expected():
    assert DriftSettings(defect_share=0).defect_share == 0
