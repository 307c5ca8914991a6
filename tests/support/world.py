"""A running suite with somebody in it: two customers, vouchers, a use, and a token for every kind of caller."""

import base64
import hmac
import itertools
import json
import uuid
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
import psycopg
from fastapi import FastAPI

from services.catalog.campaigns.domain import offer_id
from services.redemption.addresses.domain import Place
from services.redemption.addresses.sealing import seal_place
from tests.support.catalog import CAMPAIGN, batch_row, campaign_row, merchant_row, reward_row, row, workbook_cells
from tests.support.fulfillment import ACTOR, branch, goods, know_merchants, to_branch, wish
from tests.support.postgres import TestDatabase
from tests.support.suite import Suite, running_suite
from tests.support.tokens import Issuer, bearer

ROLES = ("agent", "reviewer", "supervisor", "branch", "campaign_manager", "auditor", "administrator")
SERVICE_SCOPES = (
    "internal", "reservations:write", "fulfillments:write", "outcomes:write", "feeds:write", "reconcile:read",
    "campaigns:write", "tasks:write",
)  # fmt: skip
CUSTOMER_SCOPES = (
    "catalog:read", "points:read", "profile:read", "profile:write", "redemptions:read", "redemptions:write", "vouchers:read",
)  # fmt: skip
TILL_SCOPES = ("vouchers:verify", "vouchers:use")
UNPUBLISHED = 60
CANCELLABLE = 60
OWNER_NAME, OWNER_PHONE = "金丝雀甲", "+8613988887701"
"""Of the owner alone: whatever shows or keeps them in plain is seen."""
OWNER_CONTACT = {"name": OWNER_NAME, "phone": OWNER_PHONE, "language": "zh_hans"}
PICKUPS = 100
_campaigns = itertools.count(1)


@dataclass
class World:
    """Who and what is there."""

    suite: Suite
    owner: str
    """The subject under which the customer signs in to whom everything here belongs."""
    stranger: str
    """Another customer, with points of their own and nothing else."""
    owner_id: str
    bystander_id: str
    """A third customer, whose account tests may change."""
    redemption_id: str
    voucher_id: str
    code: str
    """Of a voucher that nobody uses here."""
    use: str
    """The request number of a use at M001, T01."""
    parcel_id: str
    """Of a parcel that lies ready at the branch B001 and that nobody collects."""
    _cancellable: Iterator[str] = field(repr=False)
    _codes: Iterator[str] = field(repr=False)
    _pickups: Iterator[tuple[str, str]] = field(repr=False)
    _unpublished: Iterator[str] = field(repr=False)
    _databases: Mapping[str, TestDatabase] = field(repr=False)

    def database(self, service: str) -> TestDatabase:
        """A service's database, for looking past the application."""
        return self._databases[service]

    @property
    def issuer(self) -> Issuer:
        """Who signs the tokens."""
        return self.suite.issuer

    @property
    def offer_id(self) -> str:
        """The offer of the campaign in force."""
        return str(offer_id(CAMPAIGN, "O1"))

    def next_code(self) -> str:
        """The code of a voucher that was never shown to a till."""
        return next(self._codes)

    def next_pickup(self) -> tuple[str, str]:
        """A parcel that lies ready at B001, and its code."""
        return next(self._pickups)

    def next_cancellable(self) -> str:
        """A redemption of the owner's that nobody has handed out, or will."""
        return next(self._cancellable)

    def an_address(self) -> str:
        """The id of an address in the owner's book, in the place of the one before."""
        data, address_id = self.suite.redemption.state.parts.personal_data, uuid.uuid4()
        place = Place("样例", "+8613800000000", "广东省", "深圳市", "南山区", "科技路 1 号", None, None)
        with psycopg.connect(self.database("redemption").superuser_url) as conn:
            row = conn.execute("SELECT data_key FROM customers WHERE id = %s", [self.owner_id]).fetchone()
            assert row is not None
            sealed = seal_place(data, uuid.UUID(self.owner_id), row[0], address_id, place)
            conn.execute("DELETE FROM customer_addresses WHERE customer_id = %s AND place = 20", [self.owner_id])
            conn.execute(
                "INSERT INTO customer_addresses (id, customer_id, place, sealed, is_default, created_at, changed_at) "
                "VALUES (%s, %s, 20, %s, false, now(), now())",
                [address_id, self.owner_id, sealed],
            )
        return str(address_id)

    def next_unpublished(self) -> str:
        """The code of a campaign whose first version is loaded and was never put in force."""
        return next(self._unpublished)

    def parked_task(self, service: str, *, asked_by: str | None = None) -> str:
        """A task that was set aside, which that person asked to run again."""
        task_id = str(uuid.uuid4())
        with psycopg.connect(self._databases[service].superuser_url, autocommit=True) as conn:
            conn.execute("INSERT INTO tasks (id, kind, state, run_at) VALUES (%s, 'of-a-test', 'parked', now())", [task_id])
            if asked_by is not None:
                redrive_id = str(uuid.uuid4())
                conn.execute(
                    "INSERT INTO task_redrives (id, task_id, reason, fingerprint, asked_by) SELECT %s, id,"
                    " 'a test', task_fingerprint(kind, ref, payload, token), %s FROM tasks WHERE id = %s",
                    [redrive_id, asked_by, task_id],
                )
                conn.execute(
                    "INSERT INTO audit_entries (at, actor, channel, action, subject, reason, after) VALUES"
                    " (now(), %s, 'a test', 'task.redrive_asked', %s, '', jsonb_build_object('redrive', %s::text))",
                    [f"staff:{asked_by}", f"task:{task_id}", redrive_id],
                )
        return task_id

    def another_campaign(self) -> dict[str, Any]:
        """A campaign that was never loaded."""
        return campaign_row(code=f"GEN-{next(_campaigns)}")

    def app(self, service: str) -> FastAPI:
        """A service's application."""
        apps = {"catalog": self.suite.catalog.app, "redemption": self.suite.redemption, "fulfillment": self.suite.fulfillment}
        return apps[service]

    def client(self, service: str) -> httpx.AsyncClient:
        """A client of one of the services."""
        return {"catalog": self.suite.catalog.client, "redemption": self.suite.client, "fulfillment": self.suite.tills}[service]

    def callers(self) -> dict[str, dict[str, str]]:
        """The Authorization header of everybody who succeeds somewhere."""
        return {
            "owner": self.issuer.customer(self.owner),
            "till": self.issuer.till("M001", "T01"),
            "agent": self.issuer.staff("agent"),
            "supervisor": self.issuer.staff("supervisor"),
            "campaign manager": self.issuer.staff("campaign_manager"),
            "counter": self.issuer.staff("branch", subject="clerk-1", branch="B001"),
            "redemption": self.issuer.service("redemption"),
            "fulfillment": self.issuer.service("fulfillment"),
            "operations": self.issuer.service("operations", "reconcile:read"),
            "bank feeds": self.issuer.service("bank-feeds", "feeds:write"),
        }

    def by_grant(self) -> dict[str, dict[str, str]]:
        """A token for each single scope and role, by `kind:scope` or `staff:role`: it allows that and nothing else."""
        tokens = {f"staff:{role}": self.issuer.staff(role, branch="B001") for role in ROLES}
        tokens |= {f"service:{scope}": self.issuer.service("operations", scope) for scope in SERVICE_SCOPES}
        for scope in CUSTOMER_SCOPES:
            tokens[f"customer:{scope}"] = bearer(self.issuer.token("customer", self.owner, scope=scope, client_id="mobile-app"))
        till = {"merchant": "M001", "terminal": "T01"}
        for scope in TILL_SCOPES:
            tokens[f"merchant:{scope}"] = bearer(self.issuer.token("merchant", "till:M001:T01", scope=scope, **till))
        return tokens

    def powerless(self) -> dict[str, dict[str, str]]:
        """Valid tokens that allow nothing, among them words of other kinds of callers: a scope is not a role."""
        everything = " ".join((*CUSTOMER_SCOPES, *TILL_SCOPES, *SERVICE_SCOPES))
        return {
            "a customer without scopes": bearer(self.issuer.token("customer", self.owner)),
            "a customer with staff's roles": bearer(self.issuer.token("customer", self.owner, roles=list(ROLES))),
            "staff without roles": self.issuer.staff(),
            "staff with everybody's scopes": self.issuer.staff(scope=everything),
            "a till without scopes": bearer(
                self.issuer.token("merchant", "till:M001:T01", merchant="M001", terminal="T01", roles=list(ROLES))
            ),
            "a service without scopes": self.issuer.service("operations", ""),
        }

    def invalid(self) -> dict[str, dict[str, str]]:
        """What is no token of ours."""
        stranger, kind = Issuer(), ("customer", self.owner)
        scope = " ".join(CUSTOMER_SCOPES)
        good = self.issuer.token(*kind, scope=scope)
        head, body, signature = good.split(".")
        return {
            "nobody": {},
            "an expired token": bearer(self.issuer.token(*kind, scope=scope, seconds=-60)),
            "a token signed by another": bearer(stranger.token(*kind, scope=scope)),
            "a token for another audience": bearer(self.issuer.token(*kind, scope=scope, aud="another")),
            "a token of another issuer": bearer(self.issuer.token(*kind, scope=scope, iss="https://another.test")),
            "a token that was changed": bearer(f"{head}.{body[:-2]}AA.{signature}"),
            "a token without an id of its own": bearer(self.issuer.token(*kind, scope=scope, jti=None)),
            "a token that lives too long": bearer(self.issuer.token(*kind, scope=scope, seconds=3600)),
            "a token that says it needs no signature": bearer(f"{_part({'alg': 'none', 'kid': 'test'})}.{body}."),
            "a token signed with what everybody can read": bearer(_signed_with_the_public_key(self.issuer, body)),
            "a token without a signature": bearer(f"{head}.{body}."),
            "another scheme": {"Authorization": f"Basic {good}"},
            "no words": {"Authorization": "Bearer "},
        }


def _part(value: dict[str, str]) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


def _signed_with_the_public_key(issuer: Issuer, body: str) -> str:
    """HS256 with the published key as the password."""
    signed = f"{_part({'alg': 'HS256', 'kid': 'test'})}.{body}"
    signature = hmac.digest(issuer.key.as_pem(private=False), signed.encode(), "sha256")
    return f"{signed}.{base64.urlsafe_b64encode(signature).decode().rstrip('=')}"


@asynccontextmanager
async def running_world(database_of: Callable[[str], TestDatabase], issuer: Issuer) -> AsyncIterator[World]:
    """The three services with a campaign in force. Tests leave reservations of nobody's, so the books are not compared."""
    databases: dict[str, TestDatabase] = {}

    def remembered(service: str) -> TestDatabase:
        return databases.setdefault(service, database_of(service))

    async with running_suite(remembered, issuer, check=False) as suite:
        await suite.catalog.open(
            rewards=[reward_row(merchants="M001")],
            merchants=[merchant_row(), merchant_row("M002")],
            terminals=[row("terminals", merchant=m, code="T01", location="前台") for m in ("M001", "M002")],
            stock_batches=[batch_row(quantity=1_000_000)],
        )
        know_merchants(databases["fulfillment"], "M001", "M002")
        owner, stranger, bystander = await suite.add_customers(10_000_000, 5_000, 0)
        line = f"{owner.removeprefix('customer-')},{owner},{OWNER_NAME},{OWNER_PHONE},gold,zh_hans\n"
        await suite.feed("customers", "the-owner", f"customer_number,subject,name,phone,tier,language\n{line}")
        redeemed = [await suite.redeem(owner, ("O1", 100)), await suite.redeem(owner)]
        assert [answer.status_code for answer in redeemed] == [201, 201], redeemed[0].text
        await suite.drain()
        codes = await _codes(suite, owner)
        use = f"U-{uuid.uuid4().hex[:8]}"
        used = await suite.tills.put(f"/v1/uses/{use}", json={"code": codes.pop()[1]}, headers=issuer.till())
        assert used.status_code == 200, used.text
        voucher_id, code = codes.pop()
        pickups = await _pickups(suite, owner)
        cancellable = [await _confirmed(suite, owner) for _ in range(CANCELLABLE)]  # after the last time that workers ran
        with psycopg.connect(databases["redemption"].superuser_url) as conn:  # whoever lets workers run leaves these alone
            ids = [uuid.UUID(one) for one in cancellable]
            conn.execute("UPDATE tasks SET run_at = now() + interval '1 day' WHERE ref = ANY(%s) AND state = 'ready'", [ids])
        yield World(
            suite=suite,
            owner=owner,
            stranger=stranger,
            owner_id=(await suite.me(owner))["customer_id"],
            bystander_id=(await suite.me(bystander))["customer_id"],
            redemption_id=redeemed[1].json()["id"],
            voucher_id=voucher_id,
            code=code,
            use=use,
            parcel_id=pickups.pop()[0],
            _cancellable=iter(cancellable),
            _codes=iter([code for _, code in codes]),
            _pickups=iter(pickups),
            _unpublished=iter([await _load(suite, number) for number in range(UNPUBLISHED)]),
            _databases=databases,
        )


async def _confirmed(suite: Suite, owner: str) -> str:
    """A redemption that is confirmed, and that no worker looks at any more."""
    redeemed = await suite.redeem(owner)
    assert redeemed.status_code == 201, redeemed.text
    found: str = redeemed.json()["id"]
    return found


async def _pickups(suite: Suite, owner: str) -> list[tuple[str, str]]:
    """Parcels of the owner at B001, ready to be collected: redemption knows nothing of them."""
    issuer, tills = suite.issuer, suite.tills
    written = await tills.put("/v1/branches", json={"items": [branch()]}, headers=issuer.service("bank-feeds", "feeds:write"))
    assert written.status_code == 200, written.text
    customer_id = (await suite.me(owner))["customer_id"]
    delivery = {**to_branch(), "contact": OWNER_CONTACT}
    for _ in range(PICKUPS // 50):
        wishes = [wish(goods(), subject=owner, customer_id=customer_id, delivery=delivery) for _ in range(50)]
        body = {"actor": ACTOR, "items": wishes}
        accepted = await tills.put("/internal/v1/fulfillments", json=body, headers=issuer.service())
        assert accepted.status_code == 200, accepted.text
    await suite.drain()
    counter, found, cursor = issuer.staff("branch", branch="B001"), [], None
    while True:
        query = {"limit": "100", "state": "in_transfer", **({"cursor": cursor} if cursor else {})}
        page = (await tills.get("/v1/branches/B001/pickups", headers=counter, params=query)).json()
        found += [one["id"] for one in page["items"]]
        cursor = page["next"]
        if cursor is None:
            break
    assert len(found) == PICKUPS
    pickups = []
    for parcel in found:
        assert (await tills.put(f"/v1/parcels/{parcel}/arrival", headers=counter)).status_code == 200
        shown = await tills.get(f"/v1/parcels/{parcel}/pickup-code", headers=issuer.customer(owner))
        pickups.append((parcel, shown.json()["code"]))
    return pickups


async def _load(suite: Suite, number: int) -> str:
    code = f"LATER-{number}"
    loaded = await suite.catalog.load(workbook_cells(campaign=[campaign_row(code=code)]))
    assert loaded.status_code == 201, loaded.text
    return code


async def _codes(suite: Suite, subject: str) -> list[tuple[str, str]]:
    headers = suite.issuer.customer(subject)
    listed = await suite.tills.get("/v1/vouchers", headers=headers, params={"limit": 100})
    found = []
    for voucher in listed.json()["items"]:
        answer = await suite.tills.get(f"/v1/vouchers/{voucher['id']}/code", headers=headers)
        found.append((voucher["id"], answer.json()["code"]))
    return found
