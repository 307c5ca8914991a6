"""The table of routes says what the services declare: neither knows a route, a caller or a key that the other does not."""

from typing import Any

import pytest

from shared.identity.policy import Grant, SignedPolicy, api_routes, policy_of
from tests.support.routes import ROUTES, SERVICES, SIGNED, Route
from tests.support.world import World

pytestmark = pytest.mark.anyio


def documented(world: World) -> dict[str, dict[str, Any]]:
    """Every operation of the three OpenAPI documents by its name."""
    return {
        f"{service} {method.upper()} {path}": operation
        for service in SERVICES
        for path, methods in world.app(service).openapi()["paths"].items()
        for method, operation in methods.items()
    }


def words(grant: Grant) -> set[str]:
    return {f"staff:{role}" for role in grant.roles} or {f"{grant.kind}:{grant.scope}"}


async def test_the_table_holds_every_route_of_the_documents_and_no_other(world: World) -> None:
    assert {route.name for route in ROUTES} | SIGNED.keys() == documented(world).keys()


@pytest.mark.proves("G40")
async def test_every_route_declares_the_callers_that_the_table_allows(world: World) -> None:
    declared, signed = {}, set()
    for service in SERVICES:
        for route in api_routes(world.app(service)):
            policy = policy_of(route)
            assert policy is not None, route.path
            if isinstance(policy, SignedPolicy):
                signed |= {f"{service} {method} {route.path}" for method in route.methods or ()}
                continue
            for method in route.methods or ():
                declared[f"{service} {method} {route.path}"] = {word for grant in policy.grants for word in words(grant)}
    assert signed == SIGNED.keys()
    open_to_all = {name for name, callers in declared.items() if not callers}
    assert open_to_all == {f"{s} GET {path}" for s in SERVICES for path in ("/livez", "/readyz", "/metrics")}
    assert {name: set(callers) for name, callers in declared.items() if callers} == {r.name: set(r.callers) for r in ROUTES}


async def test_the_documents_ask_for_a_key_exactly_where_one_is_needed(world: World) -> None:
    for route in ROUTES:
        names = [parameter.get("name") for parameter in documented(world)[route.name].get("parameters", [])]
        assert ("Idempotency-Key" in names) == route.needs_key, route.name


async def test_the_documents_name_each_operation_once_and_describe_its_refusals(world: World) -> None:
    for service in SERVICES:
        names = [o["operationId"] for n, o in documented(world).items() if n.startswith(service)]
        assert len(set(names)) == len(names)
    for name, operation in documented(world).items():
        assert operation["security"] == [{"signature" if name in SIGNED else "token": []}], name
        refusals = {s: r for s, r in operation["responses"].items() if s >= "400"}
        assert {"401", "500", "503"} | ({"403"} if name not in SIGNED else set()) <= refusals.keys(), name
        assert all(list(refusal["content"]) == ["application/problem+json"] for refusal in refusals.values()), name


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.name)
async def test_the_request_of_the_table_succeeds(world: World, route: Route) -> None:
    answer = await route.send(world, route.sample(world))
    assert answer.status_code in (200, 201, 204), answer.text
    assert str(answer.status_code) in documented(world)[route.name]["responses"]
