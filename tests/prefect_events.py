"""What the Prefect server has been told."""

import time
from collections.abc import Callable
from datetime import datetime

from prefect.client.orchestration import get_client
from prefect.events.filters import EventFilter, EventNameFilter, EventOccurredFilter
from prefect.events.schemas.events import Event


def events_since(start: datetime, name: str, *wanted: Callable[[Event], bool], most: float = 20) -> list[Event]:
    """Events of this name that the server has seen, as soon as there is one of each that is wanted."""
    names, occurred = EventNameFilter(name=[name]), EventOccurredFilter(since=start)
    deadline = time.monotonic() + most
    with get_client(sync_client=True) as client:
        while True:
            body = {"filter": EventFilter(event=names, occurred=occurred).model_dump(mode="json")}
            found = [
                Event.model_validate(one)
                for one in client.request("POST", "/events/filter", json=body).json()["events"]
            ]
            if all(any(map(one, found)) for one in wanted) or time.monotonic() > deadline:
                return found
            time.sleep(0.2)
