"""What a run's report says of label files that do not read."""

from datetime import UTC, datetime
from pathlib import Path

from storage.filesystem import LocalStore
from storage.labels import Label, write_labels
from tasks.night_summary import NightSummary
from tasks.write_run_report import _pictured


def test_a_label_file_that_does_not_read_is_named_and_the_report_is_written(tmp_path: Path) -> None:
    local = LocalStore(tmp_path)
    write_labels(local, "cloth", [Label("a", "normal", None, "Eva", datetime(2026, 3, 3, tzinfo=UTC))], "fine")
    local.write("labels/cloth/bad.csv", b"image_key,label\na,okay\n")
    told: list[str] = []
    assert _pictured(local, local, "cloth", NightSummary(3, 3, 0.05, 3), {}, told) == ([], [])
    [words] = told
    assert words.startswith("labels/cloth/bad.csv does not read") and "line 2" in words
