"""A test's own identity provider: it signs tokens for anybody and publishes its key."""

import base64
import time
import uuid
from typing import Any
from urllib.parse import parse_qs

from joserfc import jwt
from joserfc.jwk import KeySet, OKPKey

from deploy.sandbox.identity.clients import CLIENTS

ISSUER = "https://identity.test"
AUDIENCE = "huangou"


class Issuer:
    """Signs tokens with a key of its own; serves as the services' source of keys."""

    def __init__(self) -> None:
        self.key = OKPKey.generate_key("Ed25519", {"use": "sig", "kid": "test", "alg": "Ed25519"}, auto_kid=False)

    async def fetch(self) -> dict[str, Any]:
        """The published keys."""
        return dict(KeySet([self.key]).as_dict(private=False))

    def token(self, kind: str, subject: str, *, scope: str = "", seconds: int = 300, **claims: Any) -> str:
        """Any token; `claims` adds or replaces."""
        now = int(time.time())
        body = {
            "iss": ISSUER, "aud": AUDIENCE, "sub": subject, "iat": now, "exp": now + seconds, "jti": str(uuid.uuid4()),
            "client_id": "test", "kind": kind, "scope": scope, **claims,
        }  # fmt: skip
        return jwt.encode({"alg": "Ed25519", "kid": "test"}, body, self.key, algorithms=["Ed25519"])

    def customer(self, subject: str = "customer-00001") -> dict[str, str]:
        """The header of a customer in the mobile app."""
        scope = "catalog:read points:read profile:read profile:write redemptions:read redemptions:write vouchers:read"
        return bearer(self.token("customer", subject, scope=scope, client_id="mobile-app"))

    def staff(self, *roles: str, subject: str = "staff-1", **claims: Any) -> dict[str, str]:
        """The header of a member of staff."""
        return bearer(
            self.token("staff", subject, roles=list(roles), person=f"person-of-{subject}", client_id="console", **claims)
        )

    def till(self, merchant: str = "M001", terminal: str = "T01") -> dict[str, str]:
        """The header of a merchant's till."""
        subject = f"till:{merchant}:{terminal}"
        scope = "vouchers:verify vouchers:use"
        token = self.token("merchant", subject, scope=scope, merchant=merchant, terminal=terminal, client_id=subject)
        return bearer(token)

    def service(self, name: str = "redemption", scope: str | None = None) -> dict[str, str]:
        """The header of a service or of a system of the bank, with all that the sandbox gives it where no scope is named."""
        return bearer(self.service_token(name, scope))

    def service_token(self, name: str, scope: str | None = None) -> str:
        """What a client of the sandbox gets when it asks for these scopes: those of them that are its own."""
        if scope is None:
            scope = " ".join(CLIENTS[name].scopes)
        return self.token("service", name, scope=scope, client_id=name)

    def granted(self, request_authorization: str, form: bytes) -> str:
        """The token that a service asks for with its credentials."""
        name = base64.b64decode(request_authorization.removeprefix("Basic ")).decode().partition(":")[0]
        [asked] = parse_qs(form.decode())["scope"]
        return self.service_token(name, " ".join(CLIENTS[name].granted(asked)))


def bearer(token: str) -> dict[str, str]:
    """The Authorization header for a token."""
    return {"Authorization": f"Bearer {token}"}
