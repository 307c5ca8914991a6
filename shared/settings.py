"""Settings: read once from the environment, validated, passed down. A bad value stops the start with a sentence."""

import base64
import sys
from typing import Annotated, Literal, TypeVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsError
from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

LEASE_SECONDS = 30.0


class SecretBytes(bytes):
    """Bytes that do not show themselves."""

    def __repr__(self) -> str:
        """Nothing of what they are."""
        return "SecretBytes(…)"

    __str__ = __repr__


def _key(value: object) -> object:
    """Thirty-two bytes from base64, as every key of ours is written down."""
    if isinstance(value, str):
        value = base64.b64decode(value, validate=True)
    if isinstance(value, bytes) and len(value) != 32:
        raise ValueError("a key is 32 bytes, written in base64")
    return value


Key = Annotated[bytes, BeforeValidator(_key), AfterValidator(SecretBytes)]


class ServiceSettings(BaseSettings):
    """What every service needs to know. Each subclass sets its own `env_prefix`."""

    database_url: SecretStr
    issuer: str
    audience: str = "huangou"
    jwks_url: str
    token_url: str
    client_id: str
    client_secret: SecretStr
    cursor_key: Key
    bank_timezone: ZoneInfo = ZoneInfo("Asia/Shanghai")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    pool_size: int = Field(default=8, ge=1, le=64)
    pgbouncer: bool = False
    otlp_endpoint: str | None = None
    worker_port: int | None = Field(default=None, ge=1, le=65535)
    worker_host: str = "127.0.0.1"
    """Where the worker's health and metrics are answered; beyond loopback only within a network of its own."""
    task_lease_seconds: float = Field(default=LEASE_SECONDS, ge=1, le=600)
    """How long whoever works on a task has it to itself; longer than any step. After a crash the next one waits for its end."""

    @field_validator("bank_timezone", mode="before")
    @classmethod
    def _zone(cls, value: object) -> object:
        try:
            return ZoneInfo(value) if isinstance(value, str) else value
        except (ZoneInfoNotFoundError, OSError):
            raise ValueError("there is no such time zone") from None

    @field_validator("database_url")
    @classmethod
    def _database_address(cls, value: SecretStr) -> SecretStr:
        try:
            url = make_url(value.get_secret_value())
        except (ArgumentError, ValueError):
            url = None
        if url is None or not url.drivername.startswith("postgresql") or not url.host or not url.database:
            raise ValueError("an address looks like postgresql://user:password@host:port/database")
        return value


S = TypeVar("S", bound=BaseSettings)


def load(kind: type[S]) -> S:
    """Read the settings or stop the process with one sentence per bad value; secrets are never printed."""
    try:
        return kind()
    except ValidationError as error:
        prefix = kind.model_config.get("env_prefix", "")
        for problem in error.errors(include_input=False, include_url=False):
            name = prefix + "_".join(str(part) for part in problem["loc"]).upper()
            sys.stderr.write(f"{name}: {problem['msg']}\n")
        raise SystemExit(2) from None
    except SettingsError as error:  # a value that should be JSON is not; the message names the field alone
        sys.stderr.write(f"{kind.model_config.get('env_prefix', '')}…: {error}\n")
        raise SystemExit(2) from None
