"""The crash storm: what it sees, what its proxy does, and a short one (by `make proofs`)."""

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.client import HTTPConnection, RemoteDisconnected
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest
from prefect.logging import disable_run_logger

from proofs.model_cards import made_up_card
from proofs.storm import content_scorer, faulty_proxy
from proofs.storm.examination import Losses, Reference, examine, read_reference
from proofs.storm.faulty_proxy import FaultyProxy
from proofs.storm.plant import BATCH_IMAGES, DAYS, IMAGES, NOW, SIZE, Line, furnish
from proofs.storm.rounds import KINDS
from proofs.storm.weather import CLEAR, FAULTS
from storage.filesystem import Store, open_store
from storage.partitions import anomaly_maps, scores, seals
from storage.records import Partition
from tasks.night.pin_champion import PinnedModel
from tasks.night.plan_batches import PartitionJob, plan_batches
from tasks.night.score_batch import score_batch
from tasks.night.seal_partition import seal_partition

pytestmark = pytest.mark.slow  # of a tool that is slow itself
DAY = DAYS[0]
FIRST_PART = 0


@pytest.fixture
def line(tmp_path: Path) -> Line:
    (tmp_path / "late").mkdir()
    line = Line(open_store(tmp_path / "images", create=True), tmp_path / "late")
    line.add_late_images()
    return line


@pytest.fixture
def store(line: Line, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """A night of one category, scored in this process."""
    monkeypatch.setattr("tasks.worker.scorer.warm_scorer", content_scorer.content_scorer)
    return scored(tmp_path / "store", line)


@pytest.fixture
def reference(store: Store) -> Reference:
    return read_reference(store)


def scored(folder: Path, line: Line, run_id: str = "run") -> Store:
    store = open_store(folder, create=True)
    furnish(store)
    maps = made_up_card(side=SIZE).maps
    model = PinnedModel("cloth", "v1", "storm", SIZE * SIZE, maps, 2.0, 2.0, 0.05, False, "torch")
    job = PartitionJob(store.uri, line.images.uri, DAY, model, run_id, NOW, BATCH_IMAGES)
    with disable_run_logger():
        planned = plan_batches.fn(job)
        assert planned.plan is not None
        receipts = [score_batch.fn(job.store_uri, job.images_uri, batch) for batch in planned.batches]
        seal_partition.fn(job.store_uri, planned.plan, receipts, NOW)
    return store


def seen(store: Store, line: Line, reference: Reference) -> Losses:
    return examine(store, line.images, reference, [DAY], ["cloth"])


def test_the_same_night_of_another_run_loses_nothing(line: Line, reference: Reference, tmp_path: Path) -> None:
    assert len(reference) == IMAGES
    assert seen(scored(tmp_path / "other", line, "another run"), line, reference).nothing


def test_each_loss_is_seen_under_its_name(store: Store, line: Line, reference: Reference) -> None:
    seal = seals.read_seal(store, Partition("cloth", DAY, "v1"))
    assert seal is not None
    plan, part = seal.plans[0], seal.plans[0].parts[FIRST_PART]
    rows, whole = scores.to_rows(scores.read_part(store, part.key)), store.read(part.key)

    scores.write_part(store, part.key, rows[:-1])
    losses = seen(store, line, reference)
    assert losses.lost == 1 and losses.changed and losses.wrong

    scores.write_part(store, part.key, [*rows[:-1], rows[0]])
    losses = seen(store, line, reference)
    assert (losses.lost, losses.twice, losses.maps_without_rows) == (1, 1, 1)

    scores.write_part(store, part.key, rows[::-1])
    losses = seen(store, line, reference)
    assert losses.lost == losses.twice == 0 and losses.changed

    scores.write_part(store, part.key, [replace(rows[0], brightness=0.5), *rows[1:]])
    assert seen(store, line, reference).changed == 1
    store.write(part.key, whole)
    assert seen(store, line, reference).nothing

    maps = anomaly_maps.read_maps(store, plan.map_store, range(BATCH_IMAGES))
    anomaly_maps.write_batch_maps(store, plan.map_store, 0, np.full_like(maps, np.nan))
    losses = seen(store, line, reference)
    assert losses.rows_without_maps == BATCH_IMAGES and losses.wrong
    anomaly_maps.write_batch_maps(store, plan.map_store, 0, maps * np.float16(0.999))
    assert seen(store, line, reference).changed


def test_an_unsealed_part_needs_its_maps_as_well(store: Store, line: Line, reference: Reference) -> None:
    seal = seals.read_seal(store, Partition("cloth", DAY, "v1"))
    assert seal is not None
    store.remove(f"seals/run_date={DAY}/category=cloth/model_version=v1.json")
    losses = seen(store, line, reference)
    assert (losses.lost, losses.rows_without_maps) == (IMAGES, 0)
    store.remove(f"{seal.plans[0].map_store}/c/0/0/0")
    assert seen(store, line, reference).rows_without_maps == BATCH_IMAGES


class _Echo(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_PUT(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Quiet."""


@pytest.fixture
def proxy() -> Iterator[FaultyProxy]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Echo) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        proxy = FaultyProxy("127.0.0.1", server.server_port)
        yield proxy
        proxy.close()
        server.shutdown()


def put(proxy: FaultyProxy, body: bytes) -> tuple[int, bytes]:
    where = urlsplit(proxy.endpoint)
    connection = HTTPConnection(where.hostname or "", where.port, timeout=10)
    try:
        connection.request("PUT", "/key", body, {"If-None-Match": "*"})
        answer = connection.getresponse()
        return answer.status, answer.read()
    except (RemoteDisconnected, ConnectionResetError):
        return 0, b""
    finally:
        connection.close()


def test_the_proxy_passes_all_on_in_clear_weather_and_fails_in_every_way_in_a_storm(
    proxy: FaultyProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    for size in (0, 1, 300_000):
        assert put(proxy, b"x" * size) == (200, b"x" * size)
    assert proxy.injected == 0
    monkeypatch.setattr(faulty_proxy, "SLOW_SECONDS", 0.01)
    monkeypatch.setattr(faulty_proxy, "OUTAGE_SECONDS", 0.0)
    proxy.weather = replace(FAULTS, share=1.0)
    assert {put(proxy, b"x")[0] for _ in range(150)} == {0, 200, 409, 412, 500, 503, 507}
    assert proxy.injected == 150
    proxy.weather = CLEAR
    assert put(proxy, b"x") == (200, b"x")


@pytest.mark.timeout(1800)
def test_a_short_storm_loses_nothing_and_is_taken_up_again(tmp_path: Path) -> None:
    kinds = [kind for kind in KINDS if kind not in ("backfill and night", "promotion", "flow and its workers killed")]
    out = tmp_path / "storm.jsonl"
    command = [sys.executable, "-m", "proofs.storm", "--rounds", str(len(kinds)), "--out", str(out)]
    command += ["--results", str(tmp_path / "results"), *(word for kind in kinds for word in ("--kind", kind))]
    done = subprocess.run([*command, "--folder", str(tmp_path / "site")], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert sorted(json.loads(line)["kind"] for line in out.read_text().splitlines()) == sorted(kinds)
    again = subprocess.run(command, capture_output=True, text=True, check=False)
    assert again.returncode == 0
    assert again.stdout.splitlines() == done.stdout.splitlines()[-len(again.stdout.splitlines()) :]
