"""A customer with names and numbers that stand nowhere else goes through every route; what is left behind holds none of them.

What is left behind: logs (at their most talkative, before and after the last guard), traces, metrics, tasks, audit rows and all
other tables, addresses of calls, and every answer that is not there to show the very thing.
"""

import copy
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import httpx
import psycopg
import pytest
import structlog

from tests.support.canaries import Ears, hits, listening, tables_of
from tests.support.fulfillment import ACTOR, by_courier, goods, wish
from tests.support.routes import ROUTES, SERVICES, Route, Sample
from tests.support.world import OWNER_CONTACT, OWNER_NAME, OWNER_PHONE, World

pytestmark = pytest.mark.anyio

SHOWS: Mapping[str, set[str]] = {
    "redemption POST /v1/customers/{customer_id}/unmasking": {"name", "phone"},
    "fulfillment GET /v1/vouchers/{voucher_id}/code": {"code"},
    "fulfillment GET /v1/parcels/{parcel_id}/pickup-code": {"pickup"},
}
"""The routes that are there to show it."""
STREET = "金丝雀胡同七号一二零三室"
NAME_SENT, PHONE_SENT = "鹦鹉学舌甲乙丙", "+8613977776601"
SENT = {"name sent": NAME_SENT, "phone sent": PHONE_SENT}
"""What a caller writes where it does not belong."""
HEARD = ("logs", "what was said to the logs", "traces", "metrics")


@dataclass
class Walk:
    """Every request that was sent, with what was answered."""

    world: World
    tokens: set[str] = field(default_factory=set)
    answers: list[tuple[str, httpx.Response]] = field(default_factory=list)

    async def send(self, route: Route, sample: Sample) -> httpx.Response:
        answer = await route.send(self.world, sample)
        self.tokens.add(answer.request.headers.get("authorization", "").rpartition(".")[2])
        self.answers.append((route.name, answer))
        return answer


def strings_in(value: Any, put: str) -> Iterator[Any]:
    """The same body over and over, each time with another of its texts replaced."""
    places = list(_places(value))
    for path in places:
        changed = copy.deepcopy(value)
        holder = changed
        for step in path[:-1]:
            holder = holder[step]
        holder[path[-1]] = put
        yield changed


def _places(value: Any) -> Iterator[list[Any]]:
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, child in children:
        if isinstance(child, str):
            yield [name]
        yield from ([name, *deeper] for deeper in _places(child))


async def go_everywhere(walk: Walk) -> None:
    """Each route as it is meant to be called, then each text of each body replaced by what does not belong there."""
    for route in ROUTES:
        answer = await walk.send(route, route.sample(walk.world))
        assert answer.status_code < 400, f"{route.name}: {answer.text}"
    for route in ROUTES:
        sample = route.sample(walk.world)
        if sample.media == "application/json" and isinstance(sample.body, dict):
            for text in SENT.values():
                for body in strings_in(sample.body, text):
                    fresh = route.sample(walk.world)
                    await walk.send(route, replace(fresh, body=body))
                await walk.send(route, replace(sample, body=json.dumps(sample.body).encode() + text.encode()))
        for name in sample.query:
            await walk.send(route, replace(sample, query={**sample.query, name: "9" * 30}))
    feed = next(route for route in ROUTES if route.path == "/v1/feeds/{kind}/{name}")
    header = "customer_number,subject,name,phone,tier,language\n"
    for line in (
        f"N7,s7,{NAME_SENT},12345,gold,zh_hans", f"N7,s7,{NAME_SENT},{PHONE_SENT},gold,klingon", f"N7,{NAME_SENT},{PHONE_SENT}",
        f"N7,s7,{NAME_SENT},{PHONE_SENT},gold,en\nN7,s7,{NAME_SENT},{PHONE_SENT},gold,en", f'N7,s7,"{NAME_SENT},{PHONE_SENT}',
    ):  # fmt: skip
        answer = await walk.send(feed, replace(feed.sample(walk.world), body=(header + line + "\n").encode()))
        assert answer.status_code == 422, line


async def send_a_parcel(world: World) -> None:
    """By courier to the owner, as far as the courier's own number for it; the courier is told the address, nobody else is."""
    to_the_owner = {**by_courier(street=STREET), "contact": OWNER_CONTACT}
    asked = wish(goods(), subject=world.owner, customer_id=world.owner_id, delivery=to_the_owner)
    body = {"actor": ACTOR, "items": [asked]}
    accepted = await world.suite.tills.put("/internal/v1/fulfillments", json=body, headers=world.issuer.service())
    assert accepted.json()["items"][0]["outcome"] == "accepted", accepted.text
    with psycopg.connect(world.database("fulfillment").superuser_url, autocommit=True) as conn:
        conn.execute("UPDATE tasks SET run_at = clock_timestamp() WHERE ref = %s AND state = 'ready'", [asked["id"]])
        conn.execute("UPDATE tasks SET run_at = clock_timestamp() WHERE kind = 'dispatch' AND state = 'ready'")
    await world.suite.drain()
    path, agent = f"/v1/customers/{world.owner_id}/parcels", world.issuer.staff("agent")
    parcels = (await world.suite.tills.get(path, headers=agent, params={"limit": 100})).json()["items"]
    assert any(parcel["way"] == "courier" and parcel["tracking_number"] for parcel in parcels)


async def fail_everywhere(walk: Walk) -> None:
    """Nothing can be put on record: each write breaks in the middle, and the error is logged with all that it carries."""
    for service in SERVICES:
        place = walk.world.database(service)
        with psycopg.connect(place.owner_url, autocommit=True) as conn:
            conn.execute(f"REVOKE INSERT ON audit_entries FROM {service}_service")
            try:
                for route in ROUTES:
                    if route.service == service and route.method != "GET":
                        await walk.send(route, route.sample(walk.world))
            finally:
                conn.execute(f"GRANT INSERT ON audit_entries TO {service}_service")
    with psycopg.connect(walk.world.database("redemption").owner_url, autocommit=True) as conn:
        conn.execute("ALTER TABLE customers ADD CONSTRAINT never CHECK (tier <> 'black') NOT VALID")
        line = f"N8,s8,{NAME_SENT},{PHONE_SENT},black,en\n"
        content = f"customer_number,subject,name,phone,tier,language\n{line}"
        feed = next(route for route in ROUTES if route.path == "/v1/feeds/{kind}/{name}")
        broken = await walk.send(feed, replace(feed.sample(walk.world), body=content.encode()))
        conn.execute("ALTER TABLE customers DROP CONSTRAINT never")
    assert broken.status_code == 500


async def codes_of(world: World) -> dict[str, str]:
    """The codes of the owner's vouchers, and of a parcel that waits for them."""
    headers = world.issuer.customer(world.owner)
    listed = await world.suite.tills.get("/v1/vouchers", headers=headers, params={"limit": 100})
    found = {"code of the world": world.code}  # other tests redeem for the owner too: theirs may fill the page
    for number, voucher in enumerate(listed.json()["items"]):
        answer = await world.suite.tills.get(f"/v1/vouchers/{voucher['id']}/code", headers=headers)
        if answer.status_code == 200:  # of a used one it is shown no more
            found[f"code {number}"] = answer.json()["code"]
    waiting = await world.suite.tills.get(f"/v1/parcels/{world.parcel_id}/pickup-code", headers=headers)
    found["pickup code"] = waiting.json()["code"]
    return found


def kind_of(canary: str) -> str:
    return canary.partition(" ")[0]


@pytest.mark.proves("G48", "X6")
async def test_whatever_is_done_to_a_customer_leaves_no_trace_of_who_they_are_or_of_their_codes(world: World) -> None:
    codes = await codes_of(world)
    assert len(codes) > 50
    walk, canaries = Walk(world), {"name": OWNER_NAME, "phone": OWNER_PHONE, "street": STREET, **codes}
    with listening(*(world.app(service) for service in SERVICES)) as ears:
        await send_a_parcel(world)
        await go_everywhere(walk)
        await world.suite.drain()
        await fail_everywhere(walk)
        await world.suite.drain()
        left = everything_left(world, ears)
        structlog.get_logger().info("a control", note=OWNER_NAME)
        assert ("logs", "name") in hits(ears.heard(), canaries), "the look finds what is there"
    tokens = {f"token {number}": token for number, token in enumerate(walk.tokens) if token}
    assert hits(left, canaries | tokens) == set()
    assert hits({place: left[place] for place in HEARD}, SENT) == set()
    every_service_was_heard(walk, left)


def everything_left(world: World, ears: Ears) -> dict[str, str]:
    """By where it lies."""
    tables = {f"{s} table {n}": text for s in SERVICES for n, text in tables_of(world.database(s)).items()}
    calls = "\n".join(map(str, world.suite.network.calls))
    return {**ears.heard(), **tables, "addresses of calls": calls}


def every_service_was_heard(walk: Walk, left: Mapping[str, str]) -> None:
    """Silence proves nothing: each service failed, and its failure stands in the log and among the spans."""
    failed = {name.split(" ")[0]: answer.request.url.path for name, answer in walk.answers if answer.status_code == 500}
    assert failed.keys() == set(SERVICES)
    for path in failed.values():
        assert path in left["logs"] and path in left["traces"]


@pytest.mark.proves("G48")
async def test_only_the_routes_that_are_there_for_it_show_who_a_customer_is_or_a_code(world: World) -> None:
    walk, codes = Walk(world), await codes_of(world)
    canaries = {"name": OWNER_NAME, "phone": OWNER_PHONE, **codes}
    await go_everywhere(walk)
    shown: dict[str, set[str]] = {}
    for name, answer in walk.answers:
        if answer.status_code >= 400:
            text = answer.text.replace(json.dumps(answer.request.url.path), "")
            assert hits({"problem": text}, canaries | SENT) == set(), (name, answer.text)
        else:
            for _, canary in hits({name: answer.text}, canaries):
                shown.setdefault(name, set()).add(kind_of(canary))
                assert answer.headers["cache-control"] == "no-store", name
    assert shown == SHOWS
