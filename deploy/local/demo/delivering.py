"""Chapter: four parcels go by courier, past a lost answer and messages that come doubled, late and in disorder."""

from collections.abc import Iterable
from typing import Any

from deploy.local.demo.ordering import BY_COURIER, QUIET, STORMY, UNHEARD, WAVERING, cancel
from deploy.local.demo.parcels import clock_time, until_order, until_parcel
from deploy.local.demo.scene import Scene, problem_code

ROAD = ("picked_up", "in_transit", "out_for_delivery", "delivered")
FAILING = (
    ("picked_up", {"webhooks": "doubled"}),
    ("in_transit", {"webhooks": "late", "seconds": 3}),
    ("out_for_delivery", {"webhooks": "shuffled", "seconds": 2}),
    ("delivery_failed", {"webhooks": "shuffled", "seconds": 2}),
)
"""What happens, and how the courier tells of it."""
ONCE_MORE = (("out_for_delivery", {"webhooks": "shuffled", "seconds": 2}), ("delivered", {"webhooks": "doubled"}))
STORMY_ROAD = tuple(kind for kind, _ in (*FAILING, *ONCE_MORE))


async def deliver(scene: Scene) -> None:
    """From the booking to the door."""
    teller = scene.teller
    teller.chapter("The courier brings four parcels")
    parcels = {who: await until_parcel(scene, who, "dispatched") for who in BY_COURIER}
    await _see_one_booking_each(scene, parcels)
    late = await cancel(scene, WAVERING)
    teller.expect("Cancelling what has left", problem_code(late), "too-late-to-cancel")
    teller.line(f"the one who changed their mind wants to cancel once more: {late.json()['detail']}")
    for who in (QUIET, UNHEARD, WAVERING):
        for kind in ROAD:
            await _happen(scene, parcels[who], kind)
    await _in_disorder(scene, parcels[STORMY], FAILING)
    await until_parcel(scene, STORMY, "failed")
    await _in_disorder(scene, parcels[STORMY], ONCE_MORE)
    stormy = [await _see_it_arrive(scene, who, STORMY_ROAD if who == STORMY else ROAD) for who in BY_COURIER][1]
    teller.line("all four are delivered. Of one the courier's messages came doubled, late and in disorder; the customer reads:")
    for event in stormy["events"]:
        said = [event["words"]["en"], event["words"]["zh_hans"], event["place"]]
        teller.line(f"  {clock_time(event['at'])}  {'  '.join(filter(None, said))}")


async def _see_one_booking_each(scene: Scene, parcels: dict[str, dict[str, Any]]) -> None:
    teller = scene.teller
    booked = (await scene.speaker.at_sandbox("GET", "courier", "/sandbox/parcels"))["items"]
    numbers = sorted(parcel["tracking_number"] for parcel in booked)
    teller.expect("Parcels that the courier has", numbers, sorted(parcel["tracking_number"] for parcel in parcels.values()))
    again = sum(parcel["asked"] > 1 for parcel in booked)
    teller.expect("Whether a booking was asked for again", again > 0, True)
    teller.line(
        f"each has one booking and one tracking number, such as {parcels[QUIET]['tracking_number']}; the answer to a booking"
    )
    teller.line("was lost on its way, the booking was asked for again under the same reference, and no second parcel was sent")


async def _in_disorder(scene: Scene, parcel: dict[str, Any], road: Iterable[tuple[str, dict[str, Any]]]) -> None:
    for kind, fault in road:
        await scene.speaker.at_sandbox("PUT", "courier", "/sandbox/faults", json=fault)
        await _happen(scene, parcel, kind)
    await scene.speaker.at_sandbox("PUT", "courier", "/sandbox/faults", json={"webhooks": "none"})


async def _happen(scene: Scene, parcel: dict[str, Any], kind: str) -> None:
    path = f"/sandbox/parcels/{parcel['tracking_number']}/events"
    await scene.speaker.at_sandbox("POST", "courier", path, json={"kind": kind})


async def _see_it_arrive(scene: Scene, who: str, road: tuple[str, ...]) -> dict[str, Any]:
    """Every message has come, each is told once, and in the order in which it happened."""
    parcel: dict[str, Any] = {}

    def on_the_road() -> tuple[str, ...]:
        return tuple(event["kind"] for event in parcel["events"] if event["kind"] in STORMY_ROAD)

    async def all_told() -> bool:
        parcel.update(await until_parcel(scene, who, "delivered"))
        return len(on_the_road()) >= len(road)

    await scene.until(f"The courier's messages about the parcel of {who}", all_told)
    scene.teller.expect(f"What happened to the parcel of {who}, in order", on_the_road(), road)
    await until_order(scene, who, "fulfilled")
    return parcel
