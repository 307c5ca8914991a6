"""Answers of the catalog: bytes that were made once, with an ETag, given to everybody who asks."""

import hashlib
from dataclasses import dataclass
from typing import Any

from fastapi import Request, Response

from shared.languages import BCP47, Language, choose
from shared.sets import as_json

FOR_EVER = "private, max-age=31536000, immutable"
ASK_AGAIN = "private, no-cache"
NOT_MODIFIED: dict[int | str, dict[str, Any]] = {304: {"description": "The caller has the newest already."}}
"""For the documentation of routes that answer with an ETag."""


@dataclass(frozen=True, slots=True)
class Encoded:
    """A body with its ETag and language."""

    body: bytes
    etag: str
    language: Language | None = None


def encode(value: object, language: Language | None = None) -> Encoded:
    """JSON bytes and an ETag that follows from them."""
    body = as_json(value).encode()
    return Encoded(body, f'"{hashlib.sha256(body).hexdigest()[:32]}"', language)


def cached_answer(request: Request, encoded: Encoded, *, cache: str = ASK_AGAIN) -> Response:
    """The body, or 304 for whoever has it already."""
    headers = {"ETag": encoded.etag, "Cache-Control": cache}
    if encoded.language is not None:
        headers["Content-Language"] = BCP47[encoded.language]
        headers["Vary"] = "Accept-Language"
    if _has_it(request.headers.get("if-none-match"), encoded.etag):
        return Response(status_code=304, headers=headers)
    return Response(encoded.body, media_type="application/json", headers=headers)


def _has_it(if_none_match: str | None, etag: str) -> bool:
    if if_none_match is None:
        return False
    held = {tag.strip().removeprefix("W/") for tag in if_none_match.split(",")}
    return "*" in held or etag in held


def language_wanted(request: Request, lang: str | None) -> Language:
    """`?lang=` wins over the Accept-Language header."""
    return choose(lang or request.headers.get("accept-language"))
