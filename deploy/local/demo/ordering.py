"""Chapter: goods are ordered, by courier and to a branch; one is cancelled before it leaves, and all of it comes back."""

import asyncio
import uuid

import httpx

from deploy.local.branches import read_branches
from deploy.local.demo.scene import SENT_AGAIN_AFTER_SECONDS, Scene, patience, problem_code

POWER_BANK, POWER_BANK_POINTS = "O064", 14_800
KETTLE, KETTLE_POINTS = "O069", 13_800
COOKER, COOKER_POINTS = "O070", 21_000
"""One for each customer."""
EARPHONES = "O062"
"""By courier alone."""

QUIET, STORMY, UNHEARD = "customer-00005", "customer-00009", "customer-00013"
"""Each orders a power bank; of one of the parcels the news come in disorder."""
COLLECTING, ABSENT = "customer-00017", "customer-00021"
"""Each orders a kettle to a branch: one collects it, one never comes."""
WAVERING = "customer-00512"
"""Orders a rice cooker, cancels it, orders it again, and wants to cancel that one too late."""
POINTS, WAVERING_POINTS = 15_000, 25_000
WAVERING_DAYS = 540
"""All of their points are in one lot, which expires then."""
BY_COURIER = (QUIET, STORMY, UNHEARD, WAVERING)
PREPARING_SECONDS = 8
"""How long goods are prepared here, and can be cancelled; half an hour is usual."""

BRANCHES = "branches.csv"
BRANCH, BRANCHES_MAX = "B001", 12
TO_BRANCH = {"way": "pickup", "branch": BRANCH}
ADDRESS = {
    "recipient": "样例收件人 Sample Recipient", "phone": "+442079461999", "province": "上海市", "city": "上海市",
    "district": "浦东新区", "street": "世纪大道 9100 号 501 室", "postcode": "200120", "label": "家 Home", "is_default": True,
}  # fmt: skip


async def order(scene: Scene) -> None:
    """Branches and addresses, what is refused, six orders, and one that is taken back."""
    teller = scene.teller
    teller.chapter("Goods: six customers order them to their home or to a branch, and one changes their mind")
    receipt = await scene.speaker.write_branches(read_branches(scene.files[BRANCHES]))
    teller.expect("Branches", receipt["taken"], BRANCHES_MAX)
    teller.line(f"branches: {BRANCHES} is handed in, {BRANCHES_MAX} branches; {BRANCH} is 陆家嘴支行 (Lujiazui Branch)")
    for who in BY_COURIER:
        await _keep_address(scene, who)
    teller.line("four customers keep an address; it is sealed in the database, and each sees their own alone")
    await _meet_refusals(scene)
    # A real courier's line breaks now and then: whichever booking is the first meets it here.
    await scene.speaker.at_sandbox("PUT", "courier", "/sandbox/faults", json={"mode": "lose_answer", "times": 1})
    for who in (QUIET, STORMY, UNHEARD):
        await _order(scene, who, POWER_BANK, POWER_BANK_POINTS, _to_home(scene, who))
    for who in (COLLECTING, ABSENT):
        await _order(scene, who, KETTLE, KETTLE_POINTS, TO_BRANCH)
    power_bank, kettle = await scene.offer(POWER_BANK), await scene.offer(KETTLE)
    teller.line(f"three order {_named(power_bank)} by courier: 15,000 - 14,800 = 200 points are left to each")
    teller.line(f"two order {_named(kettle)} to the branch: 15,000 - 13,800 = 1,200 points are left to each")
    await _change_their_mind(scene)


def _named(offer: dict[str, str]) -> str:
    return f"{offer['name zh-Hans']} ({offer['name en']})"


async def _keep_address(scene: Scene, who: str) -> None:
    scene.kept[f"address of {who}"] = address = str(uuid.uuid4())
    for _ in range(2):  # the same address under the same id again is no second one
        answer = await scene.speaker.answer("PUT", "redemption", f"/v1/addresses/{address}", who=who, json=ADDRESS)
        scene.teller.expect("An address is kept", answer.status_code, 204)
    book = (await scene.get("redemption", "/v1/addresses", who=who))["items"]
    scene.teller.expect("The address book", [kept["id"] for kept in book], [address])


def _to_home(scene: Scene, who: str) -> dict[str, str]:
    return {"way": "courier", "address_id": scene.kept[f"address of {who}"]}


async def _meet_refusals(scene: Scene) -> None:
    teller = scene.teller
    nowhere = await scene.redeem(QUIET, POWER_BANK, str(uuid.uuid4()))
    teller.expect("Goods without a way of delivery", problem_code(nowhere), "delivery-required")
    teller.line(f"one forgets to say where to: {nowhere.json()['detail']}")
    wrong = await scene.redeem(QUIET, EARPHONES, str(uuid.uuid4()), delivery=TO_BRANCH)
    teller.expect("A way that is not offered", problem_code(wrong), "delivery-not-offered")
    teller.line(f"one wants at a branch what goes by courier alone: {wrong.json()['detail']}")
    strange = await scene.redeem(STORMY, POWER_BANK, str(uuid.uuid4()), delivery=_to_home(scene, QUIET))
    teller.expect("Another customer's address", problem_code(strange), "address-unknown")


async def _order(scene: Scene, who: str, offer: str, points: int, delivery: dict[str, str], had: int = POINTS) -> str:
    """Order one; the points are gone and the redemption is known by its customer from here on."""
    ending = await scene.redeem_to_the_end(who, offer, str(uuid.uuid4()), delivery)
    scene.teller.expect("The answer to an order", (ending.answer.status_code, ending.code), (201, ""))
    redemption: str = ending.answer.json()["id"]
    scene.kept[f"order of {who}"] = redemption
    account = await scene.balance(who)
    scene.teller.expect(f"Points of {who}", (account["balance"], account["held"]), (had - points, 0))
    return redemption


async def _change_their_mind(scene: Scene) -> None:
    teller, cooker = scene.teller, await scene.offer(COOKER)
    to_home = _to_home(scene, WAVERING)
    await _order(scene, WAVERING, COOKER, COOKER_POINTS, to_home, WAVERING_POINTS)
    teller.line(f"one orders {_named(cooker)}, one for each customer: 25,000 - 21,000 = 4,000 points are left")
    second = await scene.redeem(WAVERING, COOKER, str(uuid.uuid4()), delivery=to_home)
    teller.expect("A second one", problem_code(second), "limit-reached")
    answer = await cancel(scene, WAVERING)
    teller.expect("Cancelling before it leaves", (answer.status_code, answer.json().get("state")), (200, "cancelled"))
    account = await scene.balance(WAVERING)
    teller.expect("Points after cancelling", (account["balance"], account["held"]), (WAVERING_POINTS, 0))
    teller.expect("The lots after cancelling", await scene.lots(WAVERING), {scene.day(WAVERING_DAYS): WAVERING_POINTS})
    teller.line("and cancels it while it is being prepared: 25,000 points again, each in the lot from which it came")
    await _order(scene, WAVERING, COOKER, COOKER_POINTS, to_home, WAVERING_POINTS)
    teller.line("and then wants it after all: the limit of one did not count the cancelled one; 4,000 points are left")


async def cancel(scene: Scene, who: str) -> httpx.Response:
    """Cancel a customer's order as an app does: again under the same key until it is decided."""
    path = f"/v1/redemptions/{scene.kept[f'order of {who}']}/cancellation"
    headers = {"Idempotency-Key": str(uuid.uuid4())}
    body = {"reason": "I have changed my mind"}
    async with patience(f"{who}'s cancelling"):
        while True:
            answer = await scene.speaker.answer("POST", "redemption", path, who=who, headers=headers, json=body)
            if answer.status_code not in (202, 503):
                return answer
            await asyncio.sleep(SENT_AGAIN_AFTER_SECONDS)
    raise AssertionError("patience ends with an answer or an error")
