"""Gets an access token for a sample person, program or till, over the same HTTP that an app or a till would use."""

import base64
import secrets
import ssl
from urllib.parse import parse_qs, urlsplit

import httpx

from deploy.local.failure import CannotStart
from deploy.local.installation import Installation
from deploy.sandbox.identity.clients import TILL, find_client, till_secret
from deploy.sandbox.identity.codes import challenge_of
from deploy.sandbox.identity.people import find_person

PLAIN = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""Trusts nobody: the suite on loopback speaks plain HTTP, and reading the system's certificates costs more than a call."""
RETURN_ADDRESS = "http://127.0.0.1/callback"  # never asked: the code is read from the redirect to it


def obtain_token(issuer: str, who: str, installation: Installation) -> str:
    """An access token for `customer-00001`, `agent-1`, `till:M001:T01`, or a program such as `operations`.

    People go through authorization code with PKCE, the others through client credentials. Raises CannotStart.
    """
    person, client = find_person(who), find_client(who)
    try:
        with httpx.Client(base_url=issuer, timeout=10.0, trust_env=False, verify=PLAIN) as http:
            if person:
                program = "mobile-app" if person.kind == "customer" else "console"
                return _sign_in(http, who, program, installation.client_secrets.get(program))
            if client and not client.signs_in:
                return _own_token(http, who, _secret_of(who, installation))
    except httpx.HTTPError as error:
        raise CannotStart(f"The sandbox's identity provider at {issuer} does not answer; run `make up` first.") from error
    raise CannotStart(f"The sandbox knows nobody called {who}; try customer-00001, agent-1, till:M001:T01 or operations.")


def _sign_in(http: httpx.Client, subject: str, client_id: str, secret: str | None) -> str:
    verifier, state = secrets.token_urlsafe(48), secrets.token_urlsafe(16)
    asked = {
        "response_type": "code",
        "client_id": client_id,
        "redirect_uri": RETURN_ADDRESS,
        "state": state,
        "code_challenge": challenge_of(verifier),
        "code_challenge_method": "S256",
    }
    answer = http.post("/authorize", data=asked | {"subject": subject})
    returned = parse_qs(urlsplit(answer.headers.get("location", "")).query)
    if "code" not in returned or returned.get("state") != [state]:
        raise CannotStart(f"The sandbox did not sign in {subject}: {returned.get('error', ['no code'])[0]}.")
    form = {
        "grant_type": "authorization_code",
        "code": returned["code"][0],
        "redirect_uri": RETURN_ADDRESS,
        "client_id": client_id,
        "code_verifier": verifier,
    }
    return _access_token(http.post("/token", data=form | ({"client_secret": secret} if secret else {})))


def _own_token(http: httpx.Client, client_id: str, secret: str) -> str:
    form = {"grant_type": "client_credentials", "client_id": client_id, "client_secret": secret}
    return _access_token(http.post("/token", data=form))


def _secret_of(client_id: str, installation: Installation) -> str:
    if TILL.fullmatch(client_id):
        return till_secret(base64.b64decode(installation.till_key), client_id)
    return installation.client_secrets[client_id]


def _access_token(answer: httpx.Response) -> str:
    if answer.status_code != 200:
        raise CannotStart(f"The sandbox gave no token: {answer.json().get('error', answer.status_code)}.")
    token: str = answer.json()["access_token"]
    return token
