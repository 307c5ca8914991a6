"""What the processes wrote while customers redeemed and staff looked at them: no name, no number, no code, no token."""

import asyncio
import csv
import uuid
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from deploy.local.speaking import Speaker
from deploy.postgres.provision import SERVICES
from tests.journeys.conftest import CAMPAIGN, SAMPLES
from tests.journeys.machines import Machine

pytestmark = pytest.mark.anyio

COFFEE, WHO, AGENT = "O001", "customer-00007", "agent-1"


@pytest.fixture
def canaries() -> set[str]:
    """The names and telephone numbers of everybody whom the feed brought."""
    with (SAMPLES / "customers.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return {row["name"] for row in rows} | {row["phone"].removeprefix("+") for row in rows}


@pytest.mark.proves("G48", "X6")
async def test_the_logs_and_metrics_of_all_processes_name_nobody_and_hold_no_secret(
    loaded: Machine, canaries: set[str]
) -> None:
    if not loaded.has_database_at_hand:
        pytest.skip("containers keep their logs elsewhere")
    with (SAMPLES / "customers.csv").open(encoding="utf-8") as file:
        person = next(row for row in csv.DictReader(file) if row["subject"] == WHO)
    secrets = {*canaries}
    async with Speaker(loaded.suite) as speaker:
        secrets |= await redeem(speaker)
        for by in ("phone", "name", "customer_number"):
            found = await speaker.call("POST", "redemption", "/v1/customers/search", who=AGENT, json={by: person[by]})
            [customer] = found.json()["items"]
            wrong = await speaker.answer(
                "POST", "redemption", "/v1/customers/search", who=AGENT, json={by: person[by], "also": person["phone"]}
            )
            assert wrong.status_code == 422
        path = f"/v1/customers/{customer['customer_id']}/unmasking"
        shown = await speaker.call("POST", "redemption", path, who=AGENT, json={"reason": "a journey"})
        assert (shown.json()["name"], shown.json()["phone"]) == (person["name"], person["phone"])
        secrets |= {(await speaker.token(who)).rpartition(".")[2] for who in (WHO, AGENT)}
    written = dict(logs_of(loaded.suite.state / "logs"))
    for service in SERVICES:
        assert any(service in name for name in written), "each service has a log"
    written |= {f"metrics {port}": metrics_at(loaded, port) for s in SERVICES for port in
                (loaded.suite.ports.api(s), loaded.suite.ports.worker(s))}  # fmt: skip
    assert {(name, secret) for name, text in written.items() for secret in secrets if secret in text} == set()


async def redeem(speaker: Speaker) -> set[str]:
    """One e-voucher, shown to a till that does not take it; its code, as shown and as kept."""
    path = f"/v1/campaigns/{CAMPAIGN}/offers"
    offers = (await speaker.call("GET", "catalog", path, who=WHO, params={"q": "咖啡"})).json()["items"]
    [offer] = [one for one in offers if one["code"] == COFFEE]
    line = {"offer_id": offer["id"], "offer_version": offer["version"], "quantity": 1}
    headers = {"Idempotency-Key": str(uuid.uuid4())}
    body = {"campaign": CAMPAIGN, "lines": [line]}
    await speaker.call("POST", "redemption", "/v1/redemptions", who=WHO, json=body, headers=headers)
    while not (vouchers := (await speaker.call("GET", "fulfillment", "/v1/vouchers", who=WHO)).json()["items"]):
        await asyncio.sleep(0.3)
    shown = await speaker.call("GET", "fulfillment", f"/v1/vouchers/{vouchers[0]['id']}/code", who=WHO)
    code: str = shown.json()["code"]
    for till in ("till:M001:T01", "till:M002:T01"):
        await speaker.answer("POST", "fulfillment", "/v1/verifications", who=till, json={"code": code})
        await speaker.answer("PUT", "fulfillment", f"/v1/uses/{uuid.uuid4()}", who=till, json={"code": code, "x": code})
    return {code, code.replace("-", "")}


def logs_of(folder: Path) -> Iterator[tuple[str, str]]:
    """Everything that was written, by file."""
    for file in sorted(folder.iterdir()):
        yield file.name, file.read_text(encoding="utf-8", errors="replace")


def metrics_at(machine: Machine, port: int) -> str:
    """What a process tells about itself."""
    answer = httpx.get(f"{machine.suite.ports.url(port)}/metrics", timeout=10)
    assert answer.status_code == 200
    return answer.text
