"""A variable that was forgotten stops the start: nothing that is called, and no key, has a default (X6)."""

import pytest
from pydantic import ValidationError

from services.fulfillment.settings import Settings
from shared.settings import load

KEY = "cHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHA="
TOLD = {
    "DATABASE_URL": "postgresql://service:x@127.0.0.1:1/fulfillment", "ISSUER": "https://identity.test",
    "JWKS_URL": "https://identity.test/keys", "TOKEN_URL": "https://identity.test/token", "CLIENT_ID": "fulfillment",
    "CLIENT_SECRET": "x", "CURSOR_KEY": KEY, "CATALOG_URL": "https://catalog.test", "REDEMPTION_URL": "https://redemption.test",
    "VOUCHER_KEYS": f'{{"2026": "{KEY}"}}', "VOUCHER_PEPPER": KEY, "COURIER_URL": "https://courier.test",
    "COURIER_KEY": "a key", "NOTIFICATIONS_URL": "https://notifications.test", "NOTIFICATIONS_KEY": "a key",
}  # fmt: skip


@pytest.fixture(autouse=True)
def told(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in TOLD.items():
        monkeypatch.setenv(f"FULFILLMENT_{name}", value)


def test_what_is_told_is_enough() -> None:
    assert load(Settings).courier_key.get_secret_value() == "a key"


@pytest.mark.parametrize("name", ["REDEMPTION_URL", "COURIER_URL", "COURIER_KEY", "NOTIFICATIONS_URL", "NOTIFICATIONS_KEY"])
def test_without_it_nothing_starts(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.delenv(f"FULFILLMENT_{name}")
    with pytest.raises((ValidationError, SystemExit)):
        load(Settings)


@pytest.mark.parametrize("name", ["COURIER_KEY", "NOTIFICATIONS_KEY"])
def test_an_empty_key_is_none(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(f"FULFILLMENT_{name}", "")
    with pytest.raises((ValidationError, SystemExit)):
        load(Settings)
