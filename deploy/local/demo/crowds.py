"""Chapters: two hundred customers race for twenty units; processes are killed in the middle of two hundred redemptions."""

import asyncio
import os
import signal
import uuid
from collections import Counter

from deploy.local.demo.scene import Ending, Scene

RACE, RACE_POINTS, RACE_UNITS = "O042", 91_500, 20
RACERS = [f"customer-{number:05}" for number in range(101, 301)]
RACER_POINTS = 100_000

LOAD, LOAD_POINTS = "O010", 4_800
SHOPPERS = [f"customer-{number:05}" for number in range(301, 501)]
SHOPPER_POINTS = 12_000
KILLED = ("redemption", "redemption worker")
KILLED_AFTER = 60
"""How many of the two hundred have their answer, at least, when the processes are killed."""
ONE_EVERY_SECONDS = 0.004


async def race(scene: Scene) -> None:
    """Exactly as many get one as there are."""
    teller, offer = scene.teller, await scene.offer(RACE)
    name = f"{offer['name zh-Hans']} ({offer['name en']})"
    teller.chapter(f"{len(RACERS)} customers want {name}; there are {RACE_UNITS}")
    teller.expect("The price", offer["price_points"], RACE_POINTS)
    await scene.of_each(RACERS, scene.speaker.token)
    endings = await asyncio.gather(*(scene.redeem_to_the_end(who, RACE, str(uuid.uuid4())) for who in RACERS))
    codes = Counter(ending.code or "redeemed" for ending in endings)
    teller.expect("How the race ended", dict(codes), {"redeemed": RACE_UNITS, "out-of-stock": len(RACERS) - RACE_UNITS})
    teller.line(f"{codes['redeemed']} got one, {codes['out-of-stock']} were told: {_detail(endings, 'out-of-stock')}")
    accounts = await scene.of_each(RACERS, scene.balance)
    left = Counter((account["balance"], account["held"]) for account in accounts)
    expected = {(RACER_POINTS - RACE_POINTS, 0): RACE_UNITS, (RACER_POINTS, 0): len(RACERS) - RACE_UNITS}
    teller.expect("Points of the two hundred afterwards", dict(left), expected)
    teller.line(f"points: {RACE_UNITS} customers have 100,000 - 91,500 = 8,500 left, the other 180 have their 100,000")


class Load:
    """Two hundred redemptions under way, one beginning after the other."""

    def __init__(self, scene: Scene) -> None:
        """Starts at once."""
        self.answered, self.enough = 0, asyncio.Event()
        self.running = [
            asyncio.create_task(self._one(scene, who, number * ONE_EVERY_SECONDS)) for number, who in enumerate(SHOPPERS)
        ]

    async def _one(self, scene: Scene, who: str, wait_seconds: float) -> Ending:
        await asyncio.sleep(wait_seconds)
        ending = await scene.redeem_to_the_end(who, LOAD, str(uuid.uuid4()))
        self.answered += 1
        if self.answered >= KILLED_AFTER:
            self.enough.set()
        return ending


async def kill_in_the_middle(scene: Scene) -> Load:
    """Start the load, kill the API and its worker with -9, and see both come back. The load is still running then."""
    teller, offer = scene.teller, await scene.offer(LOAD)
    teller.chapter(f"{len(SHOPPERS)} customers redeem {offer['name zh-Hans']} ({offer['name en']}), and redemption is killed")
    teller.expect("The price", offer["price_points"], LOAD_POINTS)
    await scene.of_each(SHOPPERS, scene.speaker.token)
    load = Load(scene)
    await load.enough.wait()
    killed = {name: scene.supervisor.process_of(name) for name in KILLED}
    for process in killed.values():
        os.kill(process, signal.SIGKILL)
    teller.line(f"when {load.answered} have their answer: kill -9 of redemption's API and of its worker")

    async def back() -> bool:
        return all(scene.supervisor.is_ready(name) and scene.supervisor.process_of(name) != killed[name] for name in KILLED)

    began = teller.seconds
    await scene.until("Starting again", back)
    teller.line(
        f"both are back after {teller.seconds - began:.0f} seconds by themselves; every app sends its request again, as apps do"
    )
    return load


async def see_the_load_end(scene: Scene, load: Load) -> None:
    """Everybody has one voucher and paid once."""
    teller = scene.teller
    teller.chapter("The two hundred redemptions that were interrupted")
    endings = await asyncio.gather(*load.running)
    statuses = Counter(ending.code or "redeemed" for ending in endings)
    teller.expect("How the interrupted redemptions ended", dict(statuses), {"redeemed": len(SHOPPERS)})
    again = sum(ending.sent > 1 for ending in endings)
    known = sum(ending.was_on_record for ending in endings)
    teller.line(f"all {len(SHOPPERS)} are redeemed; {again} requests got no lasting answer at first and were sent again")
    if known:
        teller.line(f"{known} of these had been taken in already and were carried on: what a dead process had in hand")
        teller.line("is free for the worker after half a minute")
    accounts = await scene.of_each(SHOPPERS, scene.balance)
    left = Counter((account["balance"], account["held"]) for account in accounts)
    teller.expect("Points of the two hundred", dict(left), {(SHOPPER_POINTS - LOAD_POINTS, 0): len(SHOPPERS)})
    teller.line("points: each of the 200 has 12,000 - 4,800 = 7,200, so nobody paid twice and nothing is held")

    async def handed_out() -> bool:
        wallets = await scene.of_each(SHOPPERS, lambda who: scene.get("fulfillment", "/v1/vouchers", who=who))
        return [len(wallet["items"]) for wallet in wallets] == [1] * len(SHOPPERS)

    await scene.until("Handing out the vouchers", handed_out)
    teller.line("wallets: each of the 200 has one voucher; nobody had to step in")


def _detail(endings: list[Ending], code: str) -> str:
    return next(str(ending.answer.json()["detail"]) for ending in endings if ending.code == code)
