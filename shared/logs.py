"""Structured logs: one JSON object a line, tied together by the trace, with nothing secret in them (G48)."""

import logging
import re
import sys
from collections.abc import Mapping, MutableMapping
from typing import Any

import structlog
from opentelemetry import trace

SECRET_NAMES = re.compile(
    r"(token|secret|password|authorization|cookie|code|phone|name_|key$|address)",
    re.IGNORECASE,
)
SECRET_TEXTS = re.compile(
    r"(eyJ[\w-]+\.[\w-]+\.[\w-]*"  # a token
    r"|\+\d{8,15}(?!\d)|(?<![\w.])1[3-9]\d{9}(?!\d)"  # a telephone number, in E.164 or as it is dialled at home
    r"|\b[0-9A-HJKMNP-TV-Z]{4}(-?[0-9A-HJKMNP-TV-Z]{4}){3}\b"  # a voucher code
    r"|postgresql[+\w]*://[^@\s]+@"  # an address with a password
    r"|(?m:(?<=DETAIL:  ).*$))"  # the row or key that PostgreSQL quotes in an error
)
ALLOWED_NAMES = frozenset({"status_code", "code_kind"})


def _without_secrets(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """The last guard: fields that sound secret and texts that look secret are blanked. Callers should not log them at all."""
    for name, value in event.items():
        event[name] = _blanked(name, value)
    return event


def _blanked(name: str, value: Any) -> Any:
    if SECRET_NAMES.search(name) and name not in ALLOWED_NAMES:
        return "…"
    if isinstance(value, Mapping):
        return {key: _blanked(str(key), child) for key, child in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_blanked("", child) for child in value]
    if value is None or isinstance(value, bool | int | float):
        return "…" if SECRET_TEXTS.search(str(value)) else value
    return SECRET_TEXTS.sub("…", str(value))


def _with_trace(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    context = trace.get_current_span().get_span_context()
    if context.is_valid:
        event["trace_id"] = trace.format_trace_id(context.trace_id)
    return event


def _as_service(service: str) -> Any:
    """Every line says whose it is, whichever task wrote it."""

    def name_it(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        event["service"] = service
        return event

    return name_it


def configure_logs(level: str, *, service: str) -> None:
    """Send the process's logs to standard error as JSON lines, those of libraries too."""
    before: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        _with_trace,
        _as_service(service),
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
    for noisy in ("uvicorn.access", "httpx", "httpcore"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
