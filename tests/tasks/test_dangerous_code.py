"""What lies in a store is never run, and nothing is written beside it: rules that all packages keep.

No pickle is read, and nothing of Prefect's is kept as one.
"""

import ast
import io
import pickle
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch

import storage
from rd_core.detectors import checkpoint
from rd_core.detectors.reverse_distillation.authors_checkpoint import authors_settings, load_authors_checkpoint
from rd_core.errors import CheckpointError
from storage.errors import CorruptObject
from storage.filesystem import Store
from tasks.evaluation.tables import read_pixels

ROOT = Path(storage.__file__).parents[1]
PACKAGES = ("flows", "tasks", "review", "rd_core", "storage", "reports", "demo")
RUNNERS = {"cloudpickle", "dill", "joblib", "jsonpickle", "marshal", "shelve"}
"""modules that run what they read"""
ONLY_WITH = {"load": {"np": "allow_pickle", "numpy": "allow_pickle", "torch": "weights_only"}}
"""functions that run what they read unless told not to, by the name that stands before them"""
WRITES = {
    "write_text", "write_bytes", "mkdir", "touch", "rename", "unlink", "symlink_to", "hardlink_to", "rmtree",
    "put_object", "delete_object", "delete_objects", "upload_file", "pipe_file", "makedirs", "copyfile", "savefig",
    "tofile",
}  # fmt: skip
"""methods that change files or objects"""
WRITERS = {
    "flows/demonstration.py": "removes an earlier demonstration",
    "flows/local/file_scoring.py": "the file that scores are to go to",
    "flows/machinery/migrations.py": "the server's home folder",
    "flows/prefect_server.py": "the server's home folder",
    "flows/machinery/server_process.py": "likewise",
    "flows/printing/result_file.py": "the file that a query's rows are to go to",
    "rd_core/features/backbone_weights.py": "torch's own cache of downloads",
    "rd_core/features/shared_pass.py": "features for a while, in the machine's temporary folder",
    "storage/filesystem.py": "makes the root of a local store",
    "storage/stores/local_store.py": "the store itself",
    "storage/analysis/questions.py": "where a query may spill to",
    "storage/stores/s3_conditions.py": "one object, to try the server with",
    "storage/stores/s3_store.py": "the store itself",
    "tasks/comparison/measured_cost.py": "the kernel's count of a process's memory, to begin anew",
    "tasks/scoring/overlay_files.py": "the folder that the operator names for overlays",
}
"""modules that change files or objects other than by a store, and which"""
HARMLESS = {("pickle", "UnpicklingError"), ("yaml", "safe_load"), ("yaml", "safe_dump"), ("yaml", "YAMLError")}


def dangers(tree: ast.AST) -> Iterator[str]:
    """What in a module's source could run bytes that it reads."""
    for node in ast.walk(tree):
        where = f"line {getattr(node, 'lineno', 0)}: "
        if isinstance(node, ast.Import):
            yield from (where + one.name for one in node.names if one.name.partition(".")[0] in RUNNERS)
        elif isinstance(node, ast.ImportFrom):
            if (node.module or "").partition(".")[0] in {*RUNNERS, "pickle", "yaml"}:
                yield f"{where}from {node.module}"
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            if node.value.id in {"pickle", "yaml"} and (node.value.id, node.attr) not in HARMLESS:
                yield f"{where}{node.value.id}.{node.attr}"
            if node.attr in {"read_pickle", "to_pickle"}:
                yield f"{where}{node.attr}"
        elif isinstance(node, ast.Call):
            yield from (where + one for one in _dangerous_call(node))


def _dangerous_call(node: ast.Call) -> Iterator[str]:
    called = node.func
    if isinstance(called, ast.Name) and called.id in {"eval", "exec"}:
        yield called.id
    if isinstance(called, ast.Attribute) and isinstance(called.value, ast.Name):
        option = ONLY_WITH.get(called.attr, {}).get(called.value.id)
        safe = option == "weights_only"
        if option and not any(
            one.arg == option and isinstance(one.value, ast.Constant) and one.value.value is safe
            for one in node.keywords
        ):
            yield f"{called.value.id}.{called.attr} without {option}={safe}"
    for one in node.keywords:
        if one.arg in {"persist_result", "result_storage", "result_serializer", "cache_key_fn"}:
            yield f"{one.arg}: Prefect would keep a pickle"
        if one.arg == "allow_pickle" and not (isinstance(one.value, ast.Constant) and one.value.value is False):
            yield "allow_pickle"


def decorators(tree: ast.AST, name: str) -> Iterator[ast.Call]:
    """Calls of `name` above a function."""
    for node in ast.walk(tree):
        for one in getattr(node, "decorator_list", []):
            if isinstance(one, ast.Call) and isinstance(one.func, ast.Name) and one.func.id == name:
                yield one


@cache
def modules() -> dict[str, ast.Module]:
    """Every module of every package, parsed, by its path."""
    paths = [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]
    return {str(path.relative_to(ROOT)): ast.parse(path.read_text()) for path in paths}


def test_no_package_reads_a_pickle_or_runs_what_it_reads() -> None:
    found = {path: list(dangers(tree)) for path, tree in modules().items()}
    assert len(found) > 150
    assert {path: some for path, some in found.items() if some} == {}


@pytest.mark.parametrize(
    "source",
    [
        "import joblib",
        "from cloudpickle import loads",
        "pickle.loads(data)",
        "from pickle import loads",
        "torch.load(file)",
        "torch.load(file, weights_only=False)",
        "np.load(file)",
        "np.load(file, allow_pickle=flag)",
        "yaml.load(text)",
        "from yaml import load",
        "pd.read_pickle(file)",
        "eval(text)",
        "task(persist_result=True)",
    ],
)
def test_each_danger_is_found(source: str) -> None:
    assert list(dangers(ast.parse(source)))


def test_every_task_says_that_prefect_keeps_no_result() -> None:
    """A task with any other cache policy has its result written down, as a pickle, and read back."""
    tasks = [(path, one) for path, tree in modules().items() for one in decorators(tree, "task")]
    assert len(tasks) > 15
    for path, one in tasks:
        policies = [ast.unparse(option.value) for option in one.keywords if option.arg == "cache_policy"]
        assert policies == ["NO_CACHE"], path


def changes(tree: ast.AST) -> Iterator[str]:
    """Calls that change files or objects other than by a store."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        name = getattr(node.func, "attr", getattr(node.func, "id", ""))
        texts = [one.value for one in node.args if isinstance(one, ast.Constant) and isinstance(one.value, str)]
        for_writing = any(text and set(text) <= set("wxabt+") for text in texts)
        if name in WRITES or (name == "open" and for_writing):
            yield f"line {node.lineno}: {name}"


def test_files_and_objects_are_written_by_stores_alone() -> None:
    assert {path for path, tree in modules().items() if list(changes(tree))} == set(WRITERS)


class _Trap:
    """Unpickled, it makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple:
        return Path.touch, (self.path,)


def test_pickles_in_place_of_weights_and_tables_are_refused_and_not_run(tmp_path: Path, store: Store) -> None:
    sprung, foreign = tmp_path / "sprung", tmp_path / "foreign.pth"
    trap = pickle.dumps(_Trap(sprung), protocol=2)  # torch.load warns of another
    zipped, table = io.BytesIO(), io.BytesIO()
    torch.save(_Trap(sprung), zipped)
    np.savez(table, bins=np.array([_Trap(sprung)], dtype=object))
    for data in (trap, zipped.getvalue(), table.getvalue()):
        with pytest.raises(CheckpointError):
            checkpoint.from_bytes(data)
        foreign.write_bytes(data)
        with pytest.raises(CheckpointError):
            load_authors_checkpoint(foreign, authors_settings("resnet18"))
        store.write("reports/evaluation/pixels.npz", data)
        with pytest.raises((CorruptObject, AttributeError)):
            read_pixels(store, "reports/evaluation/pixels.npz")
    assert not sprung.exists()
    pickle.loads(trap)
    assert sprung.exists(), "the trap does not work, so nothing was shown"
