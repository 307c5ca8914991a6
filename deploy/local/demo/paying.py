"""Chapter: a merchant's till verifies the voucher, uses it once, takes the use back, and uses it again."""

from typing import Any

import httpx

from deploy.local.demo.redeeming import WHO
from deploy.local.demo.scene import Scene, problem_code

TILL, OTHER_MERCHANT = "till:M001:T01", "till:M002:T01"


async def pay(scene: Scene) -> None:
    """What a till can do with a voucher, and what it cannot."""
    teller = scene.teller
    teller.chapter("The customer pays at 晨光咖啡 (Morning Light Coffee, merchant M001)")
    code: str = (await scene.get("fulfillment", f"/v1/vouchers/{scene.kept['voucher']}/code", who=WHO))["code"]

    async def admitted() -> bool:
        return problem_code(await _verify(scene, TILL, code)) != "till-not-admitted"

    await scene.until("Telling fulfillment about the merchants", admitted)
    for _ in range(2):
        verified = await _verify(scene, TILL, code)
        teller.expect("The voucher can be used", (verified.status_code, verified.json().get("usable")), (200, True))
    teller.line("the till verifies the code, twice: usable, and nothing changes")
    elsewhere = await _verify(scene, OTHER_MERCHANT, code)
    teller.expect("At another merchant", problem_code(elsewhere), "voucher-not-found")
    teller.line(f"another merchant's till verifies it: {elsewhere.json()['detail']}")
    first = await _use(scene, "SALE-1", code)
    teller.expect("The use", (first.status_code, first.json().get("state")), (200, "used"))
    teller.line("request SALE-1 uses it: used")
    second = await _use(scene, "SALE-2", code)
    teller.expect("Another request for the same code", problem_code(second), "voucher-already-used")
    teller.line(f"request SALE-2 tries again: {second.json()['detail']}")
    repeat = await _use(scene, "SALE-1", code)
    teller.expect("SALE-1 again gets the same bytes", repeat.content, first.content)
    teller.line("request SALE-1 is sent once more, as after a lost answer: the same answer, byte for byte")
    reversal = await scene.speaker.answer(
        "PUT", "fulfillment", "/v1/uses/SALE-1/reversal", who=TILL, json={"reason": "customer"}
    )
    teller.expect("The reversal", (reversal.status_code, reversal.json().get("state")), (200, "reversed"))
    teller.line("the till takes SALE-1 back: reversed")
    third = await _use(scene, "SALE-3", code)
    teller.expect("The use after the reversal", (third.status_code, third.json().get("state")), (200, "used"))
    teller.line("request SALE-3 uses it: used, for good this time")
    voucher: dict[str, Any] = await scene.get("fulfillment", f"/v1/vouchers/{scene.kept['voucher']}", who=WHO)
    teller.expect("The voucher in the wallet", voucher["state"], "used")


async def _verify(scene: Scene, till: str, code: str) -> httpx.Response:
    return await scene.speaker.answer("POST", "fulfillment", "/v1/verifications", who=till, json={"code": code})


async def _use(scene: Scene, number: str, code: str) -> httpx.Response:
    return await scene.speaker.answer("PUT", "fulfillment", f"/v1/uses/{number}", who=TILL, json={"code": code})
