"""Chapter: the statement adds up, reconciling finds nothing, and the books say what the story says."""

from deploy.local.demo.books import read_books, show_books
from deploy.local.demo.crowds import LOAD_POINTS, RACE_POINTS, RACE_UNITS, RACERS, SHOPPERS
from deploy.local.demo.ordering import ABSENT, BY_COURIER, COLLECTING, COOKER_POINTS, KETTLE_POINTS, POWER_BANK_POINTS
from deploy.local.demo.redeeming import COFFEE_POINTS, LOTS_AFTER, WHO
from deploy.local.demo.scene import Scene

VOUCHERS = 1 + RACE_UNITS + len(SHOPPERS)
GOODS = len((*BY_COURIER, COLLECTING))
BACK = len((ABSENT, "the cancelled one"))
UNITS = VOUCHERS + GOODS
ASKED = 1 + len(RACERS) + len(SHOPPERS) + GOODS + BACK
FOR_VOUCHERS = COFFEE_POINTS + RACE_UNITS * RACE_POINTS + len(SHOPPERS) * LOAD_POINTS
FOR_GOODS = 3 * POWER_BANK_POINTS + KETTLE_POINTS + COOKER_POINTS
GIVEN_BACK = COOKER_POINTS + KETTLE_POINTS
REDEEMED = FOR_VOUCHERS + FOR_GOODS + GIVEN_BACK


async def close_the_books(scene: Scene) -> None:
    """Every number once more."""
    teller = scene.teller
    teller.chapter("The books are closed")
    balance = 0
    for posting in await scene.statement(WHO):
        balance += posting["points"]
        teller.expect(f"The balance after posting {posting['number']}", posting["balance_after"], balance)
        teller.line(f"statement of {WHO}: {posting['words']:<24} {posting['points']:>+8,}  balance {balance:>7,}")
    teller.expect("The statement's end", balance, sum(points for _, points in LOTS_AFTER))
    teller.expect("The account", (await scene.balance(WHO))["balance"], balance)

    async def all_handed_out() -> bool:
        return read_books(scene.suite).units_handed_out == UNITS

    await scene.until("Handing out every unit", all_handed_out)
    vouchers = {"issued": VOUCHERS - 1, "used": 1}
    show_books(scene, "the books at the end", redeemed=REDEEMED, units=UNITS, vouchers=vouchers, given_back=GIVEN_BACK)
    teller.line(
        f"  by hand: 1 x 2,800 + 20 x 91,500 + 200 x 4,800 = {FOR_VOUCHERS:,} points for 1 + 20 + 200 = {VOUCHERS} vouchers,"
    )
    teller.line(f"           3 x 14,800 + 13,800 + 21,000 = {FOR_GOODS:,} points for 3 + 1 + 1 = {GOODS} goods,")
    teller.line(
        f"           and 21,000 + 13,800 = {GIVEN_BACK:,} points came back with {BACK} units: cancelled, and not collected"
    )
    report = await scene.speaker.reconcile()
    teller.expect("Breaks that reconciling found", report["breaks"], [])
    counts = [report[name] for name in ("redemptions", "reservations", "fulfillments")]
    fulfilled = UNITS + BACK
    teller.expect("Redemptions, reservations and fulfillments that were compared", counts, [ASKED, ASKED, fulfilled])
    teller.line(
        f"reconcile: {ASKED} redemptions (180 declined), {ASKED} reservations, {fulfilled} fulfillments: everything fits"
    )
