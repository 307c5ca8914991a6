"""What the processes of the suite are told: the variables from which they read their settings, wherever they run.

One machine and the containers differ in where things are, and in nothing else; `Places` says where.
"""

import json
from typing import Protocol

from deploy.local.installation import Installation


class Places(Protocol):
    """Where the processes reach each other."""

    @property
    def issuer(self) -> str:
        """The identity provider as tokens name it and as browsers reach it."""

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
            "VOUCHER_KEYS": json.dumps(secrets.voucher_keys),
            "VOUCHER_PEPPER": secrets.voucher_pepper,
        },
    }
    return {f"{service.upper()}_{name}": value for name, value in (common | own[service]).items()}


def identity_environment(places: Places, secrets: Installation) -> dict[str, str]:
    """For the sandbox's identity provider."""
    return {
        "SANDBOX_IDENTITY_ISSUER": places.issuer,
        "SANDBOX_IDENTITY_SIGNING_KEY": secrets.signing_key,
        "SANDBOX_IDENTITY_TILL_KEY": secrets.till_key,
        "SANDBOX_IDENTITY_CLIENT_SECRETS": json.dumps(secrets.client_secrets),
    }
