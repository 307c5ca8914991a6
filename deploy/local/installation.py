"""This machine's own passwords and keys: made at random once, kept in the folder of state, never in the repository."""

import base64
import os
import secrets
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from deploy.local.folders import make_folder
from deploy.postgres.provision import SERVICES, RolePasswords
from deploy.sandbox.identity.clients import CONFIDENTIAL

FILE = "installation.json"


def _password() -> str:
    return secrets.token_urlsafe(24)


def _key() -> str:
    return base64.b64encode(secrets.token_bytes(32)).decode()


class RolePair(BaseModel):
    """The passwords of a service's owner role and service role."""

    owner: str = Field(default_factory=_password, repr=False)
    service: str = Field(default_factory=_password, repr=False)


class Installation(BaseModel):
    """All secrets of one installation; keys are 32 bytes in base64. A field that an older file lacks is made when read."""

    model_config = ConfigDict(extra="allow", hide_input_in_errors=True)

    postgres_password: str = Field(default_factory=_password, repr=False)
    roles: dict[str, RolePair] = Field(default_factory=dict, repr=False)
    client_secrets: dict[str, str] = Field(default_factory=dict, repr=False)
    cursor_keys: dict[str, str] = Field(default_factory=dict, repr=False)
    signing_key: str = Field(default_factory=_key, repr=False)
    till_key: str = Field(default_factory=_key, repr=False)
    data_keys: dict[str, str] = Field(default_factory=lambda: {"1": _key()}, repr=False)
    lookup_key: str = Field(default_factory=_key, repr=False)
    voucher_keys: dict[str, str] = Field(default_factory=lambda: {"1": _key()}, repr=False)
    voucher_pepper: str = Field(default_factory=_key, repr=False)
    courier_key: str = Field(default_factory=_password, repr=False)
    carrier_secret: str = Field(default_factory=_key, repr=False)
    notifications_key: str = Field(default_factory=_password, repr=False)
    console_session_key: str = Field(default_factory=_key, repr=False)
    sandbox_key: str = Field(default_factory=_password, repr=False)

    def role_passwords(self) -> dict[str, RolePasswords]:
        """As the provisioning takes them."""
        return {name: RolePasswords(pair.owner, pair.service) for name, pair in self.roles.items()}

    def fill(self) -> None:
        """Make what is missing for the services and clients that there are."""
        for service in SERVICES:
            self.roles.setdefault(service, RolePair())
            self.cursor_keys.setdefault(service, _key())
        for client in CONFIDENTIAL:
            self.client_secrets.setdefault(client, _password())


def load_installation(state: Path) -> Installation:
    """Read this installation's secrets, or make them. Whole or not at all, whenever the power goes."""
    make_folder(state, 0o700)
    file = state / FILE
    before = file.read_text() if file.exists() else "{}"
    installation = Installation.model_validate_json(before)
    installation.fill()
    after = installation.model_dump_json(indent=2)
    if after != before:
        _write(file, after)
    return installation


def _write(file: Path, text: str) -> None:
    making = file.with_suffix(".making")
    making.unlink(missing_ok=True)
    with os.fdopen(os.open(making, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    making.replace(file)
    folder = os.open(file.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
