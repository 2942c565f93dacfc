"""What a command must not import: seconds of its start, and memory for as long as it runs."""

import json
import subprocess
import sys

CODE = """
import json, sys
import flows.inspection, flows.backfill, flows.drift, flows.evaluation, flows.tables.plant
json.dump(sorted({"torch", "torchvision", "timm", "openvino"} & set(sys.modules)), sys.stdout)
"""


def test_a_night_is_orchestrated_without_the_networks_libraries() -> None:
    found = subprocess.run([sys.executable, "-c", CODE], capture_output=True, check=True, text=True)
    assert json.loads(found.stdout) == []
