"""What the chapters about parcels share: finding a customer's parcel, waiting for a state, and telling its timeline."""

from datetime import datetime
from typing import Any

from deploy.local.demo.scene import BANK_TIMEZONE, Scene


async def parcel_of(scene: Scene, who: str) -> dict[str, Any]:
    """The parcel of a customer's last order; empty while there is none."""
    order = scene.kept[f"order of {who}"]
    items = (await scene.get("fulfillment", "/v1/parcels", who=who))["items"]
    return next((parcel for parcel in items if parcel["fulfillment_id"] == order), {})


async def until_parcel(scene: Scene, who: str, state: str) -> dict[str, Any]:
    """Wait until a customer's parcel is in a state. Raises Deviation."""
    found: dict[str, Any] = {}

    async def is_there() -> bool:
        found.update(await parcel_of(scene, who))
        return bool(found.get("state") == state)

    await scene.until(f"A parcel of {who} becoming {state}", is_there)
    return found


async def until_order(scene: Scene, who: str, state: str) -> dict[str, Any]:
    """Wait until redemption knows how a customer's order ended. Raises Deviation."""
    found: dict[str, Any] = {}

    async def is_there() -> bool:
        found.update(await scene.get("redemption", f"/v1/redemptions/{scene.kept[f'order of {who}']}", who=who))
        return bool(found["state"] == state)

    await scene.until(f"The order of {who} becoming {state}", is_there)
    return found


def tell_timeline(scene: Scene, order: dict[str, Any]) -> None:
    """What an agent reads out, one line an entry, in the bank's time."""
    for entry in order["timeline"]:
        scene.teller.line(f"  {clock_time(entry['at'])}  {entry['words']}")


def clock_time(instant: str) -> str:
    """The time of day at the bank."""
    return f"{datetime.fromisoformat(instant).astimezone(BANK_TIMEZONE):%H:%M:%S}"
