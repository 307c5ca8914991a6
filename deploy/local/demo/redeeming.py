"""Chapters: a customer looks around, redeems a voucher, asks again, and meets what limits a redemption."""

import uuid
from datetime import datetime
from typing import Any

from deploy.local.demo.scene import BANK_TIMEZONE, CAMPAIGN, Scene, problem_code

WHO, POOR, AGENT = "customer-00001", "customer-00002", "agent-1"
COFFEE, COFFEE_POINTS = "O001", 2_800
LOTS = ((20, 1_200), (60, 2_500), (400, 30_000), (730, 500))
"""(days from today, points) of the customer's lots: 34,200 in all."""
LOTS_AFTER = ((20, 0), (60, 900), (400, 30_000), (730, 500))
"""2,800 points: all 1,200 of the lot that expires first, and 1,600 of the next."""
POOR_POINTS = 1_000
FOUND_BY_WORD = {
    ("zh-Hans", "咖啡"): ("O001", "O017"),
    ("en", "coffee"): ("O001", "O017"),
    ("en", "petrol"): ("O054", "O055", "O056"),
}


async def browse(scene: Scene) -> None:
    """Search by words in both languages."""
    teller = scene.teller
    teller.chapter("A customer looks around")
    for (language, word), expected in FOUND_BY_WORD.items():
        path = f"/v1/campaigns/{CAMPAIGN}/offers"
        found = (await scene.get("catalog", path, who=WHO, lang=language, q=word))["items"]
        teller.expect(f"Offers found by “{word}”", tuple(sorted(item["code"] for item in found)), expected)
        names = "; ".join(f"{item['name']} ({item['price_points']:,})" for item in found)
        teller.line(f"search “{word}”: {names}")


async def redeem(scene: Scene) -> None:
    """One voucher; the same request again; what is too much."""
    teller = scene.teller
    offer = await scene.offer(COFFEE)
    teller.chapter(f"One customer redeems {offer['name zh-Hans']} ({offer['name en']}) for {COFFEE_POINTS:,} points")
    teller.expect("The price", offer["price_points"], COFFEE_POINTS)
    await _show_lots(scene, "lots before:", LOTS)
    key = str(uuid.uuid4())
    first = await scene.redeem(WHO, COFFEE, key)
    teller.expect("The answer to the request", first.status_code, 201)
    redemption: dict[str, Any] = first.json()
    scene.kept["redemption"] = redemption["id"]
    teller.line(f"redeemed: {redemption['price_points']:,} points, {redemption['state']}")
    await _show_lots(scene, "lots after: ", LOTS_AFTER)
    teller.line("  the oldest expiry went first: all 1,200 of the first lot, then 1,600 of the second; 1,200 + 1,600 = 2,800")
    again = await scene.redeem(WHO, COFFEE, key)
    teller.expect("The same request again gets the same bytes", again.content, first.content)
    teller.expect("The same request again is known", again.headers.get("idempotency-replayed"), "true")
    await _show_lots(scene, None, LOTS_AFTER)
    teller.line("the same request sent again: the same answer, byte for byte, and no point more is taken")
    await _meet_refusals(scene)


async def _meet_refusals(scene: Scene) -> None:
    teller = scene.teller
    poor = await scene.redeem(POOR, COFFEE, str(uuid.uuid4()))
    teller.expect("Too few points", problem_code(poor), "insufficient-points")
    facts = poor.json()
    numbers = (facts["required"], facts["available"], facts["missing"])
    teller.expect("Required, available, missing", numbers, (COFFEE_POINTS, POOR_POINTS, COFFEE_POINTS - POOR_POINTS))
    teller.line(f"another customer tries with too few points: {facts['detail']}")
    teller.expect("The other customer's points", (await scene.balance(POOR))["balance"], POOR_POINTS)
    second = await scene.redeem(WHO, COFFEE, str(uuid.uuid4()))
    teller.expect("One a day", problem_code(second), "limit-reached")
    teller.expect("Left today", second.json()["left"], 0)
    teller.line(f"the first customer wants a second cup today: {second.json()['detail']}")


async def show_timeline(scene: Scene) -> None:
    """What an agent reads out, and the wallet."""
    teller, redemption = scene.teller, scene.kept["redemption"]
    teller.chapter("What happened, as an agent reads it out (the bank's time), and what is in the wallet")
    path = f"/v1/redemptions/{redemption}"

    async def fulfilled() -> bool:
        return bool((await scene.get("redemption", path, who=WHO))["state"] == "fulfilled")

    await scene.until("Handing out the voucher", fulfilled)
    english = (await scene.get("redemption", path, who=AGENT))["timeline"]
    chinese = (await scene.get("redemption", path, who=AGENT, language="zh-Hans"))["timeline"]
    teller.expect("The timeline", [entry["kind"] for entry in english], ["accepted", "confirmed", "fulfilled"])
    for one, other in zip(english, chinese, strict=True):
        at = datetime.fromisoformat(one["at"]).astimezone(BANK_TIMEZONE)
        teller.line(f"{at:%H:%M:%S}  {one['words']}  {other['words']}")
    wallet = (await scene.get("fulfillment", "/v1/vouchers", who=WHO))["items"]
    teller.expect("Vouchers in the wallet", len(wallet), 1)
    voucher = wallet[0]
    scene.kept["voucher"] = voucher["id"]
    names, value = voucher["reward"]["names"], voucher["face_value"]
    teller.expect("The face value", (value["amount_minor"], value["currency"]), (3_000, "CNY"))
    teller.line(
        f"wallet: {names['zh_hans']} ({names['en']}), worth 30.00 CNY, {voucher['state']}; the list never shows the code"
    )


async def _show_lots(scene: Scene, title: str | None, expected: tuple[tuple[int, int], ...]) -> None:
    lots = await scene.lots(WHO)
    scene.teller.expect(f"Lots of {WHO}", lots, {scene.day(days): points for days, points in expected})
    if title:
        said = " + ".join(f"{points:,} until {day}" for day, points in lots.items())
        scene.teller.line(f"{title} {said} = {sum(lots.values()):,}")
