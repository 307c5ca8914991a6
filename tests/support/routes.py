"""Every route of the three services: who may call it, and a request that succeeds.

The tables are written by hand, so that they are a second opinion on what the code declares; a test compares them with the
OpenAPI documents, so that a route that is not here cannot be forgotten.
"""

import itertools
import json
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, get_args

import httpx

from services.catalog.workbooks.writing import write_workbook
from tests.support import fulfillment as wishes
from tests.support.catalog import ACTOR, CAMPAIGN, XLSX, wish, workbook_cells
from tests.support.world import OWNER_PHONE, ROLES, World

Service = Literal["catalog", "redemption", "fulfillment"]
SERVICES: tuple[Service, ...] = get_args(Service)
SOMEWHERE = "/v1/no-such-address"
_numbers = itertools.count(1)
ADDRESS_ID = str(uuid.uuid4())


@dataclass(frozen=True)
class Sample:
    """A request; `caller` names one of `World.callers()`."""

    caller: str
    path: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, str] = field(default_factory=dict)
    body: Any = None
    """JSON, or bytes of `media`."""
    media: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def content(self) -> bytes:
        """The body's bytes."""
        if self.body is None:
            return b""
        return self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()


@dataclass(frozen=True)
class Route:
    """A route of a service."""

    service: Service
    method: str
    path: str
    callers: frozenset[str]
    """Who may call, as `kind:scope` or `staff:role`."""
    sample: Callable[[World], Sample]
    """A fresh request each time, never sent before."""
    whose: str = ""
    """Why another principal's object does not exist for the caller, or nothing where the answer depends on nobody."""
    reads: str = ""
    """Why a POST takes no key: most of all since it changes nothing."""

    @property
    def name(self) -> str:
        """As a test is named after it."""
        return f"{self.service} {self.method} {self.path}"

    @property
    def needs_key(self) -> bool:
        """Whether it is a public write that moves value under no number of its caller's."""
        return self.method in ("POST", "PATCH") and self.path.startswith("/v1/") and not self.reads

    async def send(self, world: World, sample: Sample, **changed: Any) -> httpx.Response:
        """Send a request; keywords replace parts of it. `authorization` replaces the caller's header."""
        authorization = changed.pop("authorization", None)
        sample = replace(sample, **changed)
        caller = world.callers()[sample.caller] if authorization is None else authorization
        headers: dict[str, str] = {**caller}
        if sample.body is not None:
            headers["Content-Type"] = sample.media
        headers |= sample.headers
        return await world.client(self.service).request(
            self.method,
            self.path.format(**sample.path),
            params=sample.query,
            content=sample.content,
            headers=headers,
        )


def _key() -> dict[str, str]:
    return {"Idempotency-Key": str(uuid.uuid4())}


def _number() -> dict[str, str]:
    return {"request_number": f"G-{next(_numbers)}"}


def _bulk(*items: Mapping[str, Any]) -> dict[str, Any]:
    return {"actor": ACTOR, "items": list(items)}


def _comes_back() -> dict[str, Any]:
    return {
        "id": str(uuid.uuid4()),
        "reservation_id": str(uuid.uuid4()),
        "gives_back": "stock",
        "lines": [{"number": 1, "quantity": 1}],
    }


def _redeem(world: World) -> Sample:
    line = {"offer_id": world.offer_id, "offer_version": 1, "quantity": 1}
    return Sample("owner", body={"mode": "points", "campaign": CAMPAIGN, "lines": [line]}, headers=_key())


def _address(world: World) -> Sample:
    body = {
        "recipient": "样例", "phone": "138 0000 0000", "province": "广东省", "city": "深圳市", "district": "南山区",
        "street": "科技路 1 号",
    }  # fmt: skip
    return Sample("owner", {"address_id": ADDRESS_ID}, body=body)


def _outcome() -> dict[str, Any]:
    part = {"way": "courier", "state": "delivered", "lines": [1], "at": "2026-06-01T12:00:00+08:00"}
    return {"id": str(uuid.uuid4()), "version": 3, "parts": [part]}


def _cancellation(world: World) -> Sample:
    return Sample("owner", {"redemption_id": world.next_cancellable()}, body={"reason": "a generated test"}, headers=_key())


def _workbook(world: World) -> Sample:
    cells = workbook_cells(campaign=[world.another_campaign()])
    return Sample("campaign manager", body=write_workbook(cells), media=XLSX, headers=_key())


def _feed(world: World) -> Sample:
    content = "customer_number,subject,name,phone,tier,language\nN1,somebody,客户,13800000000,gold,zh_hans\n"
    path = {"kind": "customers", "name": f"generated-{next(_numbers)}"}
    return Sample("bank feeds", path, body=content.encode(), media="text/csv")


def _use(world: World) -> Sample:
    return Sample("till", _number(), body={"code": world.next_code(), "till_reference": "R-1"})


def _customer(world: World) -> Sample:
    return Sample("owner", {"customer_id": world.owner_id})


def _as_of(world: World) -> Sample:
    return Sample("owner", {"customer_id": world.owner_id}, {"moment": "2026-01-01T00:00:00+08:00"})


def _fulfilment(world: World) -> Sample:
    return Sample("redemption", body=_bulk(wishes.wish(wishes.line(), subject="customer-of-nobody")))


def _account_state(world: World) -> Sample:
    return Sample("supervisor", {"customer_id": world.bystander_id}, body={"state": "no_earn", "reason": "a generated test"})


def _branches(world: World) -> Sample:
    return Sample("bank feeds", body={"items": [wishes.branch(f"G{next(_numbers)}")]})


def _parcel(world: World) -> Sample:
    return Sample("owner", {"parcel_id": world.parcel_id})


def _loss(world: World) -> Sample:
    parcel, _ = world.next_pickup()
    return Sample("counter", {"parcel_id": parcel}, body={"reason": "a generated test"})


def _handover(world: World) -> Sample:
    parcel, code = world.next_pickup()
    return Sample("counter", {"parcel_id": parcel}, body={"code": code})


def _voucher(world: World) -> Sample:
    return Sample("owner", {"voucher_id": world.voucher_id})


def _redemption(world: World) -> Sample:
    return Sample("owner", {"redemption_id": world.redemption_id})


def _redrive(service: Service) -> Callable[[World], Sample]:
    return lambda w: Sample("supervisor", {"task_id": w.parked_task(service)}, body={"reason": "the cause is mended"})


def _redrive_approval(service: Service) -> Callable[[World], Sample]:
    return lambda w: Sample("supervisor", {"task_id": w.parked_task(service, asked_by="person-of-somebody-else")})


def _offer_version(world: World) -> Sample:
    return Sample("redemption", {"offer_id": world.offer_id, "number": "1"})


def _of(*callers: str) -> frozenset[str]:
    return frozenset(callers)


READERS = _of("customer:catalog:read", "service:internal", "service:campaigns:write") | {
    f"staff:{role}" for role in ("agent", "reviewer", "supervisor", "branch", "campaign_manager", "auditor")
}
MANAGERS = _of("staff:campaign_manager", "service:campaigns:write")
RESERVING, FULFILLING = _of("service:reservations:write"), _of("service:fulfillments:write")
INTERNAL, BOOKS = _of("service:internal"), _of("service:internal", "service:reconcile:read")
STAFF = frozenset(f"staff:{role}" for role in ROLES)
DESK = _of("staff:agent", "staff:supervisor", "staff:branch", "staff:auditor")
POINTS = DESK | {"customer:points:read"}
VOUCHERS = DESK | {"customer:vouchers:read"}
TASKS = _of("service:tasks:write", "staff:administrator", "staff:supervisor")
TWO_OF_STAFF = _of("staff:administrator", "staff:supervisor")
TILL = _of("merchant:vouchers:use")
OWN = "a customer sees their own alone"
TILLS_OWN = "a request number belongs to the terminal that sent it"

ROUTES = [
    Route("catalog", "PUT", "/internal/v1/reservations", RESERVING, lambda w: Sample("redemption", body=_bulk(wish()))),
    Route("catalog", "GET", "/internal/v1/reservations", BOOKS, lambda w: Sample("redemption")),
    Route(
        "catalog", "PUT", "/internal/v1/reservations/releases", RESERVING,
        lambda w: Sample("redemption", body=_bulk({"id": str(uuid.uuid4())})),
    ),
    Route(
        "catalog", "PUT", "/internal/v1/reservations/consumptions", RESERVING,
        lambda w: Sample("redemption", body=_bulk({"id": str(uuid.uuid4())})),
    ),
    Route(
        "catalog", "PUT", "/internal/v1/reservations/returns", RESERVING,
        lambda w: Sample("redemption", body=_bulk(_comes_back())),
    ),
    Route("catalog", "GET", "/internal/v1/merchants", INTERNAL, lambda w: Sample("redemption")),
    Route("catalog", "GET", "/internal/v1/offers/{offer_id}/versions/{number}", INTERNAL, _offer_version),
    Route("catalog", "GET", "/internal/v1/breaks", BOOKS, lambda w: Sample("redemption")),
    Route("catalog", "GET", "/v1/campaigns", READERS, lambda w: Sample("owner")),
    Route("catalog", "GET", "/v1/campaigns/{code}/offers", READERS, lambda w: Sample("owner", {"code": CAMPAIGN})),
    Route("catalog", "GET", "/v1/offers/{offer_id}", READERS, lambda w: Sample("owner", {"offer_id": w.offer_id})),
    Route("catalog", "POST", "/v1/workbooks", MANAGERS, _workbook),
    Route(
        "catalog", "GET", "/v1/campaigns/{code}/versions/{number}/workbook", MANAGERS,
        lambda w: Sample("campaign manager", {"code": CAMPAIGN, "number": "1"}),
    ),
    Route(
        "catalog", "POST", "/v1/campaigns/{code}/versions/{number}/publication", MANAGERS,
        lambda w: Sample("campaign manager", {"code": w.next_unpublished(), "number": "1"}, headers=_key()),
    ),
    Route("redemption", "POST", "/v1/redemptions", _of("customer:redemptions:write"), _redeem),
    Route("redemption", "GET", "/v1/redemptions", _of("customer:redemptions:read"), lambda w: Sample("owner")),
    Route("redemption", "GET", "/v1/redemptions/{redemption_id}", DESK | {"customer:redemptions:read"}, _redemption, OWN),
    Route(
        "redemption", "POST", "/v1/redemptions/{redemption_id}/cancellation",
        _of("customer:redemptions:write", "staff:agent", "staff:supervisor"), _cancellation, OWN,
    ),
    Route(
        "redemption", "PUT", "/internal/v1/outcomes", _of("service:outcomes:write"),
        lambda w: Sample("fulfillment", body=_bulk(_outcome())),
    ),
    Route("redemption", "GET", "/v1/addresses", _of("customer:profile:read"), lambda w: Sample("owner")),
    Route("redemption", "PUT", "/v1/addresses/{address_id}", _of("customer:profile:write"), _address, OWN),
    Route(
        "redemption", "DELETE", "/v1/addresses/{address_id}", _of("customer:profile:write"),
        lambda w: Sample("owner", {"address_id": w.an_address()}), OWN,
    ),
    Route(
        "redemption", "GET", "/v1/customers/{customer_id}/addresses", DESK,
        lambda w: Sample("agent", {"customer_id": w.owner_id}),
    ),
    Route("redemption", "GET", "/v1/customers/{customer_id}/points", POINTS, _customer, OWN),
    Route("redemption", "GET", "/v1/customers/{customer_id}/points/lots", POINTS, _customer, OWN),
    Route("redemption", "GET", "/v1/customers/{customer_id}/points/as-of", POINTS, _as_of, OWN),
    Route("redemption", "GET", "/v1/customers/{customer_id}/points/statement", POINTS, _customer, OWN),
    Route("redemption", "GET", "/v1/customers/{customer_id}/points/statement.csv", POINTS, _customer, OWN),
    Route(
        "redemption", "PUT", "/v1/customers/{customer_id}/account-state", _of("staff:supervisor", "staff:administrator"),
        _account_state,
    ),
    Route("redemption", "GET", "/v1/me", _of("customer:points:read"), lambda w: Sample("owner")),
    Route(
        "redemption", "POST", "/v1/customers/search", _of("staff:agent", "staff:supervisor", "staff:branch"),
        lambda w: Sample("agent", body={"phone": OWNER_PHONE}),
        reads="finds customers by what shall stand in no address; it writes that somebody looked",
    ),
    Route(
        "redemption", "GET", "/v1/customers/{customer_id}", DESK,
        lambda w: Sample("agent", {"customer_id": w.owner_id}),
    ),
    Route(
        "redemption", "POST", "/v1/customers/{customer_id}/unmasking", _of("staff:agent", "staff:supervisor", "staff:branch"),
        lambda w: Sample("agent", {"customer_id": w.owner_id}, body={"reason": "a generated test"}),
        reads="shows contact data for a reason; it writes that somebody looked",
    ),
    Route(
        "redemption", "GET", "/v1/customers/{customer_id}/redemptions", DESK,
        lambda w: Sample("agent", {"customer_id": w.owner_id}),
    ),
    Route("redemption", "PUT", "/v1/feeds/{kind}/{name}", _of("service:feeds:write", "staff:administrator"), _feed),
    Route(
        "redemption", "GET", "/internal/v1/reconciliation",
        _of("service:reconcile:read", "staff:auditor", "staff:administrator"), lambda w: Sample("operations"),
    ),
    Route(
        "redemption", "GET", "/internal/v1/breaks",
        _of("service:reconcile:read", "staff:auditor", "staff:administrator", "staff:supervisor"),
        lambda w: Sample("operations"),
    ),
    Route("fulfillment", "PUT", "/v1/uses/{request_number}", TILL, _use, TILLS_OWN),
    Route(
        "fulfillment", "GET", "/v1/uses/{request_number}", TILL,
        lambda w: Sample("till", {"request_number": w.use}), TILLS_OWN,
    ),
    Route("fulfillment", "PUT", "/v1/uses/{request_number}/reversal", TILL, lambda w: Sample("till", _number()), TILLS_OWN),
    Route(
        "fulfillment", "POST", "/v1/verifications", _of("merchant:vouchers:verify"),
        lambda w: Sample("till", body={"code": w.code}),
        reads="asks about a code that shall stand in no address",
    ),
    Route("fulfillment", "PUT", "/internal/v1/fulfillments", FULFILLING, _fulfilment),
    Route("fulfillment", "GET", "/internal/v1/fulfillments", BOOKS, lambda w: Sample("redemption")),
    Route(
        "fulfillment", "PUT", "/internal/v1/fulfillments/cancellations", FULFILLING,
        lambda w: Sample("redemption", body=_bulk({"id": str(uuid.uuid4())})),
    ),
    Route("fulfillment", "GET", "/v1/parcels", _of("customer:vouchers:read"), lambda w: Sample("owner")),
    Route(
        "fulfillment", "GET", "/v1/customers/{customer_id}/parcels", DESK,
        lambda w: Sample("agent", {"customer_id": w.owner_id}),
    ),
    Route(
        "fulfillment", "GET", "/v1/customers/{customer_id}/notices", DESK,
        lambda w: Sample("agent", {"customer_id": w.owner_id}),
    ),
    Route("fulfillment", "GET", "/v1/parcels/{parcel_id}", VOUCHERS, _parcel, OWN),
    Route("fulfillment", "GET", "/v1/parcels/{parcel_id}/pickup-code", _of("customer:vouchers:read"), _parcel, OWN),
    Route(
        "fulfillment", "GET", "/v1/branches/{code}/pickups", _of("staff:branch"),
        lambda w: Sample("counter", {"code": "B001"}, {"state": "ready"}),
    ),
    Route(
        "fulfillment", "PUT", "/v1/parcels/{parcel_id}/arrival", _of("staff:branch"),
        lambda w: Sample("counter", {"parcel_id": w.parcel_id}),
    ),
    Route("fulfillment", "PUT", "/v1/parcels/{parcel_id}/handover", _of("staff:branch"), _handover),
    Route("fulfillment", "PUT", "/v1/parcels/{parcel_id}/loss", _of("staff:supervisor", "staff:branch"), _loss),
    Route("fulfillment", "PUT", "/v1/branches", _of("service:feeds:write", "staff:administrator"), _branches),
    Route("fulfillment", "GET", "/v1/branches", STAFF | {"customer:catalog:read"}, lambda w: Sample("owner")),
    Route("fulfillment", "GET", "/internal/v1/branches", INTERNAL, lambda w: Sample("redemption")),
    Route("fulfillment", "GET", "/internal/v1/breaks", BOOKS, lambda w: Sample("redemption")),
    Route("fulfillment", "GET", "/v1/vouchers", _of("customer:vouchers:read"), lambda w: Sample("owner")),
    Route("fulfillment", "GET", "/v1/customers/{customer_id}/vouchers", VOUCHERS, _customer, OWN),
    Route("fulfillment", "GET", "/v1/vouchers/{voucher_id}", VOUCHERS, _voucher, OWN),
    Route("fulfillment", "GET", "/v1/vouchers/{voucher_id}/code", _of("customer:vouchers:read"), _voucher, OWN),
    *(
        Route(service, "GET", "/internal/v1/tasks", TASKS, lambda w: Sample("supervisor"))
        for service in SERVICES
    ),
    *(
        Route(
            service, "POST", "/internal/v1/tasks/{task_id}/redrive", TWO_OF_STAFF, _redrive(service),
            reads="asks; one request waits at a time, so a second one is refused by itself",
        )
        for service in SERVICES
    ),
    *(
        Route(
            service, "POST", "/internal/v1/tasks/{task_id}/redrive/approval", TWO_OF_STAFF, _redrive_approval(service),
            reads="what was agreed to is agreed to; there is nothing left for a second time",
        )
        for service in SERVICES
    ),
]  # fmt: skip
BY_NAME = {route.name: route for route in ROUTES}
SIGNED = {
    "fulfillment POST /v1/carriers/{carrier}/events": "a carrier signs it; an event has its own id",
}
"""Routes whose callers have no token, and why; their own tests say who is let in."""
