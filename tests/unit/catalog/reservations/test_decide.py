"""Who gets what: the pure decision over counters."""

import datetime as dt
import uuid
from collections import Counter, defaultdict
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.catalog.reservations.domain import (
    BatchCounter,
    BudgetCounter,
    Line,
    OfferInForce,
    QuotaCounter,
    State,
    Supply,
    Wish,
    decide,
)
from shared.audit import Actor

TODAY = dt.date(2026, 11, 22)
ACTOR = Actor("service:redemption", "app")
CAMPAIGN = "C"


def offer(number: int, **given: Any) -> OfferInForce:
    usual: dict[str, Any] = {
        "id": uuid.UUID(int=number), "campaign": CAMPAIGN, "reward": f"R{number}", "campaign_live": True,
        "campaign_opens_on": TODAY, "campaign_closes_on": TODAY, "version": 1, "price_points": 100, "unit_cost_minor": 10,
        "opens_on": TODAY, "closes_on": TODAY,
    }  # fmt: skip
    return OfferInForce(**{**usual, **given})


def supply(
    *offers: OfferInForce,
    stock: dict[str, list[tuple[int, dt.date | None]]] | None = None,
    quotas: dict[int, tuple[int | None, int | None]] | None = None,
    budget: int | None = None,
) -> Supply:
    found = offers or (offer(1),)
    numbers = iter(range(1, 1000))
    return Supply(
        today=TODAY,
        offers={o.id: o for o in found},
        quotas={o.id: QuotaCounter(o.id, *_quota((quotas or {}).get(o.id.int, (None, None))), TODAY) for o in found},
        batches={
            (CAMPAIGN, reward): [
                BatchCounter(uuid.UUID(int=next(numbers)), CAMPAIGN, reward, expires, free) for free, expires in batches
            ]
            for reward, batches in (stock or {o.reward: [(10, None)] for o in found}).items()
        },
        budgets={CAMPAIGN: BudgetCounter(CAMPAIGN, budget)},
    )


def _quota(ceilings: tuple[int | None, int | None]) -> tuple[int | None, int, int | None, int]:
    return ceilings[0], 0, ceilings[1], 0


def wish(*lines: tuple[int, int], campaign: str = CAMPAIGN, version: int = 1) -> Wish:
    found = tuple(Line(n, uuid.UUID(int=o), version, q) for n, (o, q) in enumerate(lines or [(1, 1)], start=1))
    return Wish(uuid.uuid4(), campaign, found, ACTOR)


def outcomes(wishes: list[Wish], given: Supply) -> list[str]:
    return [
        ",".join(dict.fromkeys(reason.code for reason in o.reasons)) or str(o.outcome) for o in decide(wishes, given).outcomes
    ]


@pytest.mark.proves("G9")
def test_the_last_umbrella_goes_to_whoever_came_first() -> None:
    assert outcomes([wish(), wish()], supply(stock={"R1": [(1, None)]})) == ["held", "out-of-stock"]


@pytest.mark.proves("G9")
def test_two_lines_of_one_item_count_together_against_stock_quota_and_budget() -> None:
    both = [wish((1, 2), (1, 2))]
    assert outcomes(both, supply(stock={"R1": [(3, None)]})) == ["out-of-stock"]
    assert outcomes(both, supply(quotas={1: (3, None)})) == ["quota-exhausted"]
    assert outcomes(both, supply(budget=39)) == ["budget-exhausted"]
    assert outcomes(both, supply(stock={"R1": [(4, None)]}, quotas={1: (4, 4)}, budget=40)) == ["held"]


def test_two_offers_of_one_reward_share_its_stock() -> None:
    shared = (offer(1), offer(2, reward="R1"))
    assert outcomes([wish((1, 1), (2, 1))], supply(*shared, stock={"R1": [(1, None)]})) == ["out-of-stock"]


def test_a_refused_item_leaves_everything_for_the_next() -> None:
    given_supply = supply(offer(1), offer(2), stock={"R1": [(1, None)], "R2": []}, quotas={1: (1, None)}, budget=10)
    assert outcomes([wish((1, 1), (2, 1)), wish((1, 1))], given_supply) == ["out-of-stock,budget-exhausted", "held"]


def test_every_line_says_its_own_reason() -> None:
    decided = decide([wish((1, 11), (2, 1), (9, 1))], supply(offer(1), offer(2, version=3)))
    assert [(r.line, r.code) for r in decided.outcomes[0].reasons] == [
        (1, "out-of-stock"),
        (2, "offer-changed"),
        (3, "offer-not-open"),
    ]


@pytest.mark.parametrize(
    ("given_offer", "expected"),
    [
        ({"campaign_live": False}, "campaign-not-open"),
        ({"campaign_closes_on": TODAY - dt.timedelta(days=1)}, "campaign-not-open"),
        ({"campaign_opens_on": TODAY + dt.timedelta(days=1)}, "campaign-not-open"),
        ({"opens_on": TODAY + dt.timedelta(days=1)}, "offer-not-open"),
        ({"closes_on": TODAY - dt.timedelta(days=1)}, "offer-not-open"),
        ({"version": None}, "offer-not-open"),
        ({"version": 2}, "offer-changed"),
        ({"campaign": "ANOTHER"}, "offer-not-open"),
    ],
)
def test_what_cannot_be_had_is_refused_whatever_is_left(given_offer: dict[str, Any], expected: str) -> None:
    assert outcomes([wish()], supply(offer(1, **given_offer))) == [expected]


def test_a_day_includes_its_end_and_a_batch_serves_on_its_last_day() -> None:
    yesterday = TODAY - dt.timedelta(days=1)
    assert outcomes([wish()], supply(stock={"R1": [(1, TODAY)]})) == ["held"]
    assert outcomes([wish()], supply(stock={"R1": [(1, yesterday)]})) == ["out-of-stock"]


def test_a_new_day_opens_the_daily_quota_and_a_day_that_is_over_is_not_opened_again() -> None:
    quota = QuotaCounter(uuid.UUID(int=1), None, 5, 1, 1, TODAY)
    quota.turn_to(TODAY - dt.timedelta(days=1))
    assert quota.left() == 0
    quota.turn_to(TODAY + dt.timedelta(days=1))
    assert (quota.left(), quota.total_taken) == (1, 5)


LINES = st.lists(st.tuples(st.integers(1, 4), st.integers(1, 5)), min_size=1, max_size=4)


@pytest.mark.proves("G9", "K7")
@settings(max_examples=200, deadline=None)
@given(
    st.lists(LINES, max_size=12),
    st.lists(st.lists(st.integers(0, 6), max_size=3), min_size=4, max_size=4),
    st.lists(st.one_of(st.none(), st.integers(0, 12)), min_size=4, max_size=4),
    st.one_of(st.none(), st.integers(0, 300)),
)
def test_whatever_is_asked_nothing_is_given_twice_and_each_gets_all_or_nothing(
    asked: list[list[tuple[int, int]]], stock: list[list[int]], ceilings: list[int | None], budget: int | None
) -> None:
    offers = [offer(n) for n in range(1, 5)]
    given_supply = supply(
        *offers,
        stock={f"R{n}": [(free, None) for free in batches] for n, batches in enumerate(stock, start=1)},
        quotas={n: (ceiling, None) for n, ceiling in enumerate(ceilings, start=1)},
        budget=budget,
    )
    before = {batch.id: batch.free for batches in given_supply.batches.values() for batch in batches}
    wishes = [wish(*lines) for lines in asked]
    decided = decide(wishes, given_supply)

    held = {o.id for o in decided.outcomes if o.outcome == State.HELD}
    assert [o.id for o in decided.outcomes] == [w.id for w in wishes]
    drawn: Counter[uuid.UUID] = Counter()
    by_line: dict[tuple[uuid.UUID, int], int] = defaultdict(int)
    for draw in decided.draws:
        assert draw.reservation_id in held
        drawn[draw.batch_id] += draw.quantity
        by_line[draw.reservation_id, draw.line] += draw.quantity
    assert all(quantity <= before[batch] for batch, quantity in drawn.items())
    assert by_line == {(w.id, line.number): line.quantity for w in wishes if w.id in held for line in w.lines}
    for one, ceiling in zip(offers, ceilings, strict=True):
        taken = sum(line.quantity for w in wishes if w.id in held for line in w.lines if line.offer_id == one.id)
        assert ceiling is None or taken <= ceiling
        assert given_supply.quotas[one.id].total_taken == taken
    cost = sum(taken.cost_minor for taken in decided.lines)
    assert budget is None or cost <= budget
