"""Structured logs: one JSON object a line, tied together by the trace, with nothing secret in them (G48)."""

import logging
import re
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog
from opentelemetry import trace

SECRET_NAMES = re.compile(
    r"(token|secret|password|authorization|cookie|code|phone|name_|key$|address)",
    re.IGNORECASE,
)
SECRET_TEXTS = re.compile(
    r"(eyJ[\w-]+\.[\w-]+\.[\w-]*"  # a token
    r"|\b1[3-9]\d{9}\b"  # a mobile number
    r"|\b[0-9A-HJKMNP-TV-Z]{4}(-?[0-9A-HJKMNP-TV-Z]{4}){3}\b"  # a voucher code
    r"|postgresql[+\w]*://[^@\s]+@)"  # an address with a password
)
ALLOWED_NAMES = frozenset({"status_code", "code_kind"})


def _without_secrets(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """The last guard: fields that sound secret and texts that look secret are blanked. Callers should not log them at all."""
    for name, value in event.items():
        if SECRET_NAMES.search(name) and name not in ALLOWED_NAMES:
            event[name] = "…"
        elif isinstance(value, str):
            event[name] = SECRET_TEXTS.sub("…", value)
    return event


def _with_trace(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    context = trace.get_current_span().get_span_context()
    if context.is_valid:
        event["trace_id"] = trace.format_trace_id(context.trace_id)
    return event


def configure_logs(level: str, *, service: str) -> None:
    """Send the process's logs to standard error as JSON lines, those of libraries too."""
    before: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        _with_trace,
    ]
    structlog.configure(
        processors=[*before, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level]),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=before,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                _without_secrets,
                structlog.processors.JSONRenderer(ensure_ascii=False, default=str),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    structlog.contextvars.bind_contextvars(service=service)
    for noisy in ("uvicorn.access", "httpx", "httpcore"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
