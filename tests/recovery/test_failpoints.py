"""A process dies at each point that the code names, is started again, and the client asks again: one effect, one answer."""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

from tests.recovery.load import SOLD_OUT, Customers, Order, must_be_once
from tests.support.processes import FAILPOINT_CODE, Machine

pytestmark = pytest.mark.anyio

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Point:
    """Where a program dies. `by_worker`: the request's own process dies first, so that the worker comes this way."""

    program: str
    name: str
    offer: str = "O1"
    by_worker: bool = False


REDEEMING = [
    Point("redemption app", "accept.before_commit"),
    Point("redemption app", "accept.after_commit"),
    Point("redemption app", "drive.after_call"),
    Point("redemption app", "drive.before_commit"),
    Point("redemption worker", "drive.after_call", by_worker=True),
    Point("redemption worker", "drive.before_commit", by_worker=True),
    Point("redemption worker", "drive.before_commit", offer=SOLD_OUT, by_worker=True),
    Point("redemption worker", "fulfil.after_call"),
    Point("redemption worker", "fulfil.before_commit"),
    Point("redemption worker", "consume.after_call"),
    Point("redemption worker", "release.after_call", offer=SOLD_OUT, by_worker=True),
    Point("catalog app", "reserve.before_commit"),
    Point("catalog app", "reserve.after_commit"),
    Point("catalog app", "reserve.after_commit", offer=SOLD_OUT),
    Point("catalog app", "consume.before_commit"),
    Point("catalog app", "release.before_commit", offer=SOLD_OUT, by_worker=True),
    Point("fulfillment app", "accept.before_commit"),
    Point("fulfillment app", "accept.after_commit"),
]
AT_TILLS = ["use.before_commit", "use.after_commit", "reverse.before_commit", "reverse.after_commit"]
EXPIRY = "expire.before_commit"


@pytest.mark.proves("G19", "G22", "G27", "G30", "X3")
@pytest.mark.parametrize("point", REDEEMING, ids=lambda p: f"{p.program} {p.name} {p.offer}".replace(" ", "-"))
async def test_a_process_dies_there_and_the_redemption_happens_once(
    machine: Machine, customers: Customers, point: Point
) -> None:
    [subject] = await customers.arrive(1, 2000)
    await customers.all_ended()
    if point.by_worker:
        await machine.restart("redemption app", "accept.after_commit:exit")
    await machine.restart(point.program, f"{point.name}:exit")
    armed = machine.programs[point.program].pid
    order = await customers.redeem(Order(subject, 2, point.offer))
    await customers.all_ended()
    assert machine.programs[point.program].pid != armed
    assert machine.programs[point.program].deaths[-1] == FAILPOINT_CODE
    await must_be_once(customers, order)
    assert order.answer is not None
    assert order.answer.status_code == (409 if point.offer == SOLD_OUT else 201)
    assert await customers.breaks() == []


@pytest.mark.proves("F5", "G14", "G15", "G30")
@pytest.mark.parametrize("name", AT_TILLS)
async def test_fulfillment_dies_there_and_the_voucher_is_used_once(machine: Machine, customers: Customers, name: str) -> None:
    [subject] = await customers.arrive(1, 1000)
    order = await customers.redeem(Order(subject))
    await customers.all_ended()
    code, number = await customers.voucher_code(order), f"N-{subject}"
    reversing = name.startswith("reverse")
    if reversing:
        assert (await customers.at_till(number, code=code)).status_code == 200
    await machine.restart("fulfillment app", f"{name}:exit")
    answer = await customers.at_till(number, "/reversal") if reversing else await customers.at_till(number, code=code)
    assert machine.programs["fulfillment app"].deaths[-1] == FAILPOINT_CODE
    assert answer.status_code == 200
    found = customers.value("fulfillment", "SELECT array_agg(state) FROM uses WHERE request_number = %s", number)
    assert found == (["reversed"] if reversing else ["live"])
    state = customers.value("fulfillment", "SELECT state FROM vouchers WHERE fulfillment_id = %s", order.redemption_id)
    assert state == ("issued" if reversing else "used")
    assert await customers.breaks() == []


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
    await machine.restart("fulfillment worker", f"{EXPIRY}:exit")
    await machine.programs["fulfillment worker"].gone(20.0)
    query = "SELECT state FROM vouchers WHERE fulfillment_id = %s"
    await customers.until(lambda: customers.value("fulfillment", query, order.redemption_id) == "expired")
    assert machine.programs["fulfillment worker"].deaths[-1] == FAILPOINT_CODE
    entries = "SELECT count(*) FROM audit_entries a JOIN vouchers v ON a.subject = 'voucher:' || v.id WHERE a.action = %s "
    assert customers.value("fulfillment", entries + "AND v.fulfillment_id = %s", "voucher.expired", order.redemption_id) == 1
    assert await customers.breaks() == []


def test_every_failpoint_in_the_code_is_died_at_here() -> None:
    here = {(point.program.split()[0], point.name) for point in REDEEMING}
    here |= {("fulfillment", name) for name in [*AT_TILLS, EXPIRY]}
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
