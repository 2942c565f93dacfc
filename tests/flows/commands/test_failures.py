"""Exit codes of errors: of those that are ours, and none of bugs."""

import sys
from pydoc import locate

import pytest
from distributed.scheduler import KilledWorker

from flows.commands.failures import OF_TASKS, exit_code_of
from flows.errors import RUN_FAILED, WRONG_USE, in_words
from storage.errors import QueryError, TransientFault


@pytest.mark.parametrize("name", OF_TASKS)
def test_errors_of_tasks_are_where_they_are_said_to_be(name: str) -> None:
    kind = locate(name)
    assert isinstance(kind, type)
    assert issubclass(kind, Exception)
    other = type("Other", (kind,), {"__init__": lambda self: None})
    assert exit_code_of(other()) == OF_TASKS[name]


def test_a_bug_has_no_exit_code_and_ours_have() -> None:
    assert exit_code_of(ValueError("a")) is None
    assert (exit_code_of(QueryError("a")), exit_code_of(TransientFault("a"))) == (WRONG_USE, RUN_FAILED)


def test_looking_up_an_error_imports_none_of_the_tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    """What they kept of the error made DuckDB tell of leaks when Python ended."""
    for name in OF_TASKS:
        monkeypatch.setitem(sys.modules, name.rpartition(".")[0], None)
    assert exit_code_of(KeyError("a")) is None


def test_a_killed_process_is_told_without_dasks_words() -> None:
    told = in_words(KilledWorker("fit_contender-d6d0", None, 3))
    assert "memory runs out" in told and "fit_contender" not in told
