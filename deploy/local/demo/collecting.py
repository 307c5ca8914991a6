"""Chapter: two parcels wait at a branch; one is handed over for its code, the other goes back by itself."""

from collections import Counter
from typing import Any

import psycopg

from deploy.local.demo.ordering import ABSENT, BRANCH, COLLECTING, KETTLE_POINTS, POINTS
from deploy.local.demo.parcels import tell_timeline, until_order, until_parcel
from deploy.local.demo.scene import Scene, problem_code

STAFF = "branch-1"
NOTICES = {"parcel_dispatched": 4, "delivery_failed": 1, "parcel_delivered": 4, "pickup_ready": 2, "pickup_expired": 1}
"""By the gateway to telephones: four parcels by courier, of which one attempt failed, and two at the branch."""


async def collect(scene: Scene) -> None:
    """Arrival, a wrong code, the code, and the one that nobody collects."""
    teller = scene.teller
    teller.chapter(f"Two parcels wait at the branch {BRANCH}")
    parcels = {who: await until_parcel(scene, who, "in_transfer") for who in (COLLECTING, ABSENT)}
    listed = (await scene.get("fulfillment", f"/v1/branches/{BRANCH}/pickups", who=STAFF, state="in_transfer"))["items"]
    teller.expect("Parcels on their way to the branch", len(listed), 2)
    for parcel in parcels.values():
        for _ in range(2):  # scanned twice is arrived once
            arrived = await _at_counter(scene, parcel, "arrival")
            teller.expect("The parcel at the branch", (arrived.status_code, arrived.json()["state"]), (200, "ready"))
    teller.line(f"both are taken in by {STAFF}; each customer has a code in the app and is told where and until when")
    codes = {who: await _code(scene, who, parcel) for who, parcel in parcels.items()}
    await _hand_over(scene, parcels[COLLECTING], codes[COLLECTING])
    await _let_it_lie(scene, parcels[ABSENT])
    await _see_the_notices(scene, list(codes.values()))


async def _code(scene: Scene, who: str, parcel: dict[str, Any]) -> str:
    shown = await scene.get("fulfillment", f"/v1/parcels/{parcel['id']}/pickup-code", who=who)
    code: str = "".join(filter(str.isdigit, shown["code"]))
    scene.teller.expect("Digits of a pickup code", len(code), 8)
    return code


async def _at_counter(scene: Scene, parcel: dict[str, Any], what: str, **sent: Any) -> Any:
    return await scene.speaker.answer("PUT", "fulfillment", f"/v1/parcels/{parcel['id']}/{what}", who=STAFF, **sent)


async def _hand_over(scene: Scene, parcel: dict[str, Any], code: str) -> None:
    teller = scene.teller
    wrong = f"{(int(code) + 1) % 10**8:08}"
    refused = await _at_counter(scene, parcel, "handover", json={"code": wrong})
    teller.expect("A wrong code", problem_code(refused), "pickup-code-wrong")
    teller.line(f"somebody shows a wrong code: {refused.json()['detail']}")
    for _ in range(2):
        handed = await _at_counter(scene, parcel, "handover", json={"code": code})
        teller.expect("The handover", (handed.status_code, handed.json()["state"]), (200, "collected"))
    await until_order(scene, COLLECTING, "fulfilled")
    teller.line("the customer shows theirs: handed over, once, however often the button is pressed")


async def _let_it_lie(scene: Scene, parcel: dict[str, Any]) -> None:
    """The calendar cannot be hurried: the parcel's last day is moved into the past, and the hourly look is due at once."""
    teller = scene.teller
    with psycopg.connect(scene.suite.database_url("fulfillment", "owner")) as conn:
        conn.execute("UPDATE parcels SET ready_until = %s WHERE id = %s", [scene.day(-1), parcel["id"]])
        conn.execute("DELETE FROM schedule_ticks WHERE name = 'expire_pickups'")
    await until_parcel(scene, ABSENT, "returned")
    order = await until_order(scene, ABSENT, "returned")
    teller.line(
        "nobody comes for the other. Its last day passes (the story moves the day, not the clock), and it goes back by itself:"
    )
    tell_timeline(scene, order)
    account = await scene.balance(ABSENT)
    teller.expect("Points after nobody came", (account["balance"], account["held"]), (POINTS, 0))
    given = [(one["kind"], one["state"], one["points"]) for one in order["returns"]]
    teller.expect("The return document", given, [("not_collected", "refunded", KETTLE_POINTS)])
    teller.line("1,200 + 13,800 = 15,000 points again, by a return document; nobody had to step in")


async def _see_the_notices(scene: Scene, codes: list[str]) -> None:
    teller = scene.teller
    messages: list[dict[str, Any]] = []

    async def all_sent() -> bool:
        messages[:] = (await scene.speaker.at_sandbox("GET", "notifications", "/sandbox/messages"))["items"]
        return len(messages) >= sum(NOTICES.values())

    await scene.until("Telling the customers", all_sent)
    teller.expect("Messages to telephones", dict(Counter(message["kind"] for message in messages)), NOTICES)
    told = [message["text"] for message in messages if any(code in message["text"] for code in codes)]
    teller.expect("Messages with a pickup code in them", told, [])
    example = next(message["text"] for message in messages if message["kind"] == "pickup_ready")
    teller.line(f"{len(messages)} messages went to telephones, none with a code in it; one reads: {example}")
