"""What people do: customers in their app, and staff at a window of the console."""

import contextlib
import csv
import json
import os
import signal
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from playwright.sync_api import Page, expect

from deploy.local.suite import CHECKOUT
from deploy.local.tokens import obtain_token
from services.console.words.book import say
from shared.languages import Language
from tests.journeys.machines import Machine

BRANCH = "B001"
CAMPAIGN = "AUTUMN-2026"
AXE = Path(__file__).parent / "vendor" / "axe-core-4.14.1" / "axe.min.js"
POINTS_MIN = 30_000
WAIT_SECONDS_MAX = 120


@dataclass(frozen=True)
class Customer:
    """One of the sample customers."""

    subject: str
    number: str
    name: str
    phone: str
    points: int


class Shop:
    """The suite as customers use it."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.http = httpx.Client(timeout=30, trust_env=False)
        self._people = iter(csv.DictReader((CHECKOUT / "samples" / "customers.csv").read_text().splitlines()))

    def close(self) -> None:
        """Let go of the network."""
        self.http.close()

    def call(self, who: str, service: str, method: str, path: str, **arguments: Any) -> Any:
        """One call with a fresh token."""
        suite = self.machine.suite
        token = obtain_token(suite.issuer, who, suite.secrets)
        headers = {"Authorization": f"Bearer {token}", **arguments.pop("headers", {})}
        answer = self.http.request(method, suite.url(service) + path, headers=headers, **arguments)
        assert answer.status_code < 300, answer.text
        return answer.json() if answer.content else None

    def branches(self) -> set[str]:
        """The branches that are open."""
        return {each["code"] for each in self.call("branch-1", "fulfillment", "GET", "/v1/branches")["items"]}

    def somebody(self) -> "Customer":
        """A customer whom nobody has met before, with points for three rewards."""
        for row in self._people:
            me = self.call(row["subject"], "redemption", "GET", "/v1/me")
            points = self.call(row["subject"], "redemption", "GET", f"/v1/customers/{me['customer_id']}/points")
            met = self.call(row["subject"], "redemption", "GET", "/v1/redemptions?limit=1")["items"]
            if points["available"] >= POINTS_MIN and not met:
                return Customer(row["subject"], row["customer_number"], row["name"], row["phone"], points["available"])
        raise LookupError("nobody has that many points")

    def redeem(self, subject: str, way: str) -> dict[str, Any]:
        """Redeem one of the cheapest goods that goes this way."""
        offers = self.call(subject, "catalog", "GET", f"/v1/campaigns/{CAMPAIGN}/offers?limit=100")["items"]
        goods = min((each for each in offers if way in each["delivery"]), key=lambda each: each["price_points"])
        line = {"offer_id": goods["id"], "offer_version": goods["version"], "quantity": 1}
        delivery = (
            {"way": "pickup", "branch": BRANCH} if way == "pickup" else {"way": way, "address_id": self._address(subject)}
        )
        body = {"campaign": CAMPAIGN, "lines": [line], "delivery": delivery}
        headers = {"Idempotency-Key": str(uuid.uuid4())}
        found: dict[str, Any] = self.call(subject, "redemption", "POST", "/v1/redemptions", json=body, headers=headers)
        return found

    def parcel_of(self, subject: str, redemption_id: str, *states: str) -> dict[str, Any]:
        """The parcel of a redemption, once it is in one of these states."""

        def look() -> dict[str, Any] | None:
            found = self.call(subject, "fulfillment", "GET", "/v1/parcels")["items"]
            return next((each for each in found if each["fulfillment_id"] == redemption_id and each["state"] in states), None)

        return until(look, f"a parcel that is {' or '.join(states)}")

    def pickup_code(self, subject: str, parcel_id: str) -> str:
        """The code that the customer shows, as digits."""
        code = self.call(subject, "fulfillment", "GET", f"/v1/parcels/{parcel_id}/pickup-code")["code"]
        return "".join(filter(str.isdigit, code))

    def _address(self, subject: str) -> str:
        address_id = str(uuid.uuid5(uuid.NAMESPACE_URL, subject))
        body = {
            "recipient": "样例", "phone": "+8613800000001", "province": "浙江", "city": "杭州", "district": "西湖",
            "street": "样例路 1 号",
        }  # fmt: skip
        self.call(subject, "redemption", "PUT", f"/v1/addresses/{address_id}", json=body)
        return address_id


class Window:
    """One agent's browser window."""

    def __init__(self, page: Page, machine: Machine, pictures: Path) -> None:
        self.page, self._machine, self._pictures = page, machine, pictures
        self.language: Language = "zh_hans"

    @property
    def console(self) -> str:
        """The console's address."""
        return self._machine.suite.console

    def t(self, key: str, **facts: Any) -> str:
        """What the console says, in this window's language."""
        return say(self.language, key, **facts)

    def speak(self, language: Language) -> None:
        """Choose the language, as one does in the bar."""
        self.page.goto(f"{self.console}/signed-out")
        self.page.locator(f'.languages a[href^="/language/{language}"]').click()
        self.language = language
        expect(self.page.get_by_role("heading", level=1)).to_have_text(self.t("signed_out.title"))

    def sign_in(self, subject: str) -> None:
        """Go through the identity provider as this person."""
        self.page.goto(f"{self.console}/sign-in")
        self.page.locator("select").select_option(subject)
        self.page.locator("button").click()
        self.page.wait_for_url(f"{self.console}/")

    def sign_out(self) -> None:
        """Out here and there."""
        self.page.get_by_role("button", name=self.t("sign_out")).click()
        expect(self.page.get_by_role("heading", level=1)).to_have_text(self.t("signed_out.title"))

    def picture(self, name: str) -> None:
        """Keep what the window shows, for people to look at."""
        self._pictures.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=self._pictures / f"{name}-{self.language}.png")

    def complaints(self) -> list[str]:
        """What axe-core finds wrong with the page for people who use assistive technology."""
        self.page.evaluate(AXE.read_text())  # by the debugger's way in, which the page's policy does not bind
        found = self.page.evaluate("() => axe.run(document, {resultTypes: ['violations']})")
        return [
            f"{each['impact']} {each['id']}: {each['help']}: {node['html'][:120]}"
            for each in found["violations"]
            for node in each["nodes"]
        ]


@contextlib.contextmanager
def stopped(machine: Machine, *names: str) -> Iterator[None]:
    """Programs of the suite that answer nobody, and then go on where they were."""
    children = [_process(machine, name) for name in names]
    for pid in children:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in children:
            os.kill(pid, signal.SIGCONT)


def kill(machine: Machine, name: str) -> None:
    """A program of the suite dies at once; the launcher starts it again."""
    os.kill(_process(machine, name), signal.SIGKILL)


def _process(machine: Machine, name: str) -> int:
    for file in (machine.suite.state / "run").glob("*.json"):
        if file.stem == name:
            return int(json.loads(file.read_text())["pid"])
    raise LookupError(name)


def until(look: Callable[[], Any], what: str, seconds: float = WAIT_SECONDS_MAX) -> Any:
    """Look every half second until there is something; no longer than two minutes."""
    deadline = time.monotonic() + seconds
    while True:
        found = look()
        if found:
            return found
        assert time.monotonic() < deadline, f"there was no {what} within {seconds:.0f} seconds"
        time.sleep(0.5)
