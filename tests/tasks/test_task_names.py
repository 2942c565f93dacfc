"""What is a Prefect task, and what helps one, can be told from a folder's listing."""

import ast
from pathlib import Path

TASKS = Path(__file__).parents[2] / "tasks"


def _tasks_in(path: Path) -> list[str]:
    functions = [node for node in ast.parse(path.read_text()).body if isinstance(node, ast.FunctionDef)]
    calls = [(f.name, d) for f in functions for d in f.decorator_list if isinstance(d, ast.Call)]
    return [name for name, call in calls if isinstance(call.func, ast.Name) and call.func.id == "task"]


def test_a_file_that_holds_a_task_has_its_name() -> None:
    held = {path: _tasks_in(path) for path in TASKS.rglob("*.py")}
    assert sum(map(len, held.values())) > 15
    assert {path.name: names for path, names in held.items() if names and names[0] != path.stem} == {}


def test_a_room_says_whether_it_holds_tasks() -> None:
    for room in (path for path in TASKS.iterdir() if (path / "__init__.py").exists()):
        holds = any(_tasks_in(path) for path in room.glob("*.py"))
        assert holds != ("No tasks." in (room / "__init__.py").read_text()), room.name
