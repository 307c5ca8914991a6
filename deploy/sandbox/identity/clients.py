"""The programs that ask for tokens: app, console, services, the bank's own systems, and the merchants' tills."""

import hashlib
import hmac
import re
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from deploy.sandbox.identity.people import Person
from deploy.sandbox.identity.settings import IdentitySettings

TILL = re.compile(r"till:([A-Za-z0-9_-]{1,32}):([A-Za-z0-9_-]{1,32})")
CODE, REFRESH, CREDENTIALS = "authorization_code", "refresh_token", "client_credentials"


@dataclass(frozen=True)
class Client:
    """One program, what it may do here, and what its tokens say."""

    id: str
    grant: str
    scopes: tuple[str, ...]
    signs_in: str | None = None
    """The kind of people who use it: customer or staff."""
    public: bool = False
    refreshes: bool = False
    """Whether its sign-ins can be prolonged without the person."""
    claims: dict[str, Any] = field(default_factory=dict)

    def may_return_to(self, uri: str) -> bool:
        """Whether a code may be sent there: loopback, any port (RFC 8252), or the app's own scheme."""
        try:
            parts = urlsplit(uri)
            loopback = parts.hostname in {"127.0.0.1", "::1", "localhost"} and parts.scheme == "http"
        except ValueError:
            return False
        if parts.fragment or parts.username or parts.password:
            return False
        return loopback or (self.public and uri == "huangou://callback")

    def serves(self, person: Person) -> bool:
        """Whether this person signs in with this program."""
        return person.kind == self.signs_in

    def granted(self, asked: str) -> tuple[str, ...]:
        """The scopes to give: those asked for that this program may have; all of them when none is asked for."""
        wanted = asked.split()
        return tuple(scope for scope in self.scopes if scope in wanted) if wanted else self.scopes


APP_SCOPES = (
    "openid", "catalog:read", "points:read", "redemptions:read", "redemptions:write", "vouchers:read", "profile:read",
    "profile:write",
)  # fmt: skip
SERVICE = {"kind": "service"}
CLIENTS = {
    client.id: client
    for client in (
        Client("mobile-app", CODE, APP_SCOPES, signs_in="customer", public=True),
        Client("console", CODE, ("openid",), signs_in="staff", refreshes=True),
        Client("catalog", CREDENTIALS, (), claims=SERVICE),  # calls nobody
        Client("redemption", CREDENTIALS, ("internal", "reservations:write", "fulfillments:write"), claims=SERVICE),
        Client("fulfillment", CREDENTIALS, ("internal", "outcomes:write"), claims=SERVICE),
        Client("bank-feeds", CREDENTIALS, ("feeds:write",), claims=SERVICE),
        Client(
            "operations",
            CREDENTIALS,
            ("feeds:write", "reconcile:read", "campaigns:write", "tasks:write"),
            claims=SERVICE,
        ),
    )
}
CONFIDENTIAL = tuple(client.id for client in CLIENTS.values() if not client.public)


def find_client(client_id: str) -> Client | None:
    """The program with this id; `till:<merchant>:<terminal>` is the till of whatever merchant it names."""
    till = TILL.fullmatch(client_id)
    if till:
        claims = {"kind": "merchant", "merchant": till[1], "terminal": till[2]}
        return Client(client_id, CREDENTIALS, ("vouchers:verify", "vouchers:use"), claims=claims)
    return CLIENTS.get(client_id)


def till_secret(till_key: bytes, client_id: str) -> str:
    """The secret of a till, derived from the installation's key."""
    return hmac.new(till_key, client_id.encode(), hashlib.sha256).hexdigest()


def knows_secret(client: Client, given: str, settings: IdentitySettings) -> bool:
    """Whether the secret is this client's; compared in constant time. A public client has none and is never proved."""
    if TILL.fullmatch(client.id):
        expected = till_secret(settings.till_key, client.id)
    elif client.id in settings.client_secrets:
        expected = settings.client_secrets[client.id].get_secret_value()
    else:
        return False
    return hmac.compare_digest(expected.encode(), given.encode())
