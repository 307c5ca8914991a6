"""Who is let in: what a token must be, how long it is believed, and what each kind of caller may do."""

import asyncio
import base64
import hmac
import json
import time
from typing import Any

import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet, OctKey, OKPKey, RSAKey

from shared.identity import TokenVerifier, allow
from shared.identity import tokens as module
from shared.problems import InvalidToken
from tests.support.tiny_app import client_of, new_app
from tests.support.tokens import AUDIENCE, ISSUER, Issuer, bearer

pytestmark = pytest.mark.anyio


class Keys:
    """A source of keys that can change, fail, dawdle, and counts how often it was asked."""

    def __init__(self, *keys: Any) -> None:
        self.keys, self.asked, self.failure, self.seconds = list(keys), 0, None, 0.0
        self.document: Any = None

    async def fetch(self) -> Any:
        self.asked += 1
        await asyncio.sleep(self.seconds)
        if self.failure is not None:
            raise self.failure
        return self.document if self.document is not None else dict(KeySet(self.keys).as_dict(private=False))


class Time:
    """Monotonic and wall time, moved by hand."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.passed = 0.0
        start, wall = time.monotonic(), time.time()
        monkeypatch.setattr(module, "time", self)
        self._start, self._wall = start, wall

    def monotonic(self) -> float:
        return self._start + self.passed

    def time(self) -> float:
        return self._wall + self.passed


class FromNow(int):
    """Seconds from when a test runs, not from when it was collected: that can be longer ago than a token lives."""


def told(changes: dict[str, Any]) -> dict[str, Any]:
    """The claims at this moment."""
    now = int(time.time())
    return {name: now + int(value) if isinstance(value, FromNow) else value for name, value in changes.items()}


def verifier(keys: Any) -> TokenVerifier:
    return TokenVerifier(keys, issuer=ISSUER, audience=AUDIENCE)


def key(kind: str = "Ed25519", kid: str = "k1") -> Any:
    options = {"kid": kid, "use": "sig"}
    if kind == "Ed25519":
        return OKPKey.generate_key("Ed25519", options, auto_kid=False)
    if kind == "P-256":
        return ECKey.generate_key("P-256", options, auto_kid=False)
    return RSAKey.generate_key(2048, options, auto_kid=False)


def token(signer: Any, alg: str = "Ed25519", **changes: Any) -> str:
    now = int(time.time())
    body = {
        "iss": ISSUER, "aud": AUDIENCE, "sub": "c-1", "iat": now, "exp": now + 300, "jti": "j", "client_id": "app",
        "kind": "customer", "scope": "points:read",
    }  # fmt: skip
    body = {name: value for name, value in {**body, **changes}.items() if value is not None}
    return jwt.encode({"alg": alg, "kid": signer.kid}, body, signer, algorithms=[alg])


def encoded(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def part(value: dict[str, Any]) -> str:
    return encoded(json.dumps(value).encode())


async def accepted(by: TokenVerifier, raw: str) -> bool:
    try:
        await by.verify(f"Bearer {raw}")
    except InvalidToken:
        return False
    return True


@pytest.mark.proves("G38")
@pytest.mark.filterwarnings("ignore:EdDSA is deprecated")
@pytest.mark.parametrize(("kind", "alg"), [("Ed25519", "EdDSA"), ("Ed25519", "Ed25519"), ("P-256", "ES256"), ("RSA", "PS256")])
async def test_a_token_signed_with_an_allowed_algorithm_is_believed(kind: str, alg: str) -> None:
    signer = key(kind)
    who = await verifier(Keys(signer)).verify(f"bearer {token(signer, alg)}")
    assert (who.kind, who.subject, who.scopes, who.actor) == ("customer", "c-1", {"points:read"}, "customer:c-1")


@pytest.mark.proves("G38")
@pytest.mark.filterwarnings("ignore::joserfc.errors.SecurityWarning")
async def test_no_other_algorithm_is_believed() -> None:
    rsa, ec = key("RSA"), key("P-256")
    assert not await accepted(verifier(Keys(rsa)), token(rsa, "RS256"))
    _, body, _ = token(ec, "ES256").split(".")
    forged = part({"alg": "HS256", "kid": ec.kid}) + "." + body
    signature = hmac.digest(ec.as_pem(private=False), forged.encode(), "sha256")  # the public key taken for a password
    assert not await accepted(verifier(Keys(ec)), f"{forged}.{encoded(signature)}")
    secret = OctKey.generate_key(256, {"kid": "o"}, auto_kid=False)
    assert not await accepted(verifier(Keys(secret)), token(secret, "HS256"))
    assert not await accepted(verifier(Keys(ec)), f"{part({'alg': 'none', 'kid': ec.kid})}.{body}.")


@pytest.mark.proves("G38")
@pytest.mark.parametrize(
    "changes",
    [
        {"exp": FromNow(-60)},
        {"exp": FromNow(3600)},
        {"exp": None},
        {"iat": None},
        {"iat": "yesterday"},
        {"exp": "tomorrow"},
        {"iat": FromNow(300), "exp": FromNow(600)},
        {"nbf": FromNow(300)},
        {"aud": "another"},
        {"aud": None},
        {"iss": "https://another.example"},
        {"iss": None},
        {"jti": None},
        {"sub": None},
        {"client_id": None},
        {"kind": None},
        {"kind": "administrator"},
        {"kind": "merchant", "merchant": "M1"},
        {"kind": "staff", "roles": 5},
        {"kind": "staff", "roles": "administrator"},
        {"kind": "staff", "roles": ["agent"], "person": 5},
        {"kind": "staff", "roles": ["agent"], "branch": ["B001"]},
        {"kind": "merchant", "merchant": "M1", "terminal": 1},
        {"aud": ["another", "one more"]},
        {"exp": FromNow(601), "iat": FromNow(0)},
        {"jti": ""},
    ],
)
async def test_a_token_that_lacks_or_bends_a_claim_is_not_believed(changes: dict[str, Any]) -> None:
    signer = key()
    assert not await accepted(verifier(Keys(signer)), token(signer, **told(changes)))


@pytest.mark.proves("G38")
@pytest.mark.parametrize(
    "raw",
    [
        None, "", "Bearer", "Bearer ", "Basic abc", "Bearer a.b", "Bearer a.b.c", "Bearer é.è.à", "Bearer " + "x" * 9000,
        "Bearer eyJhbGciOiJFZERTQSJ9.e30.AAAA", "Bearer eyJhbGciOjF9.e30.AAAA", "Bearer W10.W10.W10", "Bearer bnVsbA.e30.AA",
    ],
)  # fmt: skip
async def test_what_is_no_token_is_refused_and_never_an_error(raw: str | None) -> None:
    with pytest.raises(InvalidToken):
        await verifier(Keys(key())).verify(raw)


@pytest.mark.proves("G38")
async def test_a_changed_token_is_not_believed() -> None:
    signer, other = key(), key()
    head, _, signature = token(signer).split(".")
    mine = token(signer, sub="c-2").split(".")[1]
    assert not await accepted(verifier(Keys(signer)), f"{head}.{mine}.{signature}")
    assert not await accepted(verifier(Keys(signer)), token(other))


@pytest.mark.proves("G38")
async def test_a_believed_token_is_remembered_for_a_minute_and_not_past_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, signer = Time(monkeypatch), key()
    by, checks = verifier(Keys(signer)), []
    real = by._check
    monkeypatch.setattr(by, "_check", lambda *a: checks.append(1) or real(*a))
    raw = token(signer)
    for _ in range(3):
        assert await accepted(by, raw)
    assert len(checks) == 1
    clock.passed = 61
    assert await accepted(by, raw)
    assert len(checks) == 2


@pytest.mark.proves("G38")
async def test_a_remembered_token_ends_with_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, signer = Time(monkeypatch), key()
    by = verifier(Keys(signer))
    raw = token(signer, exp=int(time.time()) + 5)
    assert await accepted(by, raw)
    clock.passed = 40
    monkeypatch.setattr("joserfc.jwt.time.time" if hasattr(jwt, "time") else "time.time", lambda: clock._wall + clock.passed)
    assert not await accepted(by, raw)


@pytest.mark.proves("G38")
async def test_the_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "REMEMBERED_TOKENS_MAX", 3)
    signer = key()
    by = verifier(Keys(signer))
    for n in range(6):
        assert await accepted(by, token(signer, sub=f"c-{n}"))
    assert len(by._remembered) == 3


@pytest.mark.proves("G38")
async def test_a_new_key_is_found_without_a_restart(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, old, new = Time(monkeypatch), key(kid="old"), key(kid="new")
    source = Keys(old)
    by = verifier(source)
    assert await accepted(by, token(old))
    source.keys = [old, new]
    clock.passed = 6
    assert await accepted(by, token(new))
    assert await accepted(by, token(old))


@pytest.mark.proves("G38")
@pytest.mark.parametrize("kid", ["old", "new"])
async def test_a_key_that_is_gone_takes_the_remembered_tokens_with_it(monkeypatch: pytest.MonkeyPatch, kid: str) -> None:
    """Also when the new key carries the name of the old one."""
    clock, old, new = Time(monkeypatch), key(kid="old"), key(kid=kid)
    source = Keys(old)
    by = verifier(source)
    raw = token(old)
    assert await accepted(by, raw)
    source.keys = [new]
    clock.passed = 6
    assert await accepted(by, token(new))
    assert not await accepted(by, raw)


async def test_strange_tokens_do_not_make_us_ask_for_keys_all_the_time() -> None:
    source, signer = Keys(key()), key(kid="stranger")
    by = verifier(source)
    for _ in range(20):
        assert not await accepted(by, token(signer))
    assert source.asked == 1


async def test_the_first_requests_wait_for_one_fetch_of_the_keys() -> None:
    signer = key()
    source = Keys(signer)
    source.seconds = 0.1
    by = verifier(source)
    assert all(await asyncio.gather(*[accepted(by, token(signer, sub=f"c-{n}")) for n in range(20)]))
    assert source.asked == 1


async def test_one_caller_who_goes_away_does_not_stop_the_fetch_for_the_others() -> None:
    signer = key()
    source = Keys(signer)
    source.seconds = 0.1
    by = verifier(source)
    first = asyncio.create_task(accepted(by, token(signer)))
    await asyncio.sleep(0.02)
    second = asyncio.create_task(accepted(by, token(signer)))
    await asyncio.sleep(0)
    first.cancel()
    assert await second


@pytest.mark.proves("G38")
@pytest.mark.parametrize(
    ("failure", "document"),
    [
        (httpx.ConnectError("down"), None),
        (None, []),
        (None, "x"),
        (None, {"keys": 3}),
        (None, {"keys": [{"kty": "OKP"}]}),
        (None, {}),
    ],
)
async def test_while_the_issuer_fails_the_known_keys_serve_for_an_hour_and_then_nobody_is_believed(
    monkeypatch: pytest.MonkeyPatch, failure: Exception | None, document: Any
) -> None:
    clock, signer = Time(monkeypatch), key()
    source = Keys(signer)
    by = verifier(source)
    raw = token(signer)
    assert await accepted(by, raw)
    source.failure, source.document = failure, document
    for clock.passed in (301, 1800, 3590):  # the token's own end is left out of this: the library reads the real time
        assert await accepted(by, raw), clock.passed
        await asyncio.sleep(0)
    clock.passed = 3700
    assert not await accepted(by, raw)
    source.failure = source.document = None
    clock.passed = 3800
    assert await accepted(by, raw)


@pytest.mark.proves("G38")
async def test_while_no_keys_could_be_had_yet_nobody_is_let_in_and_the_fault_is_not_the_callers() -> None:
    signer = key()
    source = Keys(signer)
    source.failure = httpx.ConnectError("down")
    async with client_of(new_app(source)) as client:
        for _ in range(2):
            answer = await client.get("/v1/mine", headers=bearer(token(signer)))
            assert (answer.status_code, answer.json()["type"].rpartition("/")[2]) == (503, "dependency-unavailable")
            assert int(answer.headers["retry-after"]) > 0


async def test_an_issuer_that_hangs_does_not_hold_up_who_has_good_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, signer = Time(monkeypatch), key()
    source = Keys(signer)
    by = verifier(source)
    assert await accepted(by, token(signer))
    clock.passed, source.seconds = 400, 5.0
    async with asyncio.timeout(0.5):
        assert await accepted(by, token(signer, sub="c-2"))
    by._asking.cancel()
    await asyncio.sleep(0)


@pytest.mark.proves("G40")
@pytest.mark.parametrize(
    ("path", "who", "status"),
    [
        ("/v1/mine", {"kind": "customer", "scope": "points:read"}, 200),
        ("/v1/mine", {"kind": "customer", "scope": "points:reader catalog:read"}, 403),
        ("/v1/mine", {"kind": "service", "scope": "points:read"}, 403),
        ("/v1/desk", {"kind": "staff", "roles": ["reviewer"]}, 200),
        ("/v1/desk", {"kind": "staff", "roles": ["administrator", "auditor"]}, 403),
        ("/v1/desk", {"kind": "staff"}, 403),
        ("/v1/desk", {"kind": "customer", "roles": ["agent"], "scope": "points:read"}, 403),
        ("/v1/till", {"kind": "merchant", "scope": "vouchers:use", "merchant": "M1", "terminal": "T1"}, 200),
        ("/v1/till", {"kind": "merchant", "scope": "vouchers:verify", "merchant": "M1", "terminal": "T1"}, 403),
        ("/v1/inside", {"kind": "service", "scope": "internal"}, 200),
        ("/v1/inside", {"kind": "service", "scope": "feeds:write"}, 403),
        ("/v1/inside", {"kind": "staff", "roles": ["administrator"]}, 200),
        ("/v1/inside", {"kind": "customer", "scope": "internal"}, 403),
    ],
)
async def test_a_route_lets_in_whom_it_names_and_nobody_else(
    issuer: Issuer, path: str, who: dict[str, Any], status: int
) -> None:
    async with client_of(new_app(issuer)) as client:
        answer = await client.get(path, headers=bearer(issuer.token(who.pop("kind"), "s-1", **who)))
    assert answer.status_code == status, answer.text
    if status == 403:
        assert answer.json()["type"].endswith("/insufficient-scope")


@pytest.mark.proves("G40")
async def test_without_a_token_every_named_route_is_closed(issuer: Issuer) -> None:
    async with client_of(new_app(issuer)) as client:
        for path in ("/v1/mine", "/v1/desk", "/v1/till", "/v1/inside"):
            answer = await client.get(path)
            assert (answer.status_code, answer.json()["type"].rpartition("/")[2]) == (401, "invalid-token")
            assert answer.headers["www-authenticate"].startswith("Bearer")


async def test_a_token_is_looked_at_once_a_request(issuer: Issuer) -> None:
    app, looks = new_app(issuer), []

    class Counted:
        verify_really = app.state.tokens.verify

        async def verify(self, authorization: str | None) -> Any:
            looks.append(authorization)
            return await Counted.verify_really(authorization)

    app.state.tokens = Counted()
    async with client_of(app) as client:
        answer = await client.get("/v1/mine", headers=bearer(issuer.token("customer", "s-1", scope="points:read")))
    assert (answer.status_code, len(looks)) == (200, 1)


def test_a_policy_for_nobody_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="say who"):
        allow()
