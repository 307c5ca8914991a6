"""SQL of browsing: campaigns that are open, offers of a version, and how much is left of each."""

from collections.abc import Sequence
from datetime import date
from typing import Any
from uuid import UUID

from sqlalchemy import RowMapping, text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.catalog.browsing.domain import OfferQuery

_OPEN = text(
    """
    SELECT c.code, c.state, c.live_version, c.opens_on, c.closes_on, v.cells -> 'campaign' -> 0 AS campaign
      FROM campaigns c JOIN campaign_versions v ON v.campaign_code = c.code AND v.number = c.live_version
     WHERE c.state IN ('live', 'paused') AND :today BETWEEN c.opens_on AND c.closes_on
     ORDER BY c.code
    """
)
_LEFT = text(
    """
    SELECT o.id, o.campaign_code, o.live_version,
           least(coalesce(b.free, 0), q.total_ceiling - q.total_taken,
                 q.day_ceiling - CASE WHEN q.day_on < :today THEN 0 ELSE q.day_taken END) AS units
      FROM offers o
      JOIN campaigns c ON c.code = o.campaign_code
      JOIN quotas q ON q.offer_id = o.id
      LEFT JOIN (SELECT campaign_code, reward_code, sum(received - held - consumed) AS free FROM stock_batches
                  WHERE expires_on IS NULL OR expires_on >= :today GROUP BY campaign_code, reward_code) b
        ON b.campaign_code = o.campaign_code AND b.reward_code = o.reward_code
     WHERE o.live_version IS NOT NULL AND c.state IN ('live', 'paused') AND :today BETWEEN c.opens_on AND c.closes_on
    """
)
_OFFERS = text(
    """
    SELECT v.content FROM version_offers vo
      JOIN offer_versions v ON v.offer_id = vo.offer_id AND v.number = vo.offer_version
     WHERE vo.campaign_code = :campaign AND vo.campaign_version = :version
       AND :today BETWEEN v.opens_on AND v.closes_on
       AND (CAST(:category AS text) IS NULL OR v.category = :category)
       AND (CAST(:price_min AS bigint) IS NULL OR v.price_points >= :price_min)
       AND (CAST(:price_max AS bigint) IS NULL OR v.price_points <= :price_max)
       AND (CAST(:words AS text) IS NULL OR v.words @@ CAST(CAST(:words AS text) AS tsquery))
       AND (CAST(:after_id AS uuid) IS NULL
            OR (v.price_points, v.offer_id) > (CAST(:after_price AS bigint), CAST(:after_id AS uuid)))
     ORDER BY v.price_points, v.offer_id LIMIT :most
    """
)
_OFFER = text("SELECT content, opens_on, closes_on FROM offer_versions WHERE offer_id = :id AND number = :version")


async def open_campaigns(conn: AsyncConnection, today: date) -> Sequence[RowMapping]:
    """Campaigns that a customer may look at on this day."""
    return (await conn.execute(_OPEN, {"today": today})).mappings().all()


async def units_left(conn: AsyncConnection, today: date) -> Sequence[RowMapping]:
    """Units left today of every offer in force, by stock and quota."""
    return (await conn.execute(_LEFT, {"today": today})).mappings().all()


async def offers_of_version(
    conn: AsyncConnection, campaign: str, version: int, today: date, query: OfferQuery
) -> list[dict[str, Any]]:
    """One page of offers, and one more when there is a next page."""
    after_price, after_id = query.after or (None, None)
    values = {
        "campaign": campaign,
        "version": version,
        "today": today,
        "category": query.category,
        "price_min": query.price_min,
        "price_max": query.price_max,
        "words": query.words,
        "after_price": after_price,
        "after_id": after_id,
        "most": query.limit + 1,
    }
    return [row.content for row in await conn.execute(_OFFERS, values)]


async def offer_of_version(conn: AsyncConnection, offer: UUID, version: int) -> RowMapping | None:
    """One offer."""
    return (await conn.execute(_OFFER, {"id": offer, "version": version})).mappings().one_or_none()
