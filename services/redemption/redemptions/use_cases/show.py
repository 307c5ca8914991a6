"""Everything about one redemption, as it stands at one moment."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncConnection

from services.redemption.deliveries import store as deliveries
from services.redemption.deliveries.domain import Delivery
from services.redemption.redemptions import store
from services.redemption.redemptions.domain import Redemption, TimelineEntry
from services.redemption.redemptions.store import LineRow
from services.redemption.returns import store as documents
from services.redemption.returns.domain import Return, ReturnLine


@dataclass(frozen=True, slots=True)
class Whole:
    """A redemption with all that belongs to it."""

    redemption: Redemption
    lines: Sequence[LineRow]
    delivery: Delivery | None
    returns: Sequence[tuple[Return, Sequence[ReturnLine]]]
    timeline: Sequence[TimelineEntry]


async def read_whole(conn: AsyncConnection, redemption: Redemption) -> Whole:
    """Read what belongs to it."""
    lines = (await store.read_lines(conn, [redemption.id]))[redemption.id]
    delivery = (await deliveries.read(conn, [redemption.id])).get(redemption.id)
    found = await documents.read_of_redemption(conn, redemption.id)
    return_lines = await documents.read_lines(conn, [document.id for document in found])
    timeline = await store.read_events(conn, redemption.id)
    return Whole(redemption, lines, delivery, [(document, return_lines[document.id]) for document in found], timeline)
