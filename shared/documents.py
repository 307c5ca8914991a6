"""A service's OpenAPI document: what FastAPI knows of the routes, and what holds for all of them.

Every route can refuse with a problem (RFC 9457), is called with a token, and answers in the caller's language. That is said
here once, from what the routes declare, so that no route can forget it and no client is surprised.
"""

from collections.abc import Iterator, Sequence
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI
from fastapi.routing import APIRoute

from shared.identity.policy import Grant, SignedPolicy, api_routes, policy_of
from shared.problems import MEDIA_TYPE

LANGUAGE = {
    "name": "Accept-Language",
    "in": "header",
    "required": False,
    "description": "zh-Hans (when nothing fits), zh-Hant or en.",
    "schema": {"type": "string"},
    "example": "zh-Hant",
}
FIELD_PROBLEM = {
    "type": "object",
    "description": "One thing that is wrong with what was sent; further members are facts.",
    "required": ["field", "code", "detail"],
    "properties": {
        "field": {"type": "string", "description": "`lines[0].quantity`; empty for the whole body; `query:limit` elsewhere."},
        "code": {"type": "string", "description": "Stable; for programs."},
        "detail": {"type": "string", "description": "For people, in the caller's language."},
    },
}
PROBLEM = {
    "type": "object",
    "description": "A refusal (RFC 9457); some types show further members.",
    "required": ["type", "title", "status", "detail", "instance", "trace_id", "recoverable"],
    "properties": {
        "type": {"type": "string", "format": "uri", "description": "Which problem it is; stable."},
        "title": {"type": "string", "description": "In English."},
        "status": {"type": "integer", "minimum": 400, "maximum": 599},
        "detail": {"type": "string", "description": "A sentence for the person, in their language."},
        "instance": {"type": "string"},
        "trace_id": {"type": "string", "description": "Under which the logs of this request are found."},
        "recoverable": {"type": "boolean", "description": "Whether sending the same request again can help."},
        "errors": {"type": "array", "items": {"$ref": "#/components/schemas/FieldProblem"}},
    },
}
SIGNATURE = {
    "type": "apiKey",
    "in": "header",
    "name": "webhook-signature",
    "description": "Standard Webhooks: `v1,` and in base64 the HMAC-SHA256 of `<webhook-id>.<webhook-timestamp>.<body>`.",
}
WRITES = frozenset({"POST", "PUT", "PATCH", "DELETE"})


class DocumentedApp(FastAPI):
    """An application whose document is complete."""

    def openapi(self) -> dict[str, Any]:
        """The document, made once."""
        if self.openapi_schema is None:
            self.openapi_schema = _completed(super().openapi(), api_routes(self))
        return self.openapi_schema


def name_operation(route: APIRoute) -> str:
    """A route's operation id is the name of its function: what a generated client calls it."""
    return route.name


def _completed(document: dict[str, Any], routes: Sequence[APIRoute]) -> dict[str, Any]:
    components = document.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    schemas.pop("HTTPValidationError", None)  # FastAPI's own answer, which ours replaces
    schemas.pop("ValidationError", None)
    schemas |= {"Problem": PROBLEM, "FieldProblem": FIELD_PROBLEM}
    components["parameters"] = {"Language": LANGUAGE}
    components["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}}
    if any(isinstance(policy_of(route), SignedPolicy) for route in routes):
        components["securitySchemes"]["signature"] = SIGNATURE
    for route in routes:
        for method in (route.methods or ()) if route.include_in_schema else ():
            _complete_operation(document["paths"][route.path_format][method.lower()], route, method)
    return document


def _complete_operation(operation: dict[str, Any], route: APIRoute, method: str) -> None:
    grants = _grants(route)
    asked = [*operation.get("parameters", []), *([operation["requestBody"]] if "requestBody" in operation else [])]
    responses = operation["responses"]
    declared = {int(status) for status in responses if status.isdecimal() and int(status) >= 400}
    statuses = declared.union(_problem_statuses(operation, method, guarded=bool(grants), asked=bool(asked)))
    responses |= {str(status): _problem_response(status) for status in statuses}
    operation["responses"] = dict(sorted(responses.items()))
    operation.setdefault("parameters", []).append({"$ref": "#/components/parameters/Language"})
    policy = policy_of(route)
    if isinstance(policy, SignedPolicy):
        responses.setdefault("401", _problem_response(401))
        operation["responses"] = dict(sorted(responses.items()))
        operation["security"] = [{"signature": []}]
        operation["description"] = (
            f"{operation.get('description', '')}\n\nWho may call: {policy.senders}, by signature.".strip()
        )
    if grants:
        operation["security"] = [{"token": []}]
        callers = "; ".join(sorted(map(_in_words, grants)))
        operation["description"] = f"{operation.get('description', '')}\n\nWho may call: {callers}.".strip()


def _problem_statuses(operation: dict[str, Any], method: str, *, guarded: bool, asked: bool) -> Iterator[int]:
    """What can be answered instead of success, by what the operation takes."""
    in_path = any(parameter.get("in") == "path" for parameter in operation.get("parameters", []))
    yield from (500, 503)
    if guarded:
        yield from (401, 403)
    if in_path:
        yield 404
    if asked:
        yield 422
    if method in WRITES:
        yield from (400, 409)
    if "requestBody" in operation:
        yield from (413, 415)


def _problem_response(status: int) -> dict[str, Any]:
    return {
        "description": HTTPStatus(status).phrase,
        "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }


def _grants(route: APIRoute) -> tuple[Grant, ...]:
    policy = policy_of(route)
    return () if policy is None else policy.grants


def _in_words(grant: Grant) -> str:
    who = {"customer": "customers", "staff": "staff", "merchant": "merchants' tills", "service": "services"}[grant.kind]
    if grant.roles:
        return f"{who} ({', '.join(sorted(grant.roles))})"
    return f"{who} with `{grant.scope}`"
