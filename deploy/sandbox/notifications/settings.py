"""What the sandbox's gateway must be told: its keys, and where it remembers."""

from pathlib import Path

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class NotificationsSettings(BaseSettings):
    """Read from variables such as SANDBOX_NOTIFICATIONS_KEY."""

    model_config = SettingsConfigDict(env_prefix="SANDBOX_NOTIFICATIONS_")

    key: SecretStr = Field(min_length=16)
    """By which senders are let in."""
    sandbox_key: SecretStr = Field(min_length=16)
    """By which whoever tries things out is let in."""
    state_file: Path | None = None
    """Where it remembers messages; in memory alone without it."""
