"""Turning errors into answers, in the language of whoever asked."""

from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import Request, Response

from shared.errors import DomainError, FieldError
from shared.languages import Language, choose
from shared.measuring import template_of
from shared.metrics import REFUSALS
from shared.problems import Catalogue, ProblemType, body_of, response_of
from shared.telemetry import current_trace_id


def language_of(request: Request) -> Language:
    """The language in which this caller is answered."""
    return choose(request.headers.get("accept-language"))


def problem_answer(
    request: Request,
    kind: ProblemType,
    *,
    facts: Mapping[str, Any] | None = None,
    wrong: Sequence[FieldError] = (),
    headers: Mapping[str, str] | None = None,
) -> Response:
    """The answer for one kind of problem."""
    REFUSALS.labels(kind.code, template_of(request.scope)).inc()
    language = language_of(request)
    catalogue: Catalogue = request.app.state.catalogue
    errors = [
        {**(w.facts or {}), "field": w.field, "code": w.code, "detail": catalogue.sentence_of(w, language)} for w in wrong
    ]
    trace_id = current_trace_id()
    body = body_of(kind, language, instance=request.url.path, trace_id=trace_id, facts=facts, errors=errors)
    return response_of(kind, body, language, headers=headers)


def refusal_answer(request: Request, error: DomainError) -> Response | None:
    """The answer for a domain error, or None when nobody mapped it."""
    catalogue: Catalogue = request.app.state.catalogue
    kind = catalogue.type_of(error)
    return None if kind is None else problem_answer(request, kind, facts=error.facts, wrong=error.fields)
