"""A process dies at each point of a cancellation and of what follows from it; it is decided once, and refunded once."""

import asyncio
import uuid

import pytest

from tests.recovery.load import LAMP, LAMP_POINTS, PRICE, Customers
from tests.support.processes import FAILPOINT_CODE, Machine

pytestmark = pytest.mark.anyio

APP, WORKER = "redemption app", "redemption worker"
Deaths = tuple[tuple[str, str], ...]
CANCELLING: list[Deaths] = [
    ((APP, "cancel.before_commit"), (WORKER, "give_back.after_call")),
    ((APP, "cancel.after_commit"), (WORKER, "cancel.after_call")),
    ((APP, "cancel.after_call"), (WORKER, "stop.before_commit")),
    ((APP, "stop.before_commit"),),
    ((APP, "outcomes.before_commit"), (WORKER, "watch.after_call")),
]
STOCK = "SELECT array_agg(kind || ' ' || line || ' ' || quantity ORDER BY id) FROM stock_movements WHERE reservation_id = %s"


def named(deaths: Deaths) -> str:
    return "+".join(f"{program.replace(' ', '-')}-{name}" for program, name in deaths)


@pytest.mark.proves("G18", "G19", "G22", "G30", "R6", "X3")
@pytest.mark.parametrize("deaths", CANCELLING, ids=named)
async def test_processes_die_there_and_what_was_stopped_comes_back_once(
    machine: Machine, customers: Customers, deaths: Deaths
) -> None:
    [subject] = await customers.arrive(1, PRICE + LAMP_POINTS)
    both = await customers.order_goods(subject, "O1", LAMP, key=str(uuid.uuid4()))
    state = "SELECT state FROM redemptions WHERE id = %s"
    await customers.until(lambda: customers.value("redemption", state, both) == "delivering")
    await customers.all_ended()
    before = {name: len(machine.programs[name].deaths) for name, _ in deaths}
    await machine.restart({program: f"{name}:exit" for program, name in deaths})
    if (WORKER, "watch.after_call") in deaths:
        customers.looks.change("redemption", "UPDATE tasks SET run_at = now() WHERE kind = 'watch' AND ref = %s", both)
    answer = await customers.cancel(subject, both, key="one")
    assert (answer.status_code, answer.json()["state"]) == (200, "fulfilled"), answer.text
    async with asyncio.timeout(60):
        while any(machine.programs[name].deaths[count:] != [FAILPOINT_CODE] for name, count in before.items()):
            await asyncio.sleep(0.1)
    await customers.all_ended()
    again = await customers.cancel(subject, both, key="one")
    assert (again.status_code, again.content) == (200, answer.content)
    refunds = "SELECT array_agg(points) FROM postings WHERE kind = 'refunded' AND redemption_id = %s"
    assert customers.value("redemption", refunds, both) == [LAMP_POINTS]
    assert customers.value("redemption", "SELECT array_agg(state) FROM returns WHERE redemption_id = %s", both) == ["refunded"]
    movements = customers.value("catalog", STOCK, both)
    assert [one for one in movements if one.split()[1] == "1"] == ["held 1 1", "consumed 1 1"]
    lamp = [one.split()[0] for one in movements if one.split()[1] == "2"]
    assert lamp in (["held", "consumed", "returned"], ["held", "given_back"]), "whichever the catalog heard of first"
    assert await customers.breaks() == []
