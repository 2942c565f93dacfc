"""The OpenTelemetry SDK, of the extra `traces`, imported only if a collector is named."""

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from prefect.context import FlowRunContext
from prefect.telemetry.run_telemetry import LABELS_TRACEPARENT_KEY


class _TraceOfTheFlow(RandomIdGenerator):
    """Gives tasks in other processes, which Prefect starts without a parent, the flow's trace."""

    def generate_trace_id(self) -> int:
        """The trace of the surrounding flow run, else a new one."""
        context = FlowRunContext.get()
        labels = context.flow_run.labels if context and context.flow_run else {}
        parent = labels.get(LABELS_TRACEPARENT_KEY)  # version-trace-span-flags, W3C Trace Context
        return int(str(parent).split("-")[1], 16) if parent else super().generate_trace_id()


def provider(service: str) -> TracerProvider:
    """A provider that sends spans in the background, by the environment (`OTEL_EXPORTER_OTLP_...`), as `service`."""
    made = TracerProvider(resource=Resource.create({SERVICE_NAME: service}), id_generator=_TraceOfTheFlow())
    made.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return made
