"""Chapter: the campaign is loaded and put in force, customers and their points come by feed."""

from deploy.local.demo.books import show_books
from deploy.local.demo.scene import CAMPAIGN, Scene

WORKBOOK = "autumn-campaign.xlsx"
OFFERS, CUSTOMERS = 72, 2_000
FEEDS = (("customers", "customers.csv"), ("opening-balances", "opening-balances.csv"), ("earned-points", "earned-points.csv"))


async def load(scene: Scene) -> None:
    """One workbook and three feeds; each again, to see that it changes nothing."""
    teller, speaker = scene.teller, scene.speaker
    teller.chapter("The campaign, the customers and their points are loaded")
    loaded = await speaker.load_workbook(scene.files[WORKBOOK])
    await speaker.publish(loaded["campaign"], loaded["version"])
    teller.expect("The loaded campaign", loaded["campaign"], CAMPAIGN)
    await scene.offer("O001")
    teller.expect("Offers in the campaign", len(scene.offers), OFFERS)
    teller.line(f"workbook: {CAMPAIGN} version {loaded['version']} is in force, with {OFFERS} offers")
    issued = 0
    for kind, name in FEEDS:
        receipt, _ = await speaker.feed(kind, name, scene.files[name])
        lines, points = control_of(scene.files[name]) if kind != "customers" else (CUSTOMERS, 0)
        teller.expect(f"New lines of {name}", receipt["new"], lines)
        teller.expect(f"Points of {name}", receipt["points"], points)
        said = f" with {points:,} points, as the file's control line says" if points else ""
        teller.line(f"feed: {name} is taken in, {lines:,} lines{said}")
        issued += points
    name = FEEDS[1][1]
    receipt, again = await speaker.feed("opening-balances", name, scene.files[name])
    teller.expect("A file that is sent twice is known", again, True)
    teller.line(f"feed: {name} once more: known already, nothing changes")
    scene.kept["issued"] = issued
    show_books(scene, "the books now", redeemed=0, units=0, vouchers={})


def control_of(content: bytes) -> tuple[int, int]:
    """Lines and points as a feed's last line states them."""
    _, lines, points = content.decode().splitlines()[-1].split(",")
    return int(lines), int(points)
