"""Points over HTTP: balance, lots, statement, account states."""

import csv
import io
from datetime import date, datetime, timedelta
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from services.redemption.customers.access import require_owner, require_reader
from services.redemption.parts import Parts
from services.redemption.points import queries
from services.redemption.points.domain import AccountState, state_in_force
from services.redemption.points.queries import StatementLine
from services.redemption.points.use_cases import set_account_state
from services.redemption.points.words import posting_in_words
from shared.answers import language_of
from shared.app import new_router
from shared.audit import Actor
from shared.identity import Principal, allow, customers, staff
from shared.languages import Language
from shared.paging import LIMIT_DEFAULT, LIMIT_MAX

READERS = (customers("points:read"), staff("agent", "supervisor", "branch", "auditor"))
EXPIRING_SOON_DAYS = 90
EXPORT_LINES_MAX = 10_000
LOT_DAYS_MAX = 500


class ExpiringPoints(BaseModel):
    """Points whose last day this is."""

    expires_on: date
    points: int


class BalanceOut(BaseModel):
    """An account: whole points. `available` can be redeemed now; `held` is set aside for redemptions under way."""

    customer_id: UUID
    state: str
    state_until: datetime | None
    balance: int
    held: int
    available: int
    expiring_soon: list[ExpiringPoints]


class LotsOfDayOut(BaseModel):
    """All points whose last day this is; `held` of them are set aside for redemptions under way."""

    expires_on: date
    points: int
    held: int


class LotsOut(BaseModel):
    """What is on an account, the first to expire first; at most five hundred days."""

    items: list[LotsOfDayOut]


class PastBalance(BaseModel):
    """What stood on the account at a past moment."""

    customer_id: UUID
    as_of: datetime
    balance: int


class StatementLineOut(BaseModel):
    """A posting: points above zero came, below zero went; the balance is that after it."""

    number: int
    at: datetime
    kind: str
    words: str
    points: int
    balance_after: int
    redemption_id: UUID | None
    expires_on: date


class StatementPage(BaseModel):
    """A page of a statement, the newest posting first; `next` is the cursor of the next page."""

    items: list[StatementLineOut]
    next: str | None


class AccountStateWish(BaseModel):
    """The state an account is put into, why, and until when (without it: until it is changed)."""

    model_config = ConfigDict(extra="forbid")

    state: AccountState
    reason: str = Field(min_length=3, max_length=500)
    until: AwareDatetime | None = None


def points_router(parts: Parts) -> APIRouter:
    """The routes of points."""
    router = new_router()

    @router.get("/v1/customers/{customer_id}/points", response_model=BalanceOut)
    async def show_balance(customer_id: UUID, who: Annotated[Principal, allow(*READERS)]) -> BalanceOut:
        """The account now, with what expires in the next ninety days."""
        async with parts.database.transaction() as conn:
            await require_reader(parts, conn, who, customer_id, "points")
            now = await parts.clock.now(conn)
            today = parts.day(now)
            balance = await queries.read_balance(conn, customer_id, today)
            until = today + timedelta(days=EXPIRING_SOON_DAYS)
            expiring = await queries.read_expiring(conn, balance.account_id, today=today, until=until)
        state = state_in_force(AccountState(balance.state), balance.state_until, now)
        return BalanceOut(
            customer_id=customer_id,
            state=state.value,
            state_until=balance.state_until if state.value == balance.state else None,
            balance=balance.posted,
            held=balance.held,
            available=balance.available,
            expiring_soon=[ExpiringPoints(expires_on=day, points=points) for day, points in expiring],
        )

    @router.get("/v1/customers/{customer_id}/points/lots", response_model=LotsOut)
    async def show_lots(customer_id: UUID, who: Annotated[Principal, allow(*READERS)]) -> LotsOut:
        """Every point that is still good, by its last day."""
        async with parts.database.transaction() as conn:
            customer = await require_reader(parts, conn, who, customer_id, "points.lots")
            now = await parts.clock.now(conn)
            lots = await queries.read_lots(conn, customer.account_id, today=parts.day(now), most=LOT_DAYS_MAX)
        items = [LotsOfDayOut(expires_on=lot.expires_on, points=lot.points, held=lot.held) for lot in lots]
        return LotsOut(items=items)

    @router.get("/v1/customers/{customer_id}/points/as-of", response_model=PastBalance)
    async def show_past_balance(
        customer_id: UUID,
        moment: Annotated[AwareDatetime, Query()],
        who: Annotated[Principal, allow(*READERS)],
    ) -> PastBalance:
        """The balance at a past moment (RFC 3339 with offset)."""
        async with parts.database.transaction() as conn:
            customer = await require_reader(parts, conn, who, customer_id, "points.as-of")
            balance = await queries.read_balance_as_of(conn, customer.account_id, moment)
        return PastBalance(customer_id=customer_id, as_of=moment, balance=balance)

    @router.get("/v1/customers/{customer_id}/points/statement", response_model=StatementPage)
    async def show_statement(
        request: Request,
        customer_id: UUID,
        who: Annotated[Principal, allow(*READERS)],
        limit: Annotated[int, Query(ge=1, le=LIMIT_MAX)] = LIMIT_DEFAULT,
        cursor: Annotated[str | None, Query(max_length=512)] = None,
    ) -> StatementPage:
        """Every posting with the running balance (P3)."""
        scope = f"statement|{customer_id}"
        position = parts.cursors.read(scope, cursor)
        async with parts.database.transaction() as conn:
            customer = await require_reader(parts, conn, who, customer_id, "points.statement")
            before = position[0] if position else None
            lines = await queries.read_statement(conn, customer.account_id, before=before, most=limit + 1)
        more = parts.cursors.make(scope, [lines[limit - 1].number]) if len(lines) > limit else None
        language = language_of(request)
        return StatementPage(items=[_shown(line, language) for line in lines[:limit]], next=more)

    @router.get("/v1/customers/{customer_id}/points/statement.csv", response_class=Response)
    async def export_statement(request: Request, customer_id: UUID, who: Annotated[Principal, allow(*READERS)]) -> Response:
        """The latest ten thousand postings as a CSV file in UTF-8 with BOM, which spreadsheets open as they should."""
        async with parts.database.transaction() as conn:
            customer = await require_reader(parts, conn, who, customer_id, "points.statement.csv")
            lines = await queries.read_statement(conn, customer.account_id, before=None, most=EXPORT_LINES_MAX)
        language = language_of(request)
        out = io.StringIO()
        writer = csv.writer(out)
        writer.writerow(["number", "at", "kind", "words", "points", "balance_after", "redemption_id", "expires_on"])
        for line in lines:
            shown = _shown(line, language)
            at = line.at.astimezone(parts.timezone).isoformat(timespec="seconds")
            writer.writerow(
                [line.number, at, line.kind, shown.words, line.points, line.balance_after, line.redemption_id, line.expires_on]
            )
        headers = {"Content-Disposition": 'attachment; filename="statement.csv"', "Cache-Control": "no-store"}
        return Response("\ufeff" + out.getvalue(), media_type="text/csv; charset=utf-8", headers=headers)

    _state_route(router, parts)
    return router


def _state_route(router: APIRouter, parts: Parts) -> None:
    @router.put("/v1/customers/{customer_id}/account-state", status_code=204)
    async def put_account_state(
        customer_id: UUID,
        wish: AccountStateWish,
        who: Annotated[Principal, allow(staff("supervisor", "administrator"))],
    ) -> Response:
        """Put an account into a state; who, why and until when are kept."""
        async with parts.database.transaction() as conn:
            customer = await require_owner(conn, who, customer_id)
            actor = Actor.of(who, reason=wish.reason)
            await set_account_state(parts, conn, customer.account_id, state=wish.state, until=wish.until, actor=actor)
        return Response(status_code=204)


def _shown(line: StatementLine, language: Language) -> StatementLineOut:
    return StatementLineOut(
        number=line.number,
        at=line.at,
        kind=line.kind,
        words=posting_in_words(line.kind, language),
        points=line.points,
        balance_after=line.balance_after,
        redemption_id=line.redemption_id,
        expires_on=line.expires_on,
    )
