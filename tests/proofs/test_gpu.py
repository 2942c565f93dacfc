"""What is to run on the day a card is at hand runs here, small: with nothing but what that machine has."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from rd_core.detectors.registry import METHODS

BARE = """
import runpy, sys

OURS = {"rd_core", "proofs", "torch", "numpy", "scipy", "safetensors", "PIL"}
TORCHS = {"torchgen", "functorch", "sympy", "mpmath", "networkx", "jinja2", "markupsafe", "fsspec", "filelock"}
TORCHS |= {"typing_extensions", "triton", "nvidia"}
HERE = OURS | TORCHS | sys.stdlib_module_names

class Bare:
    def __init__(self, finder):
        self.finder = finder

    def find_spec(self, name, path=None, target=None):
        top = name.partition(".")[0]
        return self.finder.find_spec(name, path, target) if top in HERE or top.startswith("_sysconfigdata") else None

    def __getattr__(self, name):
        return getattr(self.finder, name)

sys.meta_path[:] = [Bare(finder) for finder in sys.meta_path]
sys.argv = ["gpu", "--precision", "float32", "--out", sys.argv[1]]
runpy.run_module("proofs.gpu", run_name="__main__")
"""


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict:
    out = tmp_path_factory.mktemp("gpu") / "gpu.json"
    environment = {**os.environ, "PYTHONPATH": str(Path.cwd()), "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", BARE, str(out)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    assert "No card here" in done.stdout
    return json.loads(out.read_text())


def test_it_runs_without_a_card_with_nothing_but_torch_numpy_scipy_safetensors_and_pillow(found: dict) -> None:
    assert found["failed"] == []
    assert found["machine"]["card"] is None
    for method in METHODS:
        for section in ("beside the CPU", "with ignored pixels"):
            one = found[f"{method} float32 {section}"]["as it is"]
            assert (one["maps_apart"], one["scores_apart"], one["decisions_flipped"]) == (0, 0, 0)
        assert all(found[f"{method} float32 with ignored pixels"]["ignored"].values())
        rates = found[f"{method} float32 rates"]["2"]
        assert all(rates[name] > 0 for name in ("images_per_second", "gflop_an_image", "of_matrix_product"))
    assert len(found["two categories in turn"]["models"]) == 2
