"""Traces: every request has one, so that its logs, its problems and its calls are found together.

Where a collector is named, FastAPI records spans and they are sent there. Elsewhere nothing is recorded, since nobody would
read it: the trace is carried on alone, which costs a hundredth.
"""

from contextvars import Token

from opentelemetry import propagate, trace
from opentelemetry.context import Context, attach, detach
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Span, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.trace import NonRecordingSpan, SpanContext, set_span_in_context
from starlette.types import Scope

TELEMETRY = {"logs": False, "metrics": False, "operation_spans": False}
"""For `FastAPI(telemetry=…)`: its log records would hold the texts of exceptions, its inner spans cost more than they tell, and
its metrics cost ten times what counting them here does (`shared.measuring`)."""
CALLERS_TRACE = b"traceparent"
QUERY, BLANK = "url.query", "REDACTED"
_IDS = RandomIdGenerator()


class BlankQueries(SpanProcessor):
    """What stands behind the question mark goes into no span: a sign-in has a code there that is good for a token."""

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:  # noqa: ARG002 - as the port has it
        """FastAPI begins a span with the query; who exports it sees it at its end."""
        if QUERY in (span.attributes or ()):
            span.set_attribute(QUERY, BLANK)


def new_provider(service: str, processor: SpanProcessor) -> TracerProvider:
    """What makes the spans of a process, and where they go."""
    provider = TracerProvider(resource=Resource.create({"service.name": service}))
    provider.add_span_processor(BlankQueries())
    provider.add_span_processor(processor)
    return provider


def configure_telemetry(*, service: str, otlp_endpoint: str | None) -> None:
    """Send spans to a collector where one is named. Once a process."""
    if otlp_endpoint is None:
        return
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415 - slow to import

    trace.set_tracer_provider(new_provider(service, BatchSpanProcessor(OTLPSpanExporter(endpoint=otlp_endpoint))))


def carry_trace(scope: Scope) -> Token[Context]:
    """Put the caller's trace, or a new one, around what follows; `drop_trace` ends it."""
    theirs = next((value for name, value in scope["headers"] if name == CALLERS_TRACE), None)
    if theirs is not None:
        context = propagate.extract({"traceparent": theirs.decode("latin-1")})
        if trace.get_current_span(context).get_span_context().is_valid:
            return attach(context)
    ours = SpanContext(_IDS.generate_trace_id(), _IDS.generate_span_id(), is_remote=False)
    return attach(set_span_in_context(NonRecordingSpan(ours)))


def drop_trace(token: Token[Context]) -> None:
    """The end of what `carry_trace` began."""
    detach(token)


def current_trace_id() -> str:
    """The id under which this request's spans and logs are found; zeros outside a request."""
    return trace.format_trace_id(trace.get_current_span().get_span_context().trace_id)
