"""Two states of the code never pass for one."""

from pathlib import Path

import pytest

from tasks.worker import software


def test_the_digest_of_the_code_follows_every_source_and_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(software, "__file__", str(tmp_path / "tasks" / "worker" / "software.py"))
    sources = [tmp_path / name for name in ("tasks/a.py", "rd_core/metrics/b.py", "reports/templates/c.html")]
    for path in sources:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("1")
    seen = {software.code_digest.__wrapped__()}
    assert software.code_digest.__wrapped__() in seen
    for path in sources:
        path.write_text("2")
        seen.add(software.code_digest.__wrapped__())
    monkeypatch.setattr(software, "version", lambda _: "99")
    seen.add(software.code_digest.__wrapped__())
    assert len(seen) == 2 + len(sources)
