"""Load a workbook as a new version, export a version, put a version in force.

A check by a second person (C1) belongs between loading and publishing: it moves a campaign to `approved`, and
`PUBLISHABLE` in the campaigns' domain says from which states a version may be put in force.
"""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy.ext.asyncio import AsyncConnection

from services.catalog.campaigns.domain import (
    PUBLISHABLE,
    CampaignNotFound,
    CampaignNotPublishable,
    CampaignState,
    OfferNotFound,
    OlderVersion,
    VersionNotFound,
    ways_of,
)
from services.catalog.merchants.store import put_merchants
from services.catalog.stock.opening import open_supply
from services.catalog.versions import store
from services.catalog.versions.domain import errors_against, offers_of
from services.catalog.workbooks.building import build_content, fingerprint
from services.catalog.workbooks.domain import Parsed
from services.catalog.workbooks.errors import WorkbookRefused
from services.catalog.workbooks.writing import write_workbook
from shared.audit import Actor, Audit, Entry
from shared.clock import bank_day
from shared.database import Database


@dataclass(frozen=True, slots=True)
class Loaded:
    """Which version a workbook became; `created` is false when the newest version says the same already."""

    campaign: str
    version: int
    created: bool


@dataclass(frozen=True, slots=True)
class Published:
    """Which version of a campaign is in force."""

    campaign: str
    version: int
    state: CampaignState


class Versions:
    """The use cases of campaign versions. Those that change something work in the transaction of their caller's key."""

    def __init__(self, database: Database, audit: Audit, timezone: ZoneInfo) -> None:
        """Days are those of `timezone`, the bank's."""
        self._database = database
        self._audit = audit
        self._timezone = timezone

    async def load_workbook(self, conn: AsyncConnection, now: datetime, parsed: Parsed, actor: Actor) -> Loaded:
        """Keep checked rows as the campaign's next version, as a draft (C1, C6). Changes nothing that is in force.

        Raises WorkbookRefused when the rows would change what cannot change.
        """
        cells = parsed.cells
        content = build_content(cells)
        code = content.campaign.code
        campaign = await store.open_campaign(conn, now, content.campaign)
        last: int = campaign["last_version"]
        mark = fingerprint(cells)
        newest = await store.read_version(conn, code, last)
        if newest is not None and bytes(newest["fingerprint"]) == mark:
            return Loaded(code, last, created=False)
        standing = await store.standing_of(conn, code, campaign["currency"])
        errors = errors_against(parsed, standing)
        if errors:
            raise WorkbookRefused(errors)
        await store.add_version(conn, now, code, last + 1, (cells, mark), actor.name)
        await store.add_offers(conn, code, last + 1, offers_of(content))
        entry = Entry("campaign.loaded", f"campaign:{code}", actor, after={"version": last + 1})
        await self._audit.record(conn, now, [entry])
        return Loaded(code, last + 1, created=True)

    async def export_workbook(self, code: str, number: int) -> bytes:
        """The workbook of a version, as xlsx (C6). Raises VersionNotFound."""
        async with self._database.transaction() as conn:
            kept = await store.read_version(conn, code, number)
        if kept is None:
            raise VersionNotFound
        return write_workbook(store.cells_of(kept))

    async def publish_version(self, conn: AsyncConnection, now: datetime, code: str, number: int, actor: Actor) -> Published:
        """Put a version in force: prices, stock, quotas, budget and merchants follow it from this commit on (C1).

        The same version again changes nothing. Raises CampaignNotFound, VersionNotFound, OlderVersion,
        CampaignNotPublishable and CeilingBelowTaken.
        """
        campaign = await store.lock_campaign(conn, code)
        if campaign is None:
            raise CampaignNotFound
        kept = await store.read_version(conn, code, number)
        if kept is None:
            raise VersionNotFound
        state, live = CampaignState(campaign["state"]), campaign["live_version"]
        if live == number:
            return Published(code, number, state)
        if live is not None and live > number:
            raise OlderVersion(live_version=live)
        if state not in PUBLISHABLE:
            raise CampaignNotPublishable(state=state.value)
        content = build_content(store.cells_of(kept))
        await open_supply(conn, now, bank_day(now, self._timezone), content)
        await put_merchants(conn, now, content.merchants, content.terminals)
        await store.put_in_force(conn, now, content.campaign, number, actor.name)
        before, after = {"version": live, "state": state.value}, {"version": number, "state": CampaignState.LIVE.value}
        await self._audit.record(conn, now, [Entry("campaign.published", f"campaign:{code}", actor, before, after)])
        return Published(code, number, CampaignState.LIVE)

    async def read_offer_version(self, offer: UUID, number: int) -> object:
        """What a version of an offer says; it never changes. Raises OfferNotFound."""
        async with self._database.transaction() as conn:
            content = await store.read_offer_version(conn, offer, number)
        if content is None:
            raise OfferNotFound
        return {**content, "reward": {**content["reward"], "delivery": ways_of(content)}}
