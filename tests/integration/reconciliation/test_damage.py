"""Every kind of damage is planted past all guards, alone; reconcile names it, and is silent again when it is mended."""

from dataclasses import dataclass

import pytest

from services.catalog.books import BOOKS as CATALOG
from services.fulfillment.books import BOOKS as FULFILLMENT
from services.redemption.points.store import POSTING_HASH
from services.redemption.reconciliation.own_books import BOOKS as REDEMPTION
from tests.integration.reconciliation.world import World
from tests.support.catalog import wish

pytestmark = pytest.mark.anyio

FITTING_HASH = f"UPDATE postings SET hash = {POSTING_HASH} WHERE account_id = '{{account}}' AND number = {{last}}"
LONG_AGO = "UPDATE redemptions SET changed_at = changed_at - interval '2 minutes'"


@dataclass(frozen=True)
class Damage:
    """What is done to one service's database, and exactly what is then found (more than one: what follows from it)."""

    name: str
    service: str
    statements: tuple[str, ...]
    found: frozenset[tuple[str, str, str]]


def damage(name: str, service: str, *statements: str, found: dict[str, str]) -> Damage:
    """`found`: kind -> subject; the kind may begin with the service in whose books it is, else it is the damaged one's."""
    breaks = []
    for kind, subject in found.items():
        owner, _, bare = kind.rpartition("/")
        breaks.append((owner or service, bare, subject))
    return Damage(name, service, statements, frozenset(breaks))


DAMAGES = [
    # The eight kinds.
    damage(
        "a posting's reason edited",
        "redemption",
        "UPDATE postings SET reason = 'a gift' WHERE account_id = '{account}' AND number = 1",
        found={"posting-edited": "{account} number 1"},
    ),
    damage(
        "a posting's points edited",
        "redemption",
        "UPDATE postings SET points = points - 1 WHERE account_id = '{account}' AND number = {spent}",
        found={
            "posting-edited": "{account} number {spent}",
            "posting-chain-broken": "{account} number {spent}",
            "account-drifted": "{account}",
            "lot-drifted": "{lot}",
            "redemption-and-points-differ": "{used}",
        },
    ),
    damage(
        "a lot's remainder edited",
        "redemption",
        "UPDATE lots SET remaining = remaining - 1 WHERE id = '{lot}'",
        found={"lot-drifted": "{lot}", "account-and-lots-differ": "{account}"},
    ),
    damage(
        "a unit of stock without its movement",
        "catalog",
        "UPDATE stock_batches SET received = received + 1 WHERE id = '{batch}'",
        found={"batch-movements": "{campaign}/B1"},
    ),
    damage(
        "a received movement deleted",
        "catalog",
        "DELETE FROM stock_movements WHERE batch_id = '{batch}' AND kind = 'received'",
        found={"batch-movements": "{campaign}/B1"},
    ),
    damage(
        "a confirmed redemption without a fulfillment, which was handed out",
        "fulfillment",
        "DELETE FROM vouchers WHERE fulfillment_id = '{fulfilled}'",
        "DELETE FROM voucher_promises WHERE fulfillment_id = '{fulfilled}'",
        "DELETE FROM fulfillment_lines WHERE fulfillment_id = '{fulfilled}'",
        "DELETE FROM fulfillments WHERE id = '{fulfilled}'",
        found={"redemption-without-fulfillment": "{fulfilled}"},
    ),
    damage(
        "a confirmed redemption without a fulfillment, for which nothing asks",
        "redemption",
        "UPDATE tasks SET state = 'done' WHERE ref = '{confirmed}' AND kind = 'fulfil'",
        found={"redemption-without-task": "{confirmed}", "fulfillment/redemption-without-fulfillment": "{confirmed}"},
    ),
    damage(
        "a voucher used twice",
        "fulfillment",
        "DROP INDEX uq_uses_live",
        "INSERT INTO uses SELECT gen_random_uuid(), merchant, 'T02', request_number, state, fingerprint, till_reference, "
        "voucher_id, refusal, refusal_facts, recorded_at, used_at, reversed_at FROM uses WHERE id = '{use}'",
        found={"voucher-used-twice": "voucher:{voucher}"},
    ),
    damage(
        "a live redemption without a task",
        "redemption",
        "DELETE FROM tasks WHERE ref = '{accepted}'",
        found={"redemption-without-task": "{accepted}"},
    ),
    damage(
        "a live redemption whose task is done",
        "redemption",
        "UPDATE tasks SET state = 'done' WHERE ref = '{accepted}'",
        found={"redemption-without-task": "{accepted}"},
    ),
    damage(
        "a quota drifted",
        "catalog",
        "UPDATE quotas SET total_taken = total_taken + 1 WHERE offer_id = '{offer}'",
        found={"quota": "{offer}"},
    ),
    damage(
        "a quota's day drifted",
        "catalog",
        "UPDATE quotas SET day_taken = day_taken - 1 WHERE offer_id = '{offer}'",
        found={"quota": "{offer}"},
    ),
    damage(
        "a personal limit drifted",
        "redemption",
        "UPDATE limit_counters SET taken = taken - 1 WHERE customer_id = '{customer}'",
        found={"limit-drifted": "{customer} offer:{offer}"},
    ),
    damage(
        "a personal limit forgotten",
        "redemption",
        "DELETE FROM limit_counters WHERE customer_id = '{customer}'",
        found={"limit-drifted": "{customer} offer:{offer}"},
    ),
    damage(
        "a budget drifted",
        "catalog",
        "UPDATE budget_lines SET committed_minor = committed_minor + 1",
        found={"budget": "{campaign}/{budget}"},
    ),
    # The further checks of redemption's own books, each alone.
    damage(
        "a posting's balance edited, its hash made to fit",
        "redemption",
        "UPDATE postings SET balance_after = balance_after + 1 WHERE account_id = '{account}' AND number = {last}",
        FITTING_HASH,
        found={"posting-chain-broken": "{account} number {last}"},
    ),
    damage(
        "an account's count of postings edited",
        "redemption",
        "UPDATE accounts SET postings_count = postings_count + 1 WHERE id = '{account}'",
        found={"account-drifted": "{account}"},
    ),
    damage(
        "an account's last posting deleted",
        "redemption",
        "DELETE FROM postings WHERE account_id = '{account}' AND number = {last}",
        found={"account-drifted": "{account}", "lot-drifted": "{lot}", "redemption-and-points-differ": "{fulfilled}"},
    ),
    damage(
        "an account's held points edited",
        "redemption",
        "UPDATE accounts SET held = held + 1 WHERE id = '{account}'",
        found={"account-and-lots-differ": "{account}"},
    ),
    damage(
        "held points that no redemption holds",
        "redemption",
        "UPDATE lots SET held = held + 1 WHERE id = '{lot}'",
        "UPDATE accounts SET held = held + 1 WHERE id = '{account}'",
        found={"lot-and-holds-differ": "{lot}"},
    ),
    damage(
        "points of a confirmed redemption given back",
        "redemption",
        "UPDATE holds SET state = 'released' WHERE redemption_id = '{confirmed}'",
        found={"redemption-and-points-differ": "{confirmed}"},
    ),
    damage(
        "a line's price edited",
        "redemption",
        "UPDATE redemption_lines SET unit_points = unit_points + 1 WHERE redemption_id = '{declined}'",
        found={"redemption-and-lines-differ": "{declined}"},
    ),
    damage(
        "points noted as given back that never were",
        "redemption",
        "UPDATE holds SET refunded = 1 WHERE redemption_id = '{fulfilled}'",
        found={"refunds-differ": "{fulfilled}"},
    ),
    damage(
        "more units returned than were redeemed",
        "redemption",
        "INSERT INTO returns (id, redemption_id, kind, state, reason, actor, channel, requested_at, decided_at) VALUES "
        "('{unknown}', '{fulfilled}', 'lost', 'refunded', '', 'x', 'x', now(), now())",
        "INSERT INTO return_lines (return_id, number, redemption_id, quantity, points) VALUES "
        "('{unknown}', 1, '{fulfilled}', 99, 1)",
        found={
            "returned-too-much": "{fulfilled}",
            "refunds-differ": "{fulfilled}",
            "catalog/returns-differ": "{fulfilled}",
        },
    ),
    damage(
        "a cancellation of which the redemption knows nothing",
        "redemption",
        "INSERT INTO returns (id, redemption_id, kind, state, reason, actor, channel, requested_at) VALUES "
        "('{unknown}', '{fulfilled}', 'cancellation', 'requested', '', 'x', 'x', now())",
        found={"cancellation-undecided": "{fulfilled}"},
    ),
    damage(
        "goods without a way to the customer",
        "redemption",
        "UPDATE redemption_lines SET reward = reward || '{{\"kind\": \"goods\"}}' WHERE redemption_id = '{fulfilled}'",
        found={"goods-without-delivery": "{fulfilled}"},
    ),
    damage(
        "an entry of a timeline deleted",
        "redemption",
        "DELETE FROM redemption_events WHERE redemption_id = '{fulfilled}' AND number = 2",
        found={"timeline-with-a-gap": "{fulfilled}"},
    ),
    # The neighbours' books.
    damage(
        "a held movement deleted",
        "catalog",
        "DELETE FROM stock_movements WHERE reservation_id = '{confirmed}'",
        found={"batch-movements": "{campaign}/B1", "draw-movements": "{confirmed}"},
    ),
    damage(
        "what a reservation drew deleted",
        "catalog",
        "DELETE FROM reservation_draws WHERE reservation_id = '{confirmed}'",
        found={"batch-draws": "{campaign}/B1", "draw-movements": "{confirmed}", "line-draws": "{confirmed}"},
    ),
    damage(
        "a reservation's line deleted",
        "catalog",
        "DELETE FROM reservation_lines WHERE reservation_id = '{confirmed}'",
        found={"header-lines": "{confirmed}", "quota": "{offer}", "budget": "{campaign}/{budget}"},
    ),
    damage(
        "a use deleted",
        "fulfillment",
        "DELETE FROM uses WHERE id = '{use}'",
        found={"voucher-used-without-use": "voucher:{voucher}"},
    ),
    damage(
        "a used voucher made good again",
        "fulfillment",
        "UPDATE vouchers SET state = 'issued', used_at = NULL WHERE id = '{voucher}'",
        found={"use-of-unused-voucher": "use:{use}"},
    ),
    damage(
        "a use whose number was taken and that was never decided",
        "fulfillment",
        "INSERT INTO uses (id, merchant, terminal, request_number, state, fingerprint, recorded_at) "
        "VALUES ('{unknown}', 'M001', 'T01', 'left-behind', 'asked', sha256('x'), now())",
        found={"use-undecided": "use:{unknown}"},
    ),
    damage(
        "a use moved to another merchant",
        "fulfillment",
        "UPDATE uses SET merchant = 'M999' WHERE id = '{use}'",
        found={"use-by-foreign-merchant": "use:{use}"},
    ),
    damage(
        "a voucher deleted",
        "fulfillment",
        "DELETE FROM vouchers WHERE id = '{unused_voucher}'",
        found={"fulfillment-vouchers": "fulfillment:{fulfilled}"},
    ),
    damage(
        "the lines of a fulfillment deleted",
        "fulfillment",
        "DELETE FROM vouchers WHERE fulfillment_id = '{fulfilled}'",
        "DELETE FROM fulfillment_lines WHERE fulfillment_id = '{fulfilled}'",
        found={"fulfillment-without-lines": "fulfillment:{fulfilled}"},
    ),
    # The services with each other.
    damage(
        "a fulfillment that nobody redeemed",
        "fulfillment",
        "INSERT INTO fulfillments (id, state, version, changed_at) VALUES ('{unknown}', 'cancelled', 1, now())",
        found={"fulfillment-without-redemption": "{unknown}"},
    ),
    damage(
        "handed out long ago, and nothing consumes what is held",
        "redemption",
        "DELETE FROM tasks WHERE ref = '{handed_out}' AND kind = 'consume'",
        LONG_AGO,
        found={"catalog/reservation-not-consumed": "{handed_out}"},
    ),
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
        assert await world.breaks() == set()
        with world.damaged("redemption", LONG_AGO):
            assert await world.breaks() == {("catalog", "reservation-not-released", declined)}
    assert await world.breaks() == set()


@pytest.mark.proves("G8")
async def test_what_is_old_but_still_under_way_is_no_break(world: World) -> None:
    with world.damaged("redemption", LONG_AGO):
        assert await world.breaks() == set()


def test_every_check_that_there_is_has_been_shown_its_damage() -> None:
    shown = {kind for case in DAMAGES for _, kind, _ in case.found}
    assert shown >= {*REDEMPTION.checks, *CATALOG.checks, *FULFILLMENT.checks}
