"""Listening to everything that a running suite leaves behind, to see that nothing personal and nothing secret is in it."""

import contextlib
import io
import logging
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import psycopg
import structlog
from fastapi import FastAPI
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from prometheus_client import generate_latest
from psycopg import sql

from shared.logs import configure_logs
from shared.telemetry import new_provider
from tests.support.postgres import TestDatabase


class _Raw(logging.Handler):
    """Keeps what was said before anything was blanked in it."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.said: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.said.append(f"{record.msg} {record.args} {logging.Formatter().format(record)}")


@dataclass
class Ears:
    """What was heard so far."""

    lines: io.StringIO = field(default_factory=io.StringIO)
    raw: _Raw = field(default_factory=_Raw)
    spans: InMemorySpanExporter = field(default_factory=InMemorySpanExporter)

    def heard(self) -> dict[str, str]:
        """By where it was heard: logs as they are written, and before the last guard; traces; metrics."""
        spans = [(span.name, dict(span.attributes or {}), span.status.description, span.events) for span in self._spans()]
        return {
            "logs": self.lines.getvalue(),
            "what was said to the logs": "\n".join(self.raw.said),
            "traces": "\n".join(map(str, spans)),
            "metrics": generate_latest().decode(),
        }

    def _spans(self) -> tuple[Any, ...]:
        return self.spans.get_finished_spans()


@contextlib.contextmanager
def listening(*apps: FastAPI) -> Iterator[Ears]:
    """Logs at their most talkative, as the processes configure them, and a span of every request."""
    ears, root, configured = Ears(), logging.getLogger(), structlog.get_config()
    handlers, level = root.handlers[:], root.level
    configure_logs("DEBUG", service="a-test")
    structlog.configure(**{**structlog.get_config(), "cache_logger_on_first_use": False})  # later tests shall have their own
    for handler in root.handlers:
        assert isinstance(handler, logging.StreamHandler)
        handler.setStream(ears.lines)
    root.addHandler(ears.raw)
    provider = new_provider("a-test", SimpleSpanProcessor(ears.spans))
    before = [app._telemetry["tracer_provider"] for app in apps]
    for app in apps:
        app._telemetry["tracer_provider"] = provider
    try:
        yield ears
    finally:
        for app, was in zip(apps, before, strict=True):
            app._telemetry["tracer_provider"] = was
        structlog.configure(**configured)
        root.handlers[:] = handlers
        root.setLevel(level)


def tables_of(database: TestDatabase) -> dict[str, str]:
    """Every table of a database as text, by its name."""
    with psycopg.connect(database.superuser_url) as conn:
        names = [row[0] for row in conn.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")]
        query = sql.SQL("SELECT CAST(t.* AS text) FROM {} t")
        return {n: "\n".join(r[0] for r in conn.execute(query.format(sql.Identifier(n)))) for n in names}


def forms_of(canary: str) -> set[str]:
    """How it could stand somewhere: as it is, in small letters, without its dashes and its country, in hexadecimal."""
    plain = {canary, canary.lower(), canary.replace("-", ""), canary.replace("-", "").lower(), canary.removeprefix("+86")}
    return plain | {text.encode().hex() for text in plain} | {text.encode("unicode_escape").decode() for text in plain}


def hits(places: Mapping[str, str], canaries: Mapping[str, str]) -> set[tuple[str, str]]:
    """(place, name of the canary) wherever one sings."""
    return {
        (place, name)
        for place, text in places.items()
        for name, c in canaries.items()
        if any(_in(f, text) for f in forms_of(c))
    }


def _in(form: str, text: str) -> bool:
    """Whether it stands there; a short number only by itself, since any would stand somewhere inside of long ones."""
    if form not in text or len(form) > 8 or not form.isdecimal():
        return form in text
    return re.search(rf"(?<![0-9A-Fa-f.]){form}(?![0-9A-Fa-f])", text) is not None
