"""The console's settings, from variables that begin with CONSOLE_."""

from typing import Literal, Self
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from shared.settings import Key

LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


class Settings(BaseSettings):
    """What the console needs to know. It has no database."""

    model_config = SettingsConfigDict(env_prefix="CONSOLE_")

    url: str = Field(pattern=r"^https?://[^/?#@\s]+$")
    """Where browsers find the console. Its pages answer to this host alone; plain http is taken on loopback only."""
    issuer: str
    authorize_url: str
    """Where browsers are sent to sign in."""
    token_url: str
    jwks_url: str
    end_session_url: str | None = None
    """Where browsers are sent to sign out there too; without it signing out ends the console's session alone."""
    revoke_url: str | None = None
    client_id: str = "console"
    client_secret: SecretStr
    scope: str = "openid"
    """What is asked for at signing in; some providers give a refresh token for `offline_access` only."""
    session_key: Key
    """Seals the session cookies."""
    session_keys_before: list[Key] = Field(default_factory=list, repr=False)
    """Earlier keys: what they sealed still opens. Leave one here for as long as a session may last, then drop it."""
    session_idle_minutes_max: int = Field(default=30, ge=1, le=720)
    session_hours_max: int = Field(default=10, ge=1, le=24)
    catalog_url: str
    redemption_url: str
    fulfillment_url: str
    bank_timezone: ZoneInfo = ZoneInfo("Asia/Shanghai")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    otlp_endpoint: str | None = None

    @field_validator("bank_timezone", mode="before")
    @classmethod
    def _zone(cls, value: object) -> object:
        try:
            return ZoneInfo(value) if isinstance(value, str) else value
        except (ValueError, OSError, KeyError):
            raise ValueError("there is no such time zone") from None

    @model_validator(mode="after")
    def _cookies_are_safe(self) -> Self:
        if not self.is_secure and self.host not in LOOPBACK:
            raise ValueError("CONSOLE_URL must be https unless it is on loopback: cookies would travel in the clear")
        return self

    @property
    def is_secure(self) -> bool:
        """Whether browsers reach the console by https."""
        return self.url.startswith("https://")

    @property
    def host(self) -> str:
        """The host name in the console's address."""
        return urlsplit(self.url).hostname or ""
