"""The storage's behaviour during a round, shared with every process through one small file."""

import json
import os
import random
import time
from dataclasses import asdict, dataclass
from pathlib import Path

VARIABLE = "STORM_WEATHER"
"""environment variable that names the file; without it the weather is clear"""


@dataclass(frozen=True)
class Weather:
    """Behaviour of the stores."""

    share: float = 0.0
    """of operations that fail or are slow, [0, 1]"""
    most_delay: float = 0.0
    """seconds; each write waits a random time up to it, so that a kill often falls between writes"""
    full: bool = False
    """whether writes fail for lack of space"""


CLEAR = Weather()
SLOW_WRITES = Weather(most_delay=0.08)
FAULTS = Weather(share=0.05)


def write_weather(path: Path, weather: Weather) -> None:
    """Set the weather for all processes that read `path`."""
    fresh = path.with_suffix(".new")
    fresh.write_text(json.dumps(asdict(weather)))
    fresh.replace(path)


def current() -> Weather:
    """The weather of this process."""
    path = os.environ.get(VARIABLE)
    return Weather(**json.loads(Path(path).read_text())) if path else CLEAR


def writes(path: Path) -> int:
    """Writes to local stores begun so far, by all processes."""
    count = _counter(path)
    return count.stat().st_size if count.exists() else 0


def begin_write(weather: Weather) -> None:
    """Count a write, and delay it."""
    if path := os.environ.get(VARIABLE):
        with _counter(Path(path)).open("ab") as count:
            count.write(b"w")
    if weather.most_delay:
        time.sleep(random.uniform(0, weather.most_delay))


def _counter(path: Path) -> Path:
    """A file with a byte for each write: appending is atomic."""
    return path.with_suffix(".writes")
