"""Every kind of damage is planted past all guards, alone; reconcile names it, and is silent again when it is mended."""

import pytest

from services.catalog.books import BOOKS as CATALOG
from services.fulfillment.books import BOOKS as FULFILLMENT
from services.redemption.reconciliation.own_books import BOOKS as REDEMPTION
from tests.integration.reconciliation import (
    damage_to_catalog,
    damage_to_fulfillment,
    damage_to_parcels,
    damage_to_redemption,
    damage_to_tasks,
)
from tests.integration.reconciliation.damage import Damage
from tests.integration.reconciliation.damage_to_redemption import JUST_NOW, LONG_AGO
from tests.integration.reconciliation.world import World
from tests.support.catalog import wish

pytestmark = pytest.mark.anyio

DAMAGES = [
    *damage_to_redemption.DAMAGES,
    *damage_to_catalog.DAMAGES,
    *damage_to_fulfillment.DAMAGES,
    *damage_to_parcels.DAMAGES,
    *damage_to_tasks.DAMAGES,
]


@pytest.mark.proves("G8", "P4", "K7")
@pytest.mark.parametrize("case", DAMAGES, ids=lambda case: case.name.replace(" ", "-"))
async def test_damage_is_named_and_nothing_else_is(world: World, case: Damage) -> None:
    with world.damaged(case.service, *case.statements):
        assert await world.breaks() == {(where, kind, world.filled(subject)) for where, kind, subject in case.found}
    assert await world.breaks() == set()


@pytest.mark.proves("G8", "G11")
async def test_a_reservation_without_a_redemption_is_named(world: World) -> None:
    with world.kept("catalog"):
        [outcome] = await world.suite.catalog.put("reservations", [wish(("O1", 1), id=world.facts["unknown"])])
        assert outcome["outcome"] == "held"
        assert await world.breaks() == {("catalog", "reservation-without-redemption", world.facts["unknown"])}
        await world.suite.catalog.put("reservations/releases", [{"id": world.facts["unknown"]}])
        assert await world.breaks() == set()
    assert await world.breaks() == set()


@pytest.mark.proves("G8", "G11")
async def test_a_redemption_whose_stock_was_given_back_is_named(world: World) -> None:
    with world.kept("catalog"):
        await world.suite.catalog.put("reservations/releases", [{"id": world.facts["confirmed"]}])
        assert await world.breaks() == {("catalog", "redemption-without-reservation", world.facts["confirmed"])}
    assert await world.breaks() == set()


@pytest.mark.proves("G8", "G11")
async def test_stock_held_for_a_redemption_declined_long_ago_is_named_and_for_one_just_declined_is_not(world: World) -> None:
    declined = world.facts["declined"]
    with world.damaged("catalog", "DELETE FROM reservations WHERE id = '{declined}'"):
        await world.suite.catalog.put("reservations", [wish(("O1", 1), id=declined)])
        with world.damaged("redemption", JUST_NOW):
            assert await world.breaks() == set()
        with world.damaged("redemption", LONG_AGO):
            assert await world.breaks() == {("catalog", "reservation-not-released", declined)}
    assert await world.breaks() == set()


@pytest.mark.proves("G8", "G34")
async def test_an_end_of_which_redemption_has_not_heard_for_two_hours_is_named(world: World) -> None:
    """Told again it would be found to be returned already: so only the states are looked at."""
    came_back = world.facts["came_back"]
    watched = "UPDATE tasks SET state = 'ready' WHERE ref = '{came_back}' AND kind = 'watch'"
    with world.damaged("redemption", "UPDATE redemptions SET state = 'delivering' WHERE id = '{came_back}'", watched):
        assert await world.breaks() == set()
        older = "UPDATE fulfillments SET changed_at = changed_at - interval '2 hours' WHERE id = '{came_back}'"
        with world.damaged("fulfillment", older):
            assert await world.breaks() == {("fulfillment", "delivery-unheard", came_back)}
    assert await world.breaks() == set()


@pytest.mark.proves("G8", "G11")
async def test_goods_that_left_and_whose_stock_is_still_held_are_named(world: World) -> None:
    held = ("UPDATE reservations SET state = 'held' WHERE id = '{sent}'",)
    with world.damaged("catalog", *held), world.damaged("redemption", LONG_AGO):
        assert ("catalog", "reservation-not-consumed", world.facts["sent"]) in await world.breaks()
    assert await world.breaks() == set()


@pytest.mark.proves("G8")
async def test_what_is_old_but_still_under_way_is_no_break(world: World) -> None:
    with world.damaged("redemption", LONG_AGO):
        assert await world.breaks() == set()


def test_every_check_that_there_is_has_been_shown_its_damage() -> None:
    shown = {kind for case in DAMAGES for _, kind, _ in case.found}
    assert shown >= {*REDEMPTION.checks, *CATALOG.checks, *FULFILLMENT.checks}
