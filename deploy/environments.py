"""What the processes of the suite are told: the variables from which they read their settings, wherever they run.

One machine and the containers differ in where things are, and in nothing else; `Places` says where.
"""

import json
import os
from pathlib import Path
from typing import Protocol

from deploy.local.installation import Installation
from deploy.postgres.provision import SERVICES

CARRIER = "sandbox-express"
"""The code of the sandbox's courier."""
PACE_SECONDS = 20
"""How long a parcel of the sandbox stays where it is, so that one can watch it go; HUANGOU_COURIER_PACE_SECONDS changes it."""

PREPARING_SECONDS = 60
"""How long a parcel is prepared, and can be cancelled, where one tries things out; HUANGOU_PREPARING_SECONDS changes it."""


class Places(Protocol):
    """Where the processes reach each other."""

    @property
    def issuer(self) -> str:
        """The identity provider as tokens name it and as browsers reach it."""

    @property
    def console(self) -> str:
        """The console as browsers reach it."""

    def url(self, name: str) -> str:
        """The address of an API or of a part of the sandbox: `catalog`, `identity`, …"""

    def database_url(self, service: str, kind: str) -> str:
        """The address of a service's database for one of its roles: `owner` or `service`."""

    def worker_port(self, service: str) -> int:
        """The port of a worker's health and metrics."""


def service_environment(service: str, places: Places, secrets: Installation) -> dict[str, str]:
    """For a service's API and worker."""
    identity = places.url("identity")
    common = {
        "DATABASE_URL": places.database_url(service, "service"),
        "ISSUER": places.issuer,
        "JWKS_URL": f"{identity}/jwks",
        "TOKEN_URL": f"{identity}/token",
        "CLIENT_ID": service,
        "CLIENT_SECRET": secrets.client_secrets[service],
        "CURSOR_KEY": secrets.cursor_keys[service],
        "WORKER_PORT": str(places.worker_port(service)),
    }
    own: dict[str, dict[str, str]] = {
        "catalog": {},
        "redemption": {
            "CATALOG_URL": places.url("catalog"),
            "FULFILLMENT_URL": places.url("fulfillment"),
            "DATA_KEYS": json.dumps(secrets.data_keys),
            "LOOKUP_KEY": secrets.lookup_key,
        },
        "fulfillment": {
            "CATALOG_URL": places.url("catalog"),
            "REDEMPTION_URL": places.url("redemption"),
            "VOUCHER_KEYS": json.dumps(secrets.voucher_keys),
            "VOUCHER_PEPPER": secrets.voucher_pepper,
            "PREPARING_SECONDS": os.environ.get("HUANGOU_PREPARING_SECONDS", str(PREPARING_SECONDS)),
            "COURIER_URL": places.url("courier"),
            "COURIER_KEY": secrets.courier_key,
            "CARRIER_SECRETS": json.dumps({CARRIER: [secrets.carrier_secret]}),
            "NOTIFICATIONS_URL": places.url("notifications"),
            "NOTIFICATIONS_KEY": secrets.notifications_key,
        },
    }
    return {f"{service.upper()}_{name}": value for name, value in (common | own[service]).items()}


def console_environment(places: Places, secrets: Installation) -> dict[str, str]:
    """For the console. Browsers go to the provider at its own address, the console itself by the way that programs take."""
    identity = places.url("identity")
    told = {
        "URL": places.console,
        "ISSUER": places.issuer,
        "AUTHORIZE_URL": f"{places.issuer}/authorize",
        "END_SESSION_URL": f"{places.issuer}/end-session",
        "TOKEN_URL": f"{identity}/token",
        "JWKS_URL": f"{identity}/jwks",
        "REVOKE_URL": f"{identity}/revoke",
        "CLIENT_ID": "console",
        "CLIENT_SECRET": secrets.client_secrets["console"],
        "SESSION_KEY": secrets.console_session_key,
        **{f"{service.upper()}_URL": places.url(service) for service in SERVICES},
    }
    return {f"CONSOLE_{name}": value for name, value in told.items()}


def identity_environment(places: Places, secrets: Installation) -> dict[str, str]:
    """For the sandbox's identity provider."""
    return {
        "SANDBOX_IDENTITY_ISSUER": places.issuer,
        "SANDBOX_IDENTITY_SIGNING_KEY": secrets.signing_key,
        "SANDBOX_IDENTITY_TILL_KEY": secrets.till_key,
        "SANDBOX_IDENTITY_CLIENT_SECRETS": json.dumps(secrets.client_secrets),
    }


def courier_environment(places: Places, secrets: Installation, memory: Path) -> dict[str, str]:
    """For the sandbox's courier, which remembers its parcels in a folder."""
    return {
        "SANDBOX_COURIER_KEY": secrets.courier_key,
        "SANDBOX_COURIER_SANDBOX_KEY": secrets.sandbox_key,
        "SANDBOX_COURIER_CARRIER": CARRIER,
        "SANDBOX_COURIER_WEBHOOK_URL": f"{places.url('fulfillment')}/v1/carriers/{CARRIER}/events",
        "SANDBOX_COURIER_WEBHOOK_SECRET": secrets.carrier_secret,
        "SANDBOX_COURIER_PACE_SECONDS": os.environ.get("HUANGOU_COURIER_PACE_SECONDS", str(PACE_SECONDS)),
        "SANDBOX_COURIER_STATE_FILE": str(memory / "courier.jsonl"),
    }


def notifications_environment(secrets: Installation, memory: Path) -> dict[str, str]:
    """For the sandbox's gateway for messages, which remembers them in a folder."""
    return {
        "SANDBOX_NOTIFICATIONS_KEY": secrets.notifications_key,
        "SANDBOX_NOTIFICATIONS_SANDBOX_KEY": secrets.sandbox_key,
        "SANDBOX_NOTIFICATIONS_STATE_FILE": str(memory / "notifications.jsonl"),
    }
