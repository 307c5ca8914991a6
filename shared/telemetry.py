"""Traces: FastAPI records them itself, here they get somewhere to go."""

from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

TELEMETRY = {"logs": False, "metrics": False, "operation_spans": False}
"""For `FastAPI(telemetry=…)`: its log records would hold the texts of exceptions, its inner spans cost more than they tell, and
its metrics cost ten times what counting them here does (`shared.measuring`)."""


def configure_telemetry(*, service: str, otlp_endpoint: str | None) -> None:
    """Send spans to a collector where one is named. Once a process."""
    resource = Resource.create({"service.name": service})
    tracer = TracerProvider(resource=resource)
    if otlp_endpoint is not None:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415 - slow to import

        tracer.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=otlp_endpoint)))
    trace.set_tracer_provider(tracer)


def current_trace_id() -> str:
    """The id under which this request's spans and logs are found; zeros outside a request."""
    return trace.format_trace_id(trace.get_current_span().get_span_context().trace_id)
