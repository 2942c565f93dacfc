"""A night's spans, as a collector gets them."""

import logging
import os
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest
from opentelemetry import trace
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from storage.filesystem import Store
from tasks.worker import traces
from tests.factories import DAY, put_images, put_model
from tests.posts import Posts, posts

IMAGES = ["a.png", "b.png", "c.png"]


@pytest.fixture
def collector() -> Iterator[Posts]:
    with posts() as server:
        yield server


@pytest.mark.slow
def test_a_night_is_one_trace_and_its_batches_say_what_they_did(
    store: Store, command_environment: Callable[..., dict[str, str]], collector: Posts
) -> None:
    put_model(store, "cloth")
    put_images(store, "cloth", IMAGES)
    subprocess.run(
        [sys.executable, "-c", "from flows.cli import main; main()", "inspect", "--run-date", str(DAY)],
        env=command_environment(
            RD_INSPECT_STORE=store.uri, RD_INSPECT_WORKERS="1", OTEL_EXPORTER_OTLP_ENDPOINT=collector.url
        ),
        check=True,
        capture_output=True,
    )
    sent = [ExportTraceServiceRequest.FromString(body) for path, body in collector.bodies if path == "/v1/traces"]
    resources = [resource for request in sent for resource in request.resource_spans]
    names = {a.value.string_value for r in resources for a in r.resource.attributes if a.key == "service.name"}
    assert names == {"rd-inspect"}
    spans = [span for resource in resources for scope in resource.scope_spans for span in scope.spans]
    assert len({span.trace_id for span in spans}) == 1
    of_flows = [span for span in spans if _attributes(span)["prefect.run.type"] == "flow"]
    assert sum(not span.parent_span_id for span in of_flows) == 1
    (batch,) = [span for span in spans if span.name == "score cloth batch 0"]
    told = _attributes(batch)
    assert told["rd_inspect.category"] == "cloth"
    assert told["rd_inspect.rows"] == len(IMAGES)
    assert told["rd_inspect.seconds.forward"] > 0


def _attributes(span: object) -> dict[str, object]:
    return {a.key: getattr(a.value, a.value.WhichOneof("value")) for a in span.attributes}


@pytest.fixture
def begin_anew() -> Iterator[None]:
    traces.begin_traces.cache_clear()
    yield
    traces.begin_traces.cache_clear()


@pytest.mark.usefixtures("begin_anew")
def test_without_a_collector_nothing_is_begun(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in traces.ENDPOINTS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(trace, "set_tracer_provider", lambda _: pytest.fail("begun"))
    traces.begin_traces()
    traces.dask_teardown(None)


@pytest.mark.usefixtures("begin_anew")
def test_a_collector_without_the_extra_is_told_and_stops_nothing(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(os.environ, traces.ENDPOINTS[0], "http://127.0.0.1:1")
    monkeypatch.setitem(sys.modules, "tasks.worker.trace_provider", None)
    monkeypatch.setattr(trace, "set_tracer_provider", lambda _: pytest.fail("begun"))
    with caplog.at_level(logging.WARNING):
        traces.begin_traces()
    assert "pip install 'rd-inspect[traces]'" in caplog.text
