"""A session's cookie: sealed, bound to its place, small enough, and over in time."""

import base64
import re
from dataclasses import asdict, replace

import pytest

from deploy.local.suite import CHECKOUT
from services.console.sessions import (
    COOKIE_BYTES_MAX,
    SESSION_PLACE,
    SIGN_IN_PLACE,
    Session,
    Sessions,
    SessionTooLarge,
    SignIn,
)

KEY, OTHER = bytes(range(32)), bytes(range(32, 64))
IDLE, MOST = 1800.0, 36_000.0


class Clock:
    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


def made(clock: Clock, *keys: bytes) -> Sessions:
    return Sessions(keys or [KEY], idle_seconds=IDLE, seconds_max=MOST, clock=clock)


def session(clock: Clock, **given: object) -> Session:
    usual = {
        "subject": "agent-1", "person": "p-1", "name": "座席 1", "roles": ("agent",), "branch": None, "access_token": "eyJ.a.b",
        "access_until": clock.now + 300, "refresh_token": "r", "mark": "m", "began_at": clock.now, "seen_at": clock.now,
    }  # fmt: skip
    return Session(**{**usual, **given})


@pytest.mark.proves("A5")
def test_what_was_sealed_opens_and_shows_nothing_of_itself() -> None:
    clock = Clock()
    sessions = made(clock)
    value = sessions.seal(session(clock))
    assert sessions.open(value) == session(clock)
    raw = base64.urlsafe_b64decode(value.partition(".")[2] + "==")
    assert b"agent" not in raw
    assert b"eyJ" not in raw
    assert sessions.seal(session(clock)) != value  # a nonce of its own each time


@pytest.mark.parametrize(
    "change", [lambda v: v[:-2], lambda v: v[:40] + ("A" if v[40] != "A" else "B") + v[41:], lambda _: "x"]
)
def test_what_was_changed_opens_nothing(change: object) -> None:
    clock = Clock()
    sessions = made(clock)
    assert sessions.open(change(sessions.seal(session(clock)))) is None


@pytest.mark.parametrize("value", [None, "", "é", "=" * 10, "A" * (COOKIE_BYTES_MAX + 1)])
def test_what_is_no_cookie_of_ours_opens_nothing(value: str | None) -> None:
    assert made(Clock()).open(value) is None


def test_the_cookie_of_a_sign_in_is_no_session_and_the_other_way_round() -> None:
    clock = Clock()
    sessions = made(clock)
    way = sessions.seal_sign_in(SignIn("s", "n", "v", "/", clock.now))
    assert sessions.open_sign_in(way) == SignIn("s", "n", "v", "/", clock.now)
    assert sessions.open(way) is None
    assert sessions.open_sign_in(sessions.seal(session(clock))) is None


@pytest.mark.parametrize(
    "content",
    [
        [], "x", {}, {"roles": None}, {"mark": None}, {"seen_at": "now"}, {"began_at": None}, {"left": 1},
        {"without": "branch"}, {"without": "roles"}, {"without": "mark"},
    ],
)  # fmt: skip
def test_a_cookie_of_another_releases_shape_is_no_session_and_no_failure(content: object) -> None:
    clock = Clock()
    sessions = made(clock)
    mine = session(clock)
    if isinstance(content, dict) and content:
        left_out = content.pop("without", None)
        content = {name: value for name, value in {**asdict(mine), **content}.items() if name != left_out}
    value = f"{mine.handle}.{sessions._sealed(SESSION_PLACE, content)}"
    assert sessions.open(value) is None
    assert sessions.open_sign_in(sessions._sealed(SIGN_IN_PLACE, content)) is None


def test_a_key_that_was_replaced_still_opens_and_one_that_was_dropped_does_not() -> None:
    clock = Clock()
    value = made(clock, KEY).seal(session(clock))
    assert made(clock, OTHER, KEY).open(value) is not None
    assert made(clock, OTHER).open(value) is None
    assert made(clock, KEY).open(made(clock, OTHER, KEY).seal(session(clock))) is None  # the first one seals


def test_it_ends_when_nobody_works_with_it_and_at_the_latest_after_hours() -> None:
    clock = Clock()
    sessions = made(clock)
    value = sessions.seal(session(clock))
    clock.now += IDLE
    assert sessions.open(value) is not None
    clock.now += 1
    assert sessions.open(value) is None
    busy = replace(session(clock), began_at=clock.now - MOST, seen_at=clock.now)
    assert sessions.open(sessions.seal(busy)) is not None
    clock.now += 1
    assert sessions.open(sessions.seal(replace(busy, seen_at=clock.now))) is None


def test_being_seen_makes_a_new_cookie_once_a_minute() -> None:
    clock = Clock()
    sessions = made(clock)
    before = session(clock)
    clock.now += 60
    assert sessions.seen(before) is before
    clock.now += 1
    assert sessions.seen(before).seen_at == clock.now


def test_a_session_that_was_signed_out_of_does_not_open_and_is_forgotten_when_it_could_not_any_more() -> None:
    clock = Clock()
    sessions = made(clock)
    mine, other = session(clock), session(clock, mark="another")
    sessions.end(mine)
    assert sessions.open(sessions.seal(mine)) is None
    assert sessions.open(sessions.seal(other)) == other
    clock.now += MOST
    busy = sessions.seal(replace(mine, seen_at=clock.now))
    sessions.end(other)
    assert sessions.open(busy) is None
    clock.now += 1
    sessions.end(session(clock, mark="a third"))
    assert not sessions.has_ended("m")  # its time is over without that


def test_every_cookie_of_a_session_begins_alike_so_that_a_balancer_keeps_it_at_one_console() -> None:
    clock = Clock()
    sessions = made(clock)
    first, second = sessions.seal(session(clock)), sessions.seal(session(clock, access_token="another"))
    other = sessions.seal(session(clock, mark="another"))
    assert first.partition(".")[0] == second.partition(".")[0] != other.partition(".")[0]
    assert sessions.open(other.partition(".")[0] + "." + first.partition(".")[2]) is None  # nobody chooses the console
    balancer = (CHECKOUT / "deploy/containers/haproxy.cfg").read_text()
    section = balancer[balancer.index("\nbackend console\n") :].split("\n\n")[0].split("\nbackend catalog")[0]
    assert "balance hash var(txn.session),field(1,.)" in section
    assert "hash-type consistent" in section
    assert {"huangou", "__Host-huangou"} == set(re.findall(r"var\(txn\.session\) req\.cook\(([^)]+)\)", section))


def test_tokens_that_fit_into_no_cookie_are_refused() -> None:
    clock = Clock()
    sessions = made(clock)
    assert len(sessions.seal(session(clock, access_token="a" * 2000))) <= COOKIE_BYTES_MAX
    with pytest.raises(SessionTooLarge):
        sessions.seal(session(clock, access_token="a" * 3000))


def test_a_form_belongs_to_its_session() -> None:
    clock = Clock()
    mine, other = session(clock), session(clock, mark="another")
    assert mine.owns_form(mine.form_token)
    assert not mine.owns_form(other.form_token)
    assert not mine.owns_form("")
    assert not mine.owns_form("é")
