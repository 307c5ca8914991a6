"""Idempotency keys: a request that is sent again has its effect once and gets the same answer (G26-G29, R7).

The record of a key is written in the transaction that does the work, so a crash leaves both or neither. A key belongs to
(client, subject, route, key): another caller's key neither replays nor collides. An answer is kept as long as its record, a
refusal too; an error of ours (5xx) is never kept, so the retry goes on.
"""

import hashlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from fastapi import Request, Response
from sqlalchemy import CheckConstraint, Column, DateTime, Integer, LargeBinary, MetaData, Table, Text, Uuid, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from shared.answers import refusal_answer
from shared.clock import Clock
from shared.database import Database, Overloaded, is_lock_timeout, is_retryable
from shared.errors import DomainError
from shared.identity.principal import Principal
from shared.problems import IdempotencyInFlight, IdempotencyKeyInvalid, IdempotencyKeyMissing, IdempotencyKeyReused
from shared.sets import insert_rows
from shared.statements import execute, fetch

KEY_CHARACTERS_MAX = 255
REPLAYED = {"Idempotency-Replayed": "true"}
NEEDS_KEY: dict[str, Any] = {
    "parameters": [
        {
            "name": "Idempotency-Key",
            "in": "header",
            "required": True,
            "description": "The caller's own name for this request; sent again with the same body it gets the same answer.",
            "schema": {"type": "string", "maxLength": KEY_CHARACTERS_MAX, "pattern": "^[!-~]([ -~]*[!-~])?$"},
        }
    ]
}
"""For `openapi_extra` of a route that reads a key."""


@dataclass(frozen=True)
class Attempt:
    """One request with a key: whose key it is (hashed), and what was asked (hashed)."""

    key: bytes
    fingerprint: bytes


@dataclass(frozen=True)
class Record:
    """What is known of a key: what was asked, which resource it made, and the answer once there is one."""

    fingerprint: bytes
    resource_id: UUID | None
    status: int | None
    body: bytes | None
    location: str | None
    created_at: datetime


def define_idempotency(metadata: MetaData) -> Table:
    """Add the table of keys to a service's own."""
    return Table(
        "idempotency_keys",
        metadata,
        Column("key", LargeBinary, primary_key=True),
        Column("fingerprint", LargeBinary, nullable=False),
        Column("resource_id", Uuid),
        Column("status", Integer),
        Column("body", LargeBinary),
        Column("location", Text),
        Column("created_at", DateTime(timezone=True), nullable=False),
        CheckConstraint("octet_length(key) = 32 AND octet_length(fingerprint) = 32", name="hashes_whole"),
        CheckConstraint("(status IS NULL) = (body IS NULL)", name="answer_whole"),
        CheckConstraint("status IS NULL OR status BETWEEN 200 AND 499", name="errors_of_ours_not_kept"),
    )


def attempt_of(request: Request, who: Principal, body: bytes) -> Attempt:
    """Read the key of a request. Raises IdempotencyKeyMissing or IdempotencyKeyInvalid.

    A quoted structured-field string and the bare value are the same key. `body` is the canonical form of what was asked.
    """
    sent = request.headers.getlist("idempotency-key")
    if not sent:
        raise IdempotencyKeyMissing
    value = sent[0].strip()
    if len(value) >= 2 and value[0] == value[-1] == '"':
        value = value[1:-1]
    if len(sent) > 1 or not 1 <= len(value) <= KEY_CHARACTERS_MAX or not (value.isascii() and value.isprintable()):
        raise IdempotencyKeyInvalid
    route = f"{request.method} {request.url.path}"
    return Attempt(
        key=_digest(who.client_id, who.issuer, who.subject, route, value),
        fingerprint=hashlib.sha256(_digest(route, str(request.url.query)) + body).digest(),
    )


def _digest(*parts: str) -> bytes:
    joined = b"".join(len(part.encode()).to_bytes(4, "big") + part.encode() for part in parts)
    return hashlib.sha256(joined).digest()


_READ = text(
    "SELECT key, fingerprint, resource_id, status, body, location, created_at FROM idempotency_keys "
    "WHERE key = ANY(CAST(:keys AS bytea[]))"
)
_REFER = text("UPDATE idempotency_keys SET resource_id = :resource WHERE key = :key AND status IS NULL")
_FINISH = text(
    "UPDATE idempotency_keys k SET status = done.status, body = done.body, location = done.location "
    "FROM unnest(CAST(:keys AS bytea[]), CAST(:statuses AS int[]), CAST(:bodies AS bytea[]), CAST(:locations AS text[])) "
    "AS done(key, status, body, location) WHERE k.key = done.key AND k.status IS NULL"
)


class Keys:
    """The records of one service."""

    def __init__(self, table: Table) -> None:
        self._table = table

    async def begin(self, conn: AsyncConnection, now: datetime, attempts: Sequence[tuple[Attempt, UUID | None]]) -> set[bytes]:
        """Take the keys that nobody has. Those not in the answer were taken before; read them.

        A key that another open transaction is just taking makes this wait for its end.
        """
        rows = [
            {"key": a.key, "fingerprint": a.fingerprint, "resource_id": resource_id, "created_at": now}
            for a, resource_id in sorted(attempts, key=lambda pair: pair[0].key)
        ]
        taken = await insert_rows(conn, self._table, rows, tail="ON CONFLICT (key) DO NOTHING RETURNING key")
        return {bytes(row.key) for row in taken}

    async def read(self, conn: AsyncConnection, keys: Sequence[bytes]) -> dict[bytes, Record]:
        """The records of the keys that exist."""
        found = await fetch(conn, _READ, {"keys": list(keys)})
        return {bytes(row.key): Record(*row[1:]) for row in found}

    async def refer(self, conn: AsyncConnection, key: bytes, resource_id: UUID) -> None:
        """What a key that this transaction took is about, where that is known only after it was taken."""
        await conn.execute(_REFER, {"key": key, "resource": resource_id})

    async def finish(self, conn: AsyncConnection, answers: Sequence[tuple[bytes, int, bytes, str | None]]) -> None:
        """Keep (key, status, body, location) for every later request with that key."""
        keys, statuses, bodies, locations = zip(*answers, strict=True) if answers else ((), (), (), ())
        if answers:
            values: dict[str, Any] = {"keys": keys, "statuses": statuses, "bodies": bodies, "locations": locations}
            await execute(conn, _FINISH, {name: list(column) for name, column in values.items()})


def replay(record: Record, attempt: Attempt) -> Response | None:
    """The kept answer, or None while there is none. Raises IdempotencyKeyReused when something else was asked."""
    if record.fingerprint != attempt.fingerprint:
        raise IdempotencyKeyReused
    if record.status is None or record.body is None:
        return None
    return answer(record.status, bytes(record.body), record.location, replayed=True)


def answer(status: int, body: bytes, location: str | None = None, *, replayed: bool = False) -> Response:
    """A JSON answer (a problem from 400 on) as it is kept under a key."""
    headers = {
        **(REPLAYED if replayed else {}),
        **({"Location": location} if location else {}),
        "Cache-Control": "no-store",
    }
    media = "application/problem+json" if status >= 400 else "application/json"
    return Response(body, status_code=status, media_type=media, headers=headers)


Work = Callable[[AsyncConnection, datetime], Awaitable[tuple[int, bytes, str | None]]]


class Once:
    """Runs a whole write, its key and its answer in one transaction: for routes that need no other service."""

    def __init__(self, database: Database, clock: Clock, keys: Keys) -> None:
        self._database = database
        self._clock = clock
        self._keys = keys

    async def respond(self, request: Request, who: Principal, body: bytes, work: Work) -> Response:
        """Do the work once. `work` answers (status, body, location); its refusals are kept like answers."""
        attempt = attempt_of(request, who, body)
        try:
            return await self._database.run(lambda conn: self._within(conn, request, attempt, work))
        except DBAPIError as error:
            if is_retryable(error):  # the retries are used up: too many want the same rows
                raise Overloaded from error
            raise

    async def _within(self, conn: AsyncConnection, request: Request, attempt: Attempt, work: Work) -> Response:
        now = await self._clock.now(conn)
        try:
            taken = await self._keys.begin(conn, now, [(attempt, None)])
        except DBAPIError as error:
            if is_lock_timeout(error):  # the first request with this key is still at work
                raise IdempotencyInFlight from error
            raise
        if not taken:
            record = (await self._keys.read(conn, [attempt.key]))[attempt.key]
            kept = replay(record, attempt)
            if kept is None:
                raise IdempotencyInFlight
            return kept
        try:
            async with conn.begin_nested():
                status, body, location = await work(conn, now)
        except DomainError as error:
            refusal = refusal_answer(request, error)
            if refusal is None or refusal.status_code >= 500:
                raise
            await self._keys.finish(conn, [(attempt.key, refusal.status_code, bytes(refusal.body), None)])
            return refusal
        await self._keys.finish(conn, [(attempt.key, status, body, location)])
        return answer(status, body, location)
