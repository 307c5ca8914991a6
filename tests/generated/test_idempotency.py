"""What is sent again has its effect once and gets the same answer: every public write with a key, every PUT with a number."""

import asyncio
import uuid
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import httpx
import psycopg
import pytest

from tests.support.catalog import CAMPAIGN
from tests.support.routes import ROUTES, Route, Sample
from tests.support.tokens import bearer
from tests.support.world import World

pytestmark = pytest.mark.anyio

KEYED = [route for route in ROUTES if route.needs_key]
POSTS = [route for route in ROUTES if route.method in ("POST", "PATCH")]
PUTS = [route for route in ROUTES if route.method == "PUT"]
BAD_KEYS = ["", " ", "x" * 256, "k\tk", '""', "clé".encode(), "键".encode()]
AT_ONCE = 50
EFFECTS: Mapping[str, str] = {
    "catalog POST /v1/workbooks": "SELECT count(*) FROM campaign_versions",
    "catalog POST /v1/campaigns/{code}/versions/{number}/publication": (
        "SELECT count(*) FROM audit_entries WHERE reason = 'publication'"
    ),
    "redemption POST /v1/redemptions": "SELECT count(*) FROM redemptions",
    "redemption POST /v1/redemptions/{redemption_id}/cancellation": "SELECT count(*) FROM returns",
}
"""What a write leaves behind, for counting its effects."""


def named(routes: list[Route]) -> Any:
    return pytest.mark.parametrize("route", routes, ids=lambda route: route.name)


def code_of(answer: httpx.Response) -> str:
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    found: str = answer.json()["type"].rpartition("/")[2]
    return found


def keyed(sample: Sample, key: Any) -> Sample:
    return replace(sample, headers={**sample.headers, "Idempotency-Key": key})


def effects(world: World, route: Route) -> int:
    """How many of what the route makes there are, read past the application."""
    with psycopg.connect(world.database(route.service).superuser_url) as conn:
        row = conn.execute(EFFECTS[route.name]).fetchone()  # type: ignore[call-overload]
    assert row is not None
    count: int = row[0]
    return count


def test_every_post_takes_a_key_or_says_why_it_reads() -> None:
    assert [route.name for route in POSTS if not route.needs_key and not route.reads] == []
    assert {route.name for route in KEYED} == EFFECTS.keys()


@pytest.mark.proves("G26", "R7")
@named(KEYED)
async def test_a_write_without_a_key_is_refused(world: World, route: Route) -> None:
    before = effects(world, route)
    answer = await route.send(world, replace(route.sample(world), headers={}))
    assert (answer.status_code, code_of(answer)) == (400, "idempotency-key-missing")
    assert answer.headers["link"].endswith('idempotency-key-missing>; rel="describedby"')
    assert effects(world, route) == before


@pytest.mark.proves("G26")
@named(KEYED)
@pytest.mark.parametrize("key", BAD_KEYS, ids=repr)
async def test_a_key_that_is_no_key_is_refused(world: World, route: Route, key: Any) -> None:
    before = effects(world, route)
    answer = await route.send(world, keyed(route.sample(world), key))
    assert (answer.status_code, code_of(answer)) == (400, "idempotency-key-invalid")
    assert effects(world, route) == before


@pytest.mark.proves("G26")
@named(KEYED)
async def test_two_keys_are_refused(world: World, route: Route) -> None:
    sample = route.sample(world)
    headers = [
        *world.callers()[sample.caller].items(),
        ("Content-Type", sample.media),
        ("Idempotency-Key", "one"),
        ("Idempotency-Key", "two"),
    ]
    answer = await world.client(route.service).request(
        route.method, route.path.format(**sample.path), content=sample.content, headers=headers
    )
    assert (answer.status_code, code_of(answer)) == (400, "idempotency-key-invalid")


@pytest.mark.proves("G27", "R7")
@named(KEYED)
async def test_a_repeat_gets_the_same_bytes_and_has_no_second_effect(world: World, route: Route) -> None:
    sample, before = route.sample(world), effects(world, route)
    first = await route.send(world, sample)
    assert first.status_code in (200, 201)
    assert "idempotency-replayed" not in first.headers
    again = [await route.send(world, sample) for _ in range(2)]
    quoted = await route.send(world, keyed(sample, f'"{sample.headers["Idempotency-Key"]}"'))
    for answer in (*again, quoted):
        assert (answer.status_code, answer.content) == (first.status_code, first.content)
        assert answer.headers["idempotency-replayed"] == "true"
        assert answer.headers.get("location") == first.headers.get("location")
    assert effects(world, route) == before + 1


@pytest.mark.proves("G28")
@named(KEYED)
async def test_a_key_with_another_request_is_refused(world: World, route: Route) -> None:
    sample = route.sample(world)
    assert (await route.send(world, sample)).status_code in (200, 201)
    before = effects(world, route)
    for other in OTHERS[route.name](world, sample):
        answer = await route.send(world, other)
        assert (answer.status_code, code_of(answer)) == (422, "idempotency-key-reused")
        assert "idempotency-replayed" not in answer.headers
    assert effects(world, route) == before


def other_lines(world: World, sample: Sample) -> list[Sample]:
    line = sample.body["lines"][0]
    bodies = [{**sample.body, "lines": [{**line, "quantity": 2}]}, {**sample.body, "lines": [line, line]}]
    return [replace(sample, body=body) for body in bodies]


OTHERS: Mapping[str, Callable[[World, Sample], list[Sample]]] = {
    "redemption POST /v1/redemptions": other_lines,
    "catalog POST /v1/workbooks": lambda w, s: [replace(BY_KEYED["catalog POST /v1/workbooks"].sample(w), headers=s.headers)],
    # It has no body: what differs is the query, which is part of what was asked.
    "catalog POST /v1/campaigns/{code}/versions/{number}/publication": lambda w, s: [replace(s, query={"also": "this"})],
    "redemption POST /v1/redemptions/{redemption_id}/cancellation": lambda w, s: [replace(s, body={"reason": "another"})],
}
BY_KEYED = {route.name: route for route in KEYED}


@pytest.mark.proves("G29")
@named(KEYED)
async def test_the_same_key_of_somebody_else_is_another_key(world: World, route: Route) -> None:
    sample, before = route.sample(world), effects(world, route)
    # The same version is put in force twice, since another one would be another route; the rest asks for something else.
    other = sample if route.path.endswith("/publication") else route.sample(world)
    first = await route.send(world, sample)
    again = keyed(other, sample.headers["Idempotency-Key"])
    second = await route.send(world, again, authorization=OTHER_CALLERS[route.name](world))
    assert {first.status_code, second.status_code} <= {200, 201}
    assert "idempotency-replayed" not in second.headers
    assert effects(world, route) == before + (1 if other is sample else 2)


def another_manager(world: World) -> dict[str, str]:
    return world.issuer.staff("campaign_manager", subject="staff-2")


OTHER_CALLERS: Mapping[str, Callable[[World], dict[str, str]]] = {
    "redemption POST /v1/redemptions": lambda w: w.issuer.customer(w.stranger),
    "catalog POST /v1/workbooks": another_manager,
    "catalog POST /v1/campaigns/{code}/versions/{number}/publication": another_manager,
    "redemption POST /v1/redemptions/{redemption_id}/cancellation": lambda w: w.issuer.staff("agent"),
}


@pytest.mark.proves("G29")
async def test_the_same_key_of_another_client_or_on_another_route_is_another_key(world: World) -> None:
    route = BY_KEYED["redemption POST /v1/redemptions"]
    sample, before = route.sample(world), effects(world, route)
    scope = "redemptions:write"
    web = bearer(world.issuer.token("customer", world.owner, scope=scope, client_id="web-bank"))
    answers = [await route.send(world, sample), await route.send(world, sample, authorization=web)]
    assert [answer.status_code for answer in answers] == [201, 201]
    assert answers[0].json()["id"] != answers[1].json()["id"]
    assert effects(world, route) == before + 2
    publication = BY_KEYED["catalog POST /v1/campaigns/{code}/versions/{number}/publication"]
    workbook = BY_KEYED["catalog POST /v1/workbooks"]
    key = str(uuid.uuid4())
    assert (await publication.send(world, keyed(publication.sample(world), key))).status_code == 200
    loaded = await workbook.send(world, keyed(workbook.sample(world), key))
    assert (loaded.status_code, "idempotency-replayed" in loaded.headers) == (201, False)


@pytest.mark.proves("G27", "G28", "R7")
@named(KEYED)
async def test_fifty_equal_requests_at_once_have_one_effect(world: World, route: Route) -> None:
    sample, before = route.sample(world), effects(world, route)
    answers = await asyncio.gather(*(route.send(world, sample) for _ in range(AT_ONCE)))
    done = [answer for answer in answers if answer.status_code in (200, 201)]
    waiting = [answer for answer in answers if answer not in done]
    assert done
    assert len({answer.content for answer in done}) == 1
    assert len([answer for answer in done if "idempotency-replayed" not in answer.headers]) <= 1
    for answer in waiting:
        assert (answer.status_code, code_of(answer)) in ((409, "idempotency-in-flight"), (503, "overloaded")), answer.text
        assert answer.headers["retry-after"] == "1"
    assert effects(world, route) == before + 1
    late = await route.send(world, sample)
    assert (late.content, late.headers["idempotency-replayed"]) == (done[0].content, "true")


@pytest.mark.proves("G27", "R7")
async def test_a_refusal_is_kept_like_any_answer(world: World) -> None:
    route = BY_KEYED["redemption POST /v1/redemptions"]
    sample = route.sample(world)
    line = {**sample.body["lines"][0], "quantity": 100}
    too_dear = replace(sample, body={**sample.body, "lines": [line]})
    poor = world.issuer.customer(world.stranger)
    first = await route.send(world, too_dear, authorization=poor)
    again = await route.send(world, too_dear, authorization=poor)
    assert (first.status_code, code_of(first)) == (409, "insufficient-points")
    assert (again.content, again.headers["idempotency-replayed"]) == (first.content, "true")
    publication = BY_KEYED["catalog POST /v1/campaigns/{code}/versions/{number}/publication"]
    absent = replace(publication.sample(world), path={"code": CAMPAIGN, "number": "999"})
    missing = [await publication.send(world, absent) for _ in range(2)]
    assert [answer.status_code for answer in missing] == [404, 404]
    assert missing[0].content == missing[1].content


@pytest.mark.proves("R7")
@named(PUTS)
async def test_a_put_that_is_sent_again_gets_the_same_answer(world: World, route: Route) -> None:
    sample = route.sample(world)
    first = await route.send(world, sample)
    assert first.status_code in (200, 204), first.text
    for _ in range(2):
        again = await route.send(world, sample)
        assert (again.status_code, again.content) == (first.status_code, first.content)


@pytest.mark.proves("R7")
@named(PUTS)
async def test_fifty_equal_puts_at_once_agree(world: World, route: Route) -> None:
    """A PUT carries its own number: all of them are one request, and none is refused for being the second."""
    sample = route.sample(world)
    answers = await asyncio.gather(*(route.send(world, sample) for _ in range(AT_ONCE)))
    heard = [answer for answer in answers if answer.status_code != 503]  # a pool that is small may have no connection in time
    assert {answer.status_code for answer in heard} in ({200}, {204}), next(a.text for a in heard if a.status_code > 204)
    assert len({answer.content for answer in heard}) == 1


@pytest.mark.proves("G15", "F5")
async def test_a_use_number_with_another_code_is_refused_and_an_equal_one_is_marked(world: World) -> None:
    route = next(route for route in PUTS if route.path == "/v1/uses/{request_number}")
    sample = route.sample(world)
    first, again = [await route.send(world, sample) for _ in range(2)]
    assert ("idempotency-replayed" in first.headers, again.headers["idempotency-replayed"]) == (False, "true")
    typed = replace(sample, body={**sample.body, "code": sample.body["code"].replace("-", " ").lower()})
    assert (await route.send(world, typed)).content == first.content
    other = await route.send(world, replace(sample, body={**sample.body, "code": world.next_code()}))
    assert (other.status_code, code_of(other)) == (422, "request-number-reused")
