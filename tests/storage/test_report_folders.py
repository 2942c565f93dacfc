"""Which folders below reports/ are of days."""

from datetime import date

import pytest

from storage.layout import folder_days


@pytest.mark.parametrize(
    ("name", "days"),
    [("2026-02-09_2026-03-09", (date(2026, 2, 9), date(2026, 3, 9))), ("2026-03-01", None),
     ("2026-02-30_2026-03-01", None), ("2026-03-02_2026-03-01", None), ("run_date=2026-03-01_", None),
     ("", None), ("20260301_20260302", None)],
)  # fmt: skip
def test_only_windows_are_windows(name: str, days: tuple[date, date] | None) -> None:
    assert folder_days(name) == days
