"""A customer's account as the page shows it: what can be used, what is held, and every lot by its last day."""

import asyncio
from typing import Any
from uuid import UUID

from services.console.neighbours.redemption import Redemption


async def account_of(redemption: Redemption, customer_id: UUID) -> dict[str, Any]:
    """The balance and the lots; which of them expire soon is the service's to say. Raises what its calls raise."""
    points, lots = await asyncio.gather(redemption.points(customer_id), redemption.lots(customer_id))
    soon = {each["expires_on"] for each in points["expiring_soon"]}
    return {
        **points,
        "lots": [{**lot, "is_soon": lot["expires_on"] in soon} for lot in lots],
        "soon_points": sum(each["points"] for each in points["expiring_soon"]),
    }
