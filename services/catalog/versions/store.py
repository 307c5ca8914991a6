"""SQL of campaign versions: kept once and for ever, and the pointers to what is in force."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import RowMapping, text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.catalog.campaigns.domain import Campaign, CampaignState
from services.catalog.campaigns.tables import campaign_versions, campaigns, offer_versions, offers, publications, version_offers
from services.catalog.campaigns.words import as_tsvector
from services.catalog.versions.domain import OfferInVersion, Standing
from services.catalog.workbooks.sheets import Cells
from shared.sets import insert_rows

_LOCK = text("SELECT code, state, currency, last_version, live_version FROM campaigns WHERE code = :code FOR NO KEY UPDATE")
_OFFER_REWARDS = text("SELECT code, reward_code FROM offers WHERE campaign_code = :campaign")
_BATCH_REWARDS = text("SELECT code, reward_code FROM stock_batches WHERE campaign_code = :campaign")
_VERSION = text("SELECT cells, fingerprint FROM campaign_versions WHERE campaign_code = :campaign AND number = :number")
_OFFERS_OF_VERSION = text(
    """
    SELECT vo.offer_id, vo.offer_version, v.fingerprint FROM version_offers vo
      JOIN offer_versions v ON v.offer_id = vo.offer_id AND v.number = vo.offer_version
     WHERE vo.campaign_code = :campaign AND vo.campaign_version = :number
    """
)
_ADVANCE = text("UPDATE campaigns SET last_version = :number, changed_at = :now WHERE code = :campaign")
_PUBLISH = text(
    """
    UPDATE campaigns SET state = :state, live_version = :number, opens_on = :opens_on, closes_on = :closes_on,
           changed_at = :now
     WHERE code = :campaign
    """
)
_PUBLISH_OFFERS = text(
    """
    UPDATE offers o SET live_version =
           (SELECT vo.offer_version FROM version_offers vo
             WHERE vo.campaign_code = o.campaign_code AND vo.campaign_version = :number AND vo.offer_id = o.id)
     WHERE o.campaign_code = :campaign
    """
)
# Of drafts nobody outside learns anything: a version is told once it was in force.
_OFFER_VERSION = text(
    """
    SELECT v.content, v.number FROM offer_versions v
     WHERE v.offer_id = :id AND v.number = :number AND EXISTS (
           SELECT FROM version_offers o
             JOIN publications p ON p.campaign_code = o.campaign_code AND p.number = o.campaign_version
            WHERE o.offer_id = v.offer_id AND o.offer_version = v.number)
    """
)


async def open_campaign(conn: AsyncConnection, now: datetime, campaign: Campaign) -> RowMapping:
    """The campaign's row, locked; made when it is new."""
    row = {
        "code": campaign.code,
        "state": CampaignState.DRAFT.value,
        "currency": campaign.currency,
        "last_version": 0,
        "created_at": now,
        "changed_at": now,
    }
    await insert_rows(conn, campaigns, [row], tail="ON CONFLICT (code) DO NOTHING")
    found = await lock_campaign(conn, campaign.code)
    assert found is not None, "made a moment ago"
    return found


async def lock_campaign(conn: AsyncConnection, code: str) -> RowMapping | None:
    """The campaign's row, locked; None when there is none."""
    return (await conn.execute(_LOCK, {"code": code})).mappings().one_or_none()


async def standing_of(conn: AsyncConnection, campaign: str, currency: str | None) -> Standing:
    """What earlier versions have fixed."""
    offer_rows = (await conn.execute(_OFFER_REWARDS, {"campaign": campaign})).all()
    batch_rows = (await conn.execute(_BATCH_REWARDS, {"campaign": campaign})).all()
    return Standing(
        currency,
        {row.code: row.reward_code for row in offer_rows},
        {row.code: row.reward_code for row in batch_rows},
    )


async def read_version(conn: AsyncConnection, campaign: str, number: int) -> RowMapping | None:
    """The rows and the fingerprint of a version."""
    return (await conn.execute(_VERSION, {"campaign": campaign, "number": number})).mappings().one_or_none()


async def add_version(
    conn: AsyncConnection, now: datetime, campaign: str, number: int, kept: tuple[Cells, bytes], loaded_by: str
) -> None:
    """Keep the rows of a new version."""
    cells, fingerprint = kept
    row = {
        "campaign_code": campaign,
        "number": number,
        "cells": cells,
        "fingerprint": fingerprint,
        "loaded_at": now,
        "loaded_by": loaded_by,
    }
    await insert_rows(conn, campaign_versions, [row])
    await conn.execute(_ADVANCE, {"campaign": campaign, "number": number, "now": now})


async def add_offers(conn: AsyncConnection, campaign: str, number: int, found: Sequence[OfferInVersion]) -> None:
    """Keep the offers of a version; one that says the same as before keeps its own version's number."""
    rows = [{"id": o.id, "campaign_code": campaign, "code": o.offer.code, "reward_code": o.reward.code} for o in found]
    await insert_rows(conn, offers, rows, tail="ON CONFLICT (id) DO NOTHING")
    earlier = (await conn.execute(_OFFERS_OF_VERSION, {"campaign": campaign, "number": number - 1})).all()
    same = {(row.offer_id, bytes(row.fingerprint)): row.offer_version for row in earlier}
    numbers = {o.id: same.get((o.id, o.fingerprint), number) for o in found}
    await insert_rows(conn, offer_versions, [_offer_version(o, number) for o in found if numbers[o.id] == number])
    links = [
        {"campaign_code": campaign, "campaign_version": number, "offer_id": one, "offer_version": version}
        for one, version in numbers.items()
    ]
    await insert_rows(conn, version_offers, links)


def _offer_version(found: OfferInVersion, number: int) -> Mapping[str, object]:
    return {
        "offer_id": found.id,
        "number": number,
        "price_points": found.offer.price_points,
        "unit_cost_minor": found.reward.unit_cost_minor,
        "category": found.reward.category,
        "opens_on": found.offer.opens_on,
        "closes_on": found.offer.closes_on,
        "content": {**found.content, "version": number},
        "fingerprint": found.fingerprint,
        "words": as_tsvector(found.words),
    }


async def put_in_force(conn: AsyncConnection, now: datetime, campaign: Campaign, number: int, published_by: str) -> None:
    """Point the campaign and its offers at the version; write down that it happened."""
    row = {"campaign_code": campaign.code, "number": number, "published_at": now, "published_by": published_by}
    await insert_rows(conn, publications, [row])
    days: dict[str, date] = {"opens_on": campaign.opens_on, "closes_on": campaign.closes_on}
    values = {"campaign": campaign.code, "number": number, "state": CampaignState.LIVE.value, "now": now}
    await conn.execute(_PUBLISH, {**values, **days})
    await conn.execute(_PUBLISH_OFFERS, {"campaign": campaign.code, "number": number})


async def read_offer_version(conn: AsyncConnection, offer: UUID, number: int) -> Mapping[str, Any] | None:
    """What a version of an offer says."""
    row = (await conn.execute(_OFFER_VERSION, {"id": offer, "number": number})).one_or_none()
    return None if row is None else row.content


def cells_of(kept: RowMapping) -> Cells:
    """The rows of a version as they were loaded."""
    cells: Cells = kept["cells"]
    return cells
