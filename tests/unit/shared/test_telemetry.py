"""What a span says of a request: its address, and nothing of what stands behind the question mark (G48)."""

import pytest
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from shared.telemetry import new_provider
from tests.support.tiny_app import client_of, new_app
from tests.support.tokens import Issuer

pytestmark = pytest.mark.anyio


@pytest.mark.proves("G48")
async def test_no_span_carries_the_query(issuer: Issuer) -> None:
    app, spans = new_app(issuer), InMemorySpanExporter()
    app._telemetry["tracer_provider"] = new_provider("a-test", SimpleSpanProcessor(spans))
    async with client_of(app) as client:
        for path in ("/v1/list?cursor=a-secret-code&state=a-secret-state", "/nowhere?code=a-secret-code", "/v1/list"):
            await client.get(path)
    told = [dict(span.attributes or {}) for span in spans.get_finished_spans()]
    assert [span["url.path"] for span in told] == ["/v1/list", "/nowhere", "/v1/list"]
    assert "secret" not in str(told)
