"""Secrets, settings, logs, languages, cursors, days: small things that others lean on."""

import base64
import json
import logging
import subprocess
import sys
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
import structlog
from pydantic_settings import SettingsConfigDict

from shared.clock import SetClock, bank_day, day_starts_at
from shared.errors import DomainError
from shared.failpoints import FailpointHit, arm, failpoint, known
from shared.languages import choose
from shared.paging import Cursors
from shared.problems import InvalidInput
from shared.secrets import Unreadable, Vault, lookup, new_key
from shared.settings import Key, ServiceSettings, load

ROOT = Path(__file__).parents[3]
SHANGHAI = ZoneInfo("Asia/Shanghai")


# Secrets


def test_what_is_sealed_opens_at_its_place_alone() -> None:
    vault = Vault({"2026": new_key()})
    sealed = vault.seal("密码".encode(), "vouchers.code|1")
    assert vault.open(sealed, "vouchers.code|1").decode() == "密码"
    assert "密码".encode() not in sealed
    with pytest.raises(Unreadable):
        vault.open(sealed, "vouchers.code|2")


def test_the_same_value_is_never_sealed_the_same_twice() -> None:
    vault = Vault({"2026": new_key()})
    assert len({vault.seal(b"x", "p") for _ in range(100)}) == 100


def test_a_new_key_seals_and_the_old_one_still_opens() -> None:
    old, new = new_key(), new_key()
    sealed = Vault({"old": old}).seal(b"x", "p")
    both = Vault({"new": new, "old": old})
    assert both.open(sealed, "p") == b"x"
    assert Vault({"new": new}).open(both.seal(b"y", "p"), "p") == b"y"
    with pytest.raises(Unreadable):
        Vault({"new": new}).open(sealed, "p")
    with pytest.raises(Unreadable):
        Vault({"old": new}).open(sealed, "p")


def test_a_changed_or_shortened_value_does_not_open_and_is_never_another_error() -> None:
    vault = Vault({"k": new_key()})
    sealed = vault.seal(b"value", "p")
    for place in range(len(sealed)):
        with pytest.raises(Unreadable):
            vault.open(sealed[:place] + bytes([sealed[place] ^ 1]) + sealed[place + 1 :], "p")
        with pytest.raises(Unreadable):
            vault.open(sealed[:place], "p")


def test_a_value_is_found_again_under_its_own_key_only() -> None:
    key = new_key()
    assert lookup(key, "13812345678") == lookup(key, "13812345678")
    assert lookup(key, "13812345678") != lookup(new_key(), "13812345678")
    assert lookup(key, "13812345678") != lookup(key, "13812345679")


# Settings

GOOD = {
    "TINY_DATABASE_URL": "postgresql://tiny:pa55word@127.0.0.1:5432/tiny",
    "TINY_ISSUER": "https://identity.test",
    "TINY_JWKS_URL": "https://identity.test/keys",
    "TINY_TOKEN_URL": "https://identity.test/token",
    "TINY_CLIENT_ID": "tiny",
    "TINY_CLIENT_SECRET": "s3cret-of-tiny",
    "TINY_CURSOR_KEY": base64.b64encode(b"c" * 32).decode(),
    "TINY_DATA_KEYS": json.dumps({"k1": base64.b64encode(b"d" * 32).decode()}),
}


class TinySettings(ServiceSettings):
    """Settings of a service that is none."""

    model_config = SettingsConfigDict(env_prefix="TINY_")
    data_keys: dict[str, Key]


def set_environment(monkeypatch: pytest.MonkeyPatch, **changes: str | None) -> None:
    for name, value in {**GOOD, **changes}.items():
        monkeypatch.setenv(name, value) if value is not None else monkeypatch.delenv(name, raising=False)


def test_good_settings_are_read_and_shown_without_their_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    set_environment(monkeypatch, TINY_BANK_TIMEZONE="Asia/Hong_Kong")
    settings = load(TinySettings)
    assert settings.cursor_key == b"c" * 32
    assert settings.data_keys == {"k1": b"d" * 32}
    assert settings.bank_timezone == ZoneInfo("Asia/Hong_Kong")
    for secret in ("pa55word", "s3cret", "cccc", GOOD["TINY_CURSOR_KEY"]):
        assert secret not in repr(settings)
        assert secret not in str(settings)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("TINY_DATABASE_URL", None),
        ("TINY_DATABASE_URL", "pa55word@nowhere"),
        ("TINY_DATABASE_URL", "mysql://tiny:pa55word@127.0.0.1/tiny"),
        ("TINY_DATABASE_URL", "postgresql://tiny:pa55word@127.0.0.1:port/tiny"),
        ("TINY_CURSOR_KEY", "dG9vIHNob3J0"),
        ("TINY_CURSOR_KEY", "s3cret is no base64"),
        ("TINY_DATA_KEYS", '{"k1": "s3cret'),
        ("TINY_DATA_KEYS", '{"k1": "dG9vIHNob3J0"}'),
        ("TINY_BANK_TIMEZONE", "Asia/Nowhere"),
        ("TINY_BANK_TIMEZONE", "../../etc/passwd"),
        ("TINY_LOG_LEVEL", "LOUD"),
        ("TINY_POOL_SIZE", "0"),
        ("TINY_WORKER_PORT", "99999"),
        ("TINY_PGBOUNCER", "perhaps"),
    ],
)
def test_a_bad_setting_stops_the_start_with_a_sentence_and_no_secret(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str, value: str | None
) -> None:
    set_environment(monkeypatch, **{name: value})
    with pytest.raises(SystemExit) as caught:
        load(TinySettings)
    said = capsys.readouterr().err
    assert caught.value.code == 2
    assert name in said or name.removeprefix("TINY_").lower() in said
    assert "Traceback" not in said
    for secret in ("pa55word", "s3cret", "dG9vIHNob3J0", "cccc"):
        assert secret not in said


# Logs


def lines_of(program: str) -> list[dict[str, object]]:
    """What a process that configured its logs writes."""
    start = "from shared.logs import configure_logs; configure_logs('INFO', service='tiny')\n"
    done = subprocess.run([sys.executable, "-c", start + program], capture_output=True, text=True, cwd=ROOT, check=True)
    return [json.loads(line) for line in done.stderr.splitlines()]


SECRETS = [
    "eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiJhIn0.c2ln",
    "13812345678",
    "+8613812345678",
    "+85298765432",
    "7KQ2-M4XP-9ABC-DEFG",
    "7KQ2M4XP9ABCDEFG",
    "postgresql://tiny:pa55word@",
]


def test_what_looks_secret_is_blanked_wherever_it_stands() -> None:
    program = f"""
import logging, structlog
from psycopg import errors
log = structlog.get_logger()
for secret in {SECRETS!r}:
    log.info("met " + secret, where=["x", secret], deep={{"a": {{"b": secret}}}}, number=13812345678, ok=7)
    logging.getLogger("library").warning("met %s", secret)
    try:
        raise ValueError(secret)
    except ValueError:
        log.exception("failed")
        logging.getLogger("library").exception("failed")
log.info("named", password="hunter2", api_token="hunter2", phone="hunter2", inner={{"client_secret": "hunter2"}})
try:
    raise errors.UniqueViolation("duplicate key\\nDETAIL:  Key (name)=(hunter2) already exists.")
except Exception:
    log.exception("failed")
"""
    lines = lines_of(program)
    text = json.dumps(lines, ensure_ascii=False)
    assert len(lines) == 4 * len(SECRETS) + 2
    for secret in (*SECRETS, "pa55word", "hunter2"):
        assert secret not in text
    assert "ValueError" in text
    assert "duplicate key" in text


def test_every_line_is_json_and_says_whose_it_is_and_when() -> None:
    program = """
import asyncio, structlog, logging, threading
structlog.get_logger().info("here", dish="面条")
threading.Thread(target=lambda: logging.getLogger("library").warning("there")).start()
structlog.get_logger().debug("not at this level")
"""
    lines = lines_of(program)
    assert [line["event"] for line in lines] == ["here", "there"]
    assert all(line["service"] == "tiny" and line["level"] and line["timestamp"] for line in lines)
    assert lines[0]["dish"] == "面条"


def test_configuring_logs_here_is_left_to_processes() -> None:
    assert logging.getLogger().level != logging.DEBUG
    assert not structlog.contextvars.get_contextvars()


# Languages, cursors, days


@pytest.mark.parametrize(
    ("header", "language"),
    [
        (None, "zh_hans"),
        ("", "zh_hans"),
        ("*", "zh_hans"),
        ("en", "en"),
        ("EN-us", "en"),
        ("zh-Hant-TW", "zh_hant"),
        ("zh-Hans-HK", "zh_hans"),
        ("zh-MO", "zh_hant"),
        ("fr;q=1, en;q=0.2, zh-TW;q=0.5", "zh_hant"),
        ("en;q=0, zh-TW;q=0.1", "zh_hant"),
        ("en;q=0", "zh_hans"),
        ("en;q=nonsense, zh-TW;q=0.1", "zh_hant"),
        ("en , zh-TW", "en"),
        (", ;q=1,,-", "zh_hans"),
    ],
)
def test_the_best_of_our_languages_is_chosen(header: str | None, language: str) -> None:
    assert choose(header) == language


def test_a_cursor_of_another_list_or_key_is_refused() -> None:
    cursors = Cursors(b"k" * 32)
    made = cursors.make("redemptions|c-1", ["2026-11-11", "id"])
    assert cursors.read("redemptions|c-1", made) == ["2026-11-11", "id"]
    assert cursors.read("redemptions|c-1", None) is None
    for other, scope in ((cursors, "redemptions|c-2"), (Cursors(b"j" * 32), "redemptions|c-1")):
        with pytest.raises(InvalidInput):
            other.read(scope, made)


def test_the_banks_day_begins_at_its_midnight() -> None:
    late = datetime(2026, 11, 11, 15, 59, 59, tzinfo=UTC)
    assert bank_day(late, SHANGHAI) == date(2026, 11, 11)
    assert bank_day(late + timedelta(seconds=1), SHANGHAI) == date(2026, 11, 12)
    assert day_starts_at(date(2026, 11, 12), SHANGHAI) == late + timedelta(seconds=1)


@pytest.mark.anyio
async def test_a_clock_set_by_hand_stands_until_it_is_moved() -> None:
    clock = SetClock(datetime(2026, 1, 1, tzinfo=UTC))
    before = await clock.now(None)
    clock.advance(timedelta(days=1))
    assert await clock.now(None) - before == timedelta(days=1)


@pytest.mark.anyio
async def test_failpoints_do_nothing_until_they_are_armed() -> None:
    await failpoint("here.before")
    assert "here.before" in known
    arm(here__before="raise", here__after="sleep=0.001")
    with pytest.raises(FailpointHit):
        await failpoint("here.before")
    await failpoint("here.after")
    arm()
    await failpoint("here.before")


def test_the_message_of_an_error_is_what_its_class_says() -> None:
    class Closed(DomainError):
        """The shop is closed.

        More for the reader of the code.
        """

    class Silent(DomainError): ...

    assert str(Closed(since=5)) == "The shop is closed."
    assert Closed(since=5).facts == {"since": 5}
    assert str(Silent()) == "Silent"
