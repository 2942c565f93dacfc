"""Keys of drift reports, golden images and seals."""

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage import layout
from storage.errors import InvalidKey

FIRST, LAST = date(2026, 3, 1), date(2026, 3, 30)
NAMES = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_-]{0,20}(\.[a-z]{1,3})?", fullmatch=True)


@given(NAMES, st.dates(), NAMES)
def test_a_seals_key_tells_what_it_seals(category: str, day: date, version: str) -> None:
    assert layout.seal_partition(layout.seal_key(category, day, version)) == (category, day, version)


@pytest.mark.parametrize(
    "key", ["seals/x.json", "seals/run_date=2026-03-01/category=c/other", "scores/run_date=2026-03-01"]
)
def test_other_keys_seal_nothing(key: str) -> None:
    assert layout.seal_partition(key) is None


def test_reports_of_chosen_categories_lie_below_that_of_all() -> None:
    every = layout.drift_prefix(FIRST, LAST)
    assert every == "reports/drift/2026-03-01_2026-03-30/"
    assert layout.drift_prefix(FIRST, LAST, ["cloth", "metal"]) == f"{every}cloth_metal/"
    long = [layout.drift_prefix(FIRST, LAST, [f"category{i:03}" for i in range(n)]) for n in (50, 51)]
    assert len({*long}) == 2
    assert all(len(prefix.split("/")[-2]) <= 100 for prefix in long)
    with pytest.raises(InvalidKey):
        layout.drift_prefix(FIRST, LAST, ["../x"])


def test_golden_images_have_a_list_a_reference_and_a_days_scores() -> None:
    assert layout.golden_set_key("cloth") == "golden/cloth.json"
    assert layout.golden_reference_key("cloth", "v1") == "golden/cloth/v1.parquet"
    assert layout.golden_scores_key(FIRST, "cloth", "v1") == "reports/golden/2026-03-01/cloth/v1.parquet"
    for make in (lambda: layout.golden_set_key("a/b"), lambda: layout.golden_scores_key(FIRST, "cloth", "..")):
        with pytest.raises(InvalidKey):
            make()
