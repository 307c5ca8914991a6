"""Loads the scenery the way the bank does: workbooks and feeds."""

import asyncio
import uuid
from datetime import datetime

from benchmarks import scenery
from deploy.local.demo.scene import BANK_TIMEZONE
from deploy.local.speaking import Speaker

AT_ONCE = 2
BULK_LINES, BULK_QUANTITY = 10, 100


async def load_everything(speaker: Speaker) -> None:
    """Campaigns in force, customers with their lots, and a few thousand vouchers."""
    gate = asyncio.Semaphore(AT_ONCE)

    async def campaign(content: bytes) -> None:
        async with gate:
            loaded = await speaker.load_workbook(content)
            await speaker.publish(loaded["campaign"], loaded["version"])

    await asyncio.gather(*(campaign(content) for content in scenery.workbooks()))
    for kind, name, content in scenery.feeds(datetime.now(BANK_TIMEZONE).date()):
        await speaker.feed(kind, name, content)
    await redeem_in_bulk(speaker, 4)


async def redeem_in_bulk(speaker: Speaker, times: int) -> None:
    """So many redemptions of a thousand vouchers each, by the last customers."""
    lines = [
        {"offer_id": offer, "offer_version": 1, "quantity": BULK_QUANTITY} for _, offer in scenery.main_offers()[:BULK_LINES]
    ]
    for number in range(times):
        await speaker.call(
            "POST",
            "redemption",
            "/v1/redemptions",
            who=scenery.subject(scenery.CUSTOMERS - number % 100),
            headers={"Idempotency-Key": str(uuid.uuid4())},
            json={"campaign": scenery.MAIN, "lines": lines},
        )
