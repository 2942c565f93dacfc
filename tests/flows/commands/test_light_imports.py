"""What a command must not import: seconds of its start, and memory for as long as it runs."""

import json
import subprocess
import sys

CODE = """
import json, sys
import typer
import flows.cli  # of every command, also of --help and --version
early = {"storage.filesystem", "pyarrow", "zarr", "prefect", "pydantic", "numpy"} & set(sys.modules)
import rd_inspect
early |= {"torch", "prefect", "distributed", "duckdb", "pyarrow", "pydantic"} & set(sys.modules)
from flows.commands.frame import plain_errors
import flows.inspection, flows.backfill, flows.drift, flows.evaluation, flows.commands.tables.plant
for own in (typer.Exit(1), typer.BadParameter("x")):  # an ending with its own code is no error to look up
    try:
        with plain_errors():
            raise own
    except (typer.Exit, typer.BadParameter) as e:
        assert e is own
json.dump(sorted(early | {"torch", "torchvision", "timm", "openvino", "distributed"} & set(sys.modules)), sys.stdout)
"""


def test_a_night_is_orchestrated_without_the_networks_libraries_and_a_small_one_without_a_cluster() -> None:
    found = subprocess.run([sys.executable, "-c", CODE], capture_output=True, check=True, text=True)
    assert json.loads(found.stdout) == []
