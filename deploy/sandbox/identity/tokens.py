"""Signs the sandbox's tokens. Tests that need no provider use it as `Signer(seed, issuer).for_person("agent-1")`."""

import base64
import time
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from joserfc import jwt
from joserfc.jwk import OKPKey

from deploy.sandbox.identity.clients import CLIENTS, Client, find_client
from deploy.sandbox.identity.people import Person, find_person
from shared.ids import new_id

# RFC 9864's name for EdDSA over this curve; the general name is deprecated there
ALGORITHM = "Ed25519"


class Signer:
    """The provider's key, and the two kinds of token that it signs."""

    def __init__(self, seed: bytes, issuer: str, *, audience: str = "huangou", seconds: int = 300) -> None:
        """`seed` is 32 bytes; the same seed gives the same key and key id."""
        public = Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()
        self._key = OKPKey.import_key({"kty": "OKP", "crv": "Ed25519", "d": _base64url(seed), "x": _base64url(public)})
        self.issuer, self.audience, self.seconds = issuer, audience, seconds
        self.key_id = self._key.thumbprint()

    def key_set(self) -> dict[str, Any]:
        """The published keys (RFC 7517)."""
        public = self._key.as_dict(private=False)
        return {"keys": [{**public, "kid": self.key_id, "use": "sig", "alg": ALGORITHM}]}

    def access_token(self, client: Client, scopes: tuple[str, ...], person: Person | None = None) -> str:
        """A token for the suite's services, on behalf of a person or of the client itself (RFC 9068)."""
        who = person.claims() if person else {"name": client.id, **client.claims}
        subject = person.subject if person else client.id
        claims = {"aud": self.audience, "sub": subject, "client_id": client.id, "scope": " ".join(scopes), **who}
        return self._sign("at+jwt", claims)

    def id_token(self, client: Client, person: Person, nonce: str | None) -> str:
        """Tells the client who signed in; its audience is the client, so no service takes it for an access token."""
        claims = {"aud": client.id, "sub": person.subject, **person.claims()}
        return self._sign("JWT", claims | ({"nonce": nonce} if nonce else {}))

    def for_person(self, subject: str) -> str:
        """The access token that this sample person gets after signing in with all scopes."""
        person = find_person(subject)
        if person is None:
            raise ValueError(f"nobody here is called {subject}")
        client = CLIENTS["mobile-app" if person.kind == "customer" else "console"]
        return self.access_token(client, client.scopes, person)

    def for_client(self, client_id: str) -> str:
        """The access token that this program or till gets for itself, with all its scopes."""
        client = find_client(client_id)
        if client is None or client.signs_in:
            raise ValueError(f"no program of its own is called {client_id}")
        return self.access_token(client, client.scopes)

    def read(self, token: str) -> dict[str, Any]:
        """The claims of an access token of ours that is still good. Raises joserfc's errors or ValueError."""
        claims = jwt.decode(token, self._key, algorithms=[ALGORITHM]).claims
        registry = jwt.JWTClaimsRegistry(
            aud={"essential": True, "value": self.audience}, iss={"essential": True, "value": self.issuer}
        )
        registry.validate(claims)
        return claims

    def _sign(self, kind: str, claims: dict[str, Any]) -> str:
        now = int(time.time())
        header = {"alg": ALGORITHM, "kid": self.key_id, "typ": kind}
        full = {"iss": self.issuer, "iat": now, "exp": now + self.seconds, "jti": str(new_id()), **claims}
        return jwt.encode(header, full, self._key, algorithms=[ALGORITHM])


def _base64url(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()
