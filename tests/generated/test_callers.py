"""Who may call what, tried on every route with every kind of token; and whose objects exist for whom."""

import json
import uuid
from collections.abc import AsyncIterator, Mapping

import httpx
import pytest

from tests.support.catalog import CAMPAIGN
from tests.support.routes import ROUTES, Route, Sample
from tests.support.world import World

pytestmark = pytest.mark.anyio
OWNED = [route for route in ROUTES if route.whose]
CUSTOMERS_OWN = [route for route in OWNED if any(caller.startswith("customer:") for caller in route.callers)]
WITH_PATH = [route for route in ROUTES if "{" in route.path]
SHARED_BY_ALL = {  # path parameters that name nothing of anybody's: what is answered depends on the route's policy alone
    "code": "a campaign is the same for everybody",
    "offer_id": "an offer is the same for everybody",
    "number": "a version is the same for everybody",
    "kind": "which kind of feed it is",
    "name": "the sender's name of a file",
}
ABSENT = {
    "customer_id": str(uuid.UUID(int=7)),
    "redemption_id": str(uuid.UUID(int=7)),
    "voucher_id": str(uuid.UUID(int=7)),
    "parcel_id": str(uuid.UUID(int=7)),
    "address_id": str(uuid.UUID(int=7)),
    "offer_id": str(uuid.UUID(int=7)),
    "code": "NO-SUCH-CAMPAIGN",
    "number": "999",
    "request_number": "no-such-request",
}


def code_of(answer: httpx.Response) -> str:
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    found: str = answer.json()["type"].rpartition("/")[2]
    return found


def as_seen(answer: httpx.Response) -> tuple[int, bytes, Mapping[str, str]]:
    """All that a caller sees, but for the id of the trace and the address that they asked for themselves."""
    body = json.loads(answer.content)
    assert set(body) >= {"trace_id", "instance"}
    told = json.dumps({**body, "trace_id": "", "instance": ""}).encode()
    return answer.status_code, told, {n: v for n, v in answer.headers.items() if n != "content-length"}


@pytest.mark.proves("G38", "G39", "G40", "X2")
@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.name)
async def test_nobody_calls_without_a_token_of_ours(world: World, route: Route) -> None:
    sample = route.sample(world)
    for name, authorization in world.invalid().items():
        answer = await route.send(world, sample, authorization=authorization)
        assert (answer.status_code, code_of(answer)) == (401, "invalid-token"), name
        assert answer.headers["www-authenticate"].startswith("Bearer"), name


@pytest.mark.proves("G40", "X2")
@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.name)
async def test_a_token_that_allows_nothing_or_something_else_is_refused(world: World, route: Route) -> None:
    refused = {grant: token for grant, token in world.by_grant().items() if grant not in route.callers}
    sample = route.sample(world)
    for name, authorization in {**world.powerless(), **refused}.items():
        answer = await route.send(world, sample, authorization=authorization)
        assert (answer.status_code, code_of(answer)) == (403, "insufficient-scope"), name


async def never_read() -> AsyncIterator[bytes]:
    """A body that notices when it is read."""
    raise AssertionError("a byte of the body was read")
    yield b""


@pytest.mark.proves("G40", "G42", "X2")
@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.name)
async def test_not_a_byte_is_read_of_somebody_who_may_not_call(world: World, route: Route) -> None:
    sample = route.sample(world)
    callers = {"nobody": ({}, 401), "powerless": (world.powerless()["a service without scopes"], 403)}
    for name, (authorization, status) in callers.items():
        headers = {**authorization, "Content-Type": "application/json", **sample.headers}
        for body in (b'{"broken', never_read()):
            answer = await world.client(route.service).request(
                route.method, route.path.format(**sample.path), params=sample.query, content=body, headers=headers
            )
            assert answer.status_code == status, name
            assert code_of(answer) == {401: "invalid-token", 403: "insufficient-scope"}[status]


@pytest.mark.proves("G40", "X2")
@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.name)
async def test_everybody_who_is_declared_is_let_in_by_that_grant_alone(world: World, route: Route) -> None:
    allowed = {grant: token for grant, token in world.by_grant().items() if grant in route.callers}
    assert allowed.keys() == route.callers
    for name, authorization in allowed.items():
        answer = await route.send(world, route.sample(world), authorization=authorization)
        assert answer.status_code in (200, 201, 204), f"{name}: {answer.text}"


def test_every_path_parameter_is_somebodys_or_said_to_be_everybodys() -> None:
    for route in WITH_PATH:
        names = route.path.split("{")[1:]
        owned = {part.partition("}")[0] for part in names} - SHARED_BY_ALL.keys()
        own_by_role = all(caller.startswith(("staff:", "service:")) for caller in route.callers)
        assert not owned or route.whose or own_by_role, route.name


def reading(route: Route, sample: Sample, absent: Mapping[str, str]) -> Sample:
    """The same request, for what is not there."""
    path = {name: absent[name] for name in sample.path}
    return Sample(sample.caller, path, sample.query, sample.body, sample.media, sample.headers)


@pytest.mark.proves("G39", "X2")
@pytest.mark.parametrize("route", [r for r in CUSTOMERS_OWN if r.method != "PUT"], ids=lambda route: route.name)
async def test_another_customers_object_is_like_one_that_does_not_exist(world: World, route: Route) -> None:
    """A PUT is left out: it makes what does not exist."""
    assert (await route.send(world, route.sample(world))).status_code in (200, 204), "the owner sees it"
    sample = route.sample(world)
    for stranger in (world.issuer.customer(world.stranger), world.issuer.customer("customer-who-never-came")):
        theirs = await route.send(world, sample, authorization=stranger)
        absent = await route.send(world, reading(route, sample, ABSENT), authorization=stranger)
        assert theirs.status_code == 404
        assert code_of(theirs) == "not-found"
        assert as_seen(theirs) == as_seen(absent)
        assert world.owner_id not in theirs.text.replace(theirs.json()["instance"], "")


@pytest.mark.proves("G39")
@pytest.mark.parametrize("route", CUSTOMERS_OWN, ids=lambda route: route.name)
async def test_the_same_subject_of_another_client_is_the_same_owner_and_another_kind_is_not(world: World, route: Route) -> None:
    sample = route.sample(world)
    scope = " ".join(caller.partition(":")[2] for caller in route.callers if caller.startswith("customer:"))
    same = world.issuer.token("customer", world.owner, scope=scope, client_id="web-bank")
    assert (await route.send(world, sample, authorization={"Authorization": f"Bearer {same}"})).status_code in (200, 204)
    till = world.issuer.token("merchant", world.owner, scope=scope, merchant="M001", terminal="T01")
    assert (await route.send(world, sample, authorization={"Authorization": f"Bearer {till}"})).status_code == 403


@pytest.mark.proves("G39", "F5")
async def test_another_tills_request_is_like_one_that_was_never_sent(world: World) -> None:
    path = f"/v1/uses/{world.use}"
    tills = world.suite.tills
    assert (await tills.get(path, headers=world.issuer.till("M001", "T01"))).json()["state"] == "used"
    for other in (world.issuer.till("M002", "T01"), world.issuer.till("M001", "T02")):
        theirs = await tills.get(path, headers=other)
        absent = await tills.get(f"/v1/uses/{ABSENT['request_number']}", headers=other)
        assert (theirs.status_code, code_of(theirs)) == (404, "use-not-found")
        assert as_seen(theirs) == as_seen(absent)


@pytest.mark.proves("G39", "F5")
async def test_another_tills_reversal_under_the_same_number_is_its_own(world: World) -> None:
    for other in (world.issuer.till("M002", "T01"), world.issuer.till("M001", "T02")):
        reversed_there = await world.suite.tills.put(f"/v1/uses/{world.use}/reversal", headers=other)
        assert (reversed_there.status_code, reversed_there.json()["voucher"]) == (200, None)
    here = await world.suite.tills.get(f"/v1/uses/{world.use}", headers=world.issuer.till("M001", "T01"))
    assert here.json()["state"] == "used"


@pytest.mark.proves("G39", "F5")
async def test_a_voucher_of_another_merchant_is_like_one_that_does_not_exist(world: World) -> None:
    other, unknown = world.issuer.till("M002", "T01"), "0000-0000-0000-0000"
    asked = [await world.suite.tills.post("/v1/verifications", json={"code": c}, headers=other) for c in (world.code, unknown)]
    assert as_seen(asked[0]) == as_seen(asked[1])
    used = [
        await world.suite.tills.put(f"/v1/uses/other-{uuid.uuid4()}", json={"code": c}, headers=other)
        for c in (world.code, unknown)
    ]
    assert as_seen(used[0]) == as_seen(used[1])
    assert [answer.status_code for answer in (*asked, *used)] == [404] * 4


@pytest.mark.proves("G39")
async def test_a_cursor_of_another_customer_is_refused(world: World) -> None:
    """Lists hold what their caller owns; a cursor opens no other list."""
    owner, stranger = world.issuer.customer(world.owner), world.issuer.customer(world.stranger)
    lists = {
        "/v1/redemptions": world.suite.client,
        "/v1/vouchers": world.suite.tills,
        f"/v1/customers/{world.owner_id}/points/statement": world.suite.client,
    }
    for path, client in lists.items():
        page = (await client.get(path, headers=owner, params={"limit": 1})).json()
        assert page["next"], path
        fine = await client.get(path, headers=owner, params={"limit": 1, "cursor": page["next"]})
        assert fine.status_code == 200, path
        if world.owner_id not in path:
            stolen = await client.get(path, headers=stranger, params={"cursor": page["next"]})
            assert (stolen.status_code, code_of(stolen)) == (422, "validation-error"), path
            assert (await client.get(path, headers=stranger)).json()["items"] == [], path


async def test_a_campaigns_offers_are_found_by_customers_and_staff_alike(world: World) -> None:
    path = f"/v1/campaigns/{CAMPAIGN}/offers"
    seen = [
        (await world.suite.catalog.client.get(path, headers=who)).content
        for who in (world.issuer.customer(world.owner), world.issuer.customer(world.stranger), world.issuer.staff("agent"))
    ]
    assert len(set(seen)) == 1
