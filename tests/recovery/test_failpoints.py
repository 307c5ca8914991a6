"""A process dies at each point that the code names, is started again, and the client asks again: one effect, one answer."""

import ast
import os
import re
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.recovery.load import SOLD_OUT, Customers, Order, must_be_once, persist
from tests.recovery.test_dying_while_cancelling import CANCELLING
from tests.recovery.test_dying_while_delivering import DELIVERING
from tests.support.catalog import ACTOR, wish
from tests.support.processes import FAILPOINT_CODE, Machine

pytestmark = pytest.mark.anyio

ROOT = Path(__file__).parents[2]


SOAK = os.environ.get("HUANGOU_SOAK") == "1"


@dataclass(frozen=True)
class Round:
    """One order on its way past programs that each die once, at a point that they pass in this order."""

    deaths: tuple[tuple[str, str], ...]
    offer: str = "O1"


APP, WORKER, CATALOG, FULFILLMENT = "redemption app", "redemption worker", "catalog app", "fulfillment app"
ROUNDS = [
    Round(
        (
            (APP, "accept.before_commit"),
            (CATALOG, "reserve.before_commit"),
            (WORKER, "drive.after_call"),
            (FULFILLMENT, "accept.before_commit"),
        )
    ),
    Round(
        (
            (APP, "accept.after_commit"),
            (CATALOG, "reserve.after_commit"),
            (WORKER, "drive.before_commit"),
            (FULFILLMENT, "accept.after_commit"),
        )
    ),
    Round(((APP, "drive.after_call"), (WORKER, "fulfil.after_call"), (CATALOG, "consume.before_commit"))),
    Round(((APP, "drive.before_commit"), (WORKER, "fulfil.before_commit"))),
    Round(((WORKER, "consume.after_call"),)),
    Round(((APP, "accept.after_commit"), (CATALOG, "release.before_commit"), (WORKER, "release.after_call")), SOLD_OUT),
    Round(((APP, "accept.after_commit"), (CATALOG, "reserve.after_commit"), (WORKER, "drive.before_commit")), SOLD_OUT),
]
# Each death alone; the worker drives only what a request has left behind, and releases only what is then declined.
LEFT_BEHIND = (APP, "accept.after_commit")
ALONE = [
    Round(
        tuple(dict.fromkeys([*([LEFT_BEHIND] if death[0] == WORKER or "release" in death[1] else []), death])),
        SOLD_OUT if "release" in death[1] else "O1",
    )
    for death in dict.fromkeys(death for round_ in ROUNDS for death in round_.deaths)
]
AT_TILLS = ["use.before_commit", "use.after_commit", "reverse.before_commit", "reverse.after_commit"]
AT_RETURNS = ["return.before_commit", "return.after_commit"]
EXPIRY = "expire.before_commit"


def named(round_: Round) -> str:
    return "+".join(f"{program.replace(' ', '-')}-{name}" for program, name in round_.deaths) + f"+{round_.offer}"


@pytest.mark.proves("G19", "G22", "G27", "G30", "X3")
@pytest.mark.parametrize("round_", [*ROUNDS, *(ALONE if SOAK else [])], ids=named)
async def test_processes_die_there_and_the_redemption_happens_once(
    machine: Machine, customers: Customers, round_: Round
) -> None:
    [subject] = await customers.arrive(1, 2000)
    await customers.all_ended()
    before = {name: len(machine.programs[name].deaths) for name, _ in round_.deaths}
    await machine.restart({program: f"{name}:exit" for program, name in round_.deaths})
    order = await customers.redeem(Order(subject, 2, round_.offer))
    await customers.all_ended()
    for name, count in before.items():
        assert machine.programs[name].deaths[count:] == [FAILPOINT_CODE], name
    await must_be_once(customers, order)
    assert order.answer is not None
    assert order.answer.status_code == (409 if round_.offer == SOLD_OUT else 201)
    assert await customers.breaks() == []


@pytest.mark.proves("F5", "G14", "G15", "G30")
async def test_fulfillment_dies_while_tills_use_and_reverse_and_each_happens_once(
    machine: Machine, customers: Customers
) -> None:
    [subject] = await customers.arrive(1, 2000)
    order = await customers.redeem(Order(subject, 2))
    await customers.all_ended()
    for number, code in enumerate(await customers.voucher_codes(order)):
        name, moment = f"{subject}-{number}", ("before_commit", "after_commit")[number]
        for deed, path, body, found in (("use", "", {"code": code}, "used"), ("reverse", "/reversal", {}, "reversed")):
            before = len(machine.programs[FULFILLMENT].deaths)
            await machine.restart({FULFILLMENT: f"{deed}.{moment}:exit"})
            answer = await customers.at_till(name, path, **body)
            assert machine.programs[FULFILLMENT].deaths[before:] == [FAILPOINT_CODE]
            assert (answer.status_code, answer.json()["state"]) == (200, found)
            states = customers.value("fulfillment", "SELECT array_agg(state) FROM uses WHERE request_number = %s", name)
            assert states == ["live" if found == "used" else found]
    query = "SELECT array_agg(state) FROM vouchers WHERE fulfillment_id = %s"
    assert customers.value("fulfillment", query, order.redemption_id) == ["issued", "issued"]
    assert await customers.breaks() == []


@pytest.mark.proves("G11", "G30", "K7")
async def test_the_catalog_dies_while_units_come_back_and_they_come_back_once(machine: Machine, customers: Customers) -> None:
    for name in AT_RETURNS:
        reservation = wish(("O1", 3))
        await at_catalog(customers, "", reservation)
        back = {"id": str(uuid.uuid4()), "reservation_id": reservation["id"], "gives_back": "stock_and_places"}
        before = len(machine.programs[CATALOG].deaths)
        await machine.restart({CATALOG: f"{name}:exit"})
        outcome = await at_catalog(customers, "/returns", {**back, "lines": [{"number": 1, "quantity": 2}]})
        assert machine.programs[CATALOG].deaths[before:] == [FAILPOINT_CODE]
        assert outcome == "returned"
        query = "SELECT array_agg(kind || ' ' || quantity ORDER BY id) FROM stock_movements WHERE reservation_id = %s"
        assert customers.value("catalog", query, reservation["id"]) == ["held 3", "given_back 2"]
        assert await at_catalog(customers, "/releases", {"id": reservation["id"]}) == "released"
        assert customers.value("catalog", query, reservation["id"]) == ["held 3", "given_back 2", "released 1"]
    assert await customers.breaks() == []


async def at_catalog(customers: Customers, path: str, item: Mapping[str, Any]) -> str:
    """One item of a call of redemption's, sent until it has its answer."""
    url, headers = f"{customers.machine.url('catalog')}/internal/v1/reservations{path}", customers.issuer.service()
    answer = await persist(lambda: customers.client.put(url, json={"actor": ACTOR, "items": [item]}, headers=headers))
    assert answer.status_code == 200, answer.text
    outcome: str = answer.json()["items"][0]["outcome"]
    return outcome


@pytest.mark.proves("G30")
async def test_fulfillments_worker_dies_while_vouchers_expire_and_each_expires_once(
    machine: Machine, customers: Customers
) -> None:
    [subject] = await customers.arrive(1, 1000)
    order = await customers.redeem(Order(subject))
    await customers.all_ended()
    with psycopg.connect(machine.databases["fulfillment"].superuser_url) as conn:
        conn.execute(
            "UPDATE vouchers SET issued_at = now() - interval '2 days', expires_at = now() - interval '1 day' "
            "WHERE fulfillment_id = %s",
            [order.redemption_id],
        )
        conn.execute("DELETE FROM schedule_ticks WHERE name LIKE 'expire%'")
    await machine.restart({"fulfillment worker": f"{EXPIRY}:exit"})
    query = "SELECT state FROM vouchers WHERE fulfillment_id = %s"
    await customers.until(lambda: customers.value("fulfillment", query, order.redemption_id) == "expired")
    assert machine.programs["fulfillment worker"].deaths[-1] == FAILPOINT_CODE
    entries = "SELECT count(*) FROM audit_entries a JOIN vouchers v ON a.subject = 'voucher:' || v.id WHERE a.action = %s "
    assert customers.value("fulfillment", entries + "AND v.fulfillment_id = %s", "voucher.expired", order.redemption_id) == 1
    assert await customers.breaks() == []


def test_every_failpoint_in_the_code_is_died_at_here() -> None:
    here = {(program.split()[0], name) for round_ in ROUNDS for program, name in round_.deaths}
    here |= {("fulfillment", name) for name in [*AT_TILLS, EXPIRY]} | {("catalog", name) for name in AT_RETURNS}
    here |= {(program.split()[0], name) for deaths in CANCELLING for program, name in deaths}
    here |= {("fulfillment", name) for name in DELIVERING}
    assert here == set(points_in_code())


def points_in_code() -> Iterator[tuple[str, str]]:
    """Service and name of every point; a name with a variable in it once for each value that the callers give."""
    for path in sorted([*(ROOT / "services").rglob("*.py"), *(ROOT / "shared").rglob("*.py")]):
        tree = ast.parse(path.read_text())
        for function in [node for node in ast.walk(tree) if isinstance(node, ast.AsyncFunctionDef | ast.FunctionDef)]:
            for call in calls_of("failpoint", function):
                service = path.relative_to(ROOT).parts[1]
                if isinstance(call.args[0], ast.Constant):
                    yield service, str(call.args[0].value)
                else:
                    ending = re.sub(r"^f'\{\w+\}|'$", "", ast.unparse(call.args[0]))
                    yield from ((service, value + ending) for value in words_given_to(function.name, tree))


def words_given_to(name: str, tree: ast.AST) -> Iterator[str]:
    for call in calls_of(name, tree):
        yield from (str(a.value) for a in call.args if isinstance(a, ast.Constant) and isinstance(a.value, str))


def calls_of(name: str, tree: ast.AST) -> Iterator[ast.Call]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and getattr(node.func, "id", getattr(node.func, "attr", "")) == name:
            yield node
