"""What the sandbox's courier must be told: its keys, whom to tell, and how fast its parcels move."""

from pathlib import Path

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from shared.settings import Key


class CourierSettings(BaseSettings):
    """Read from variables such as SANDBOX_COURIER_KEY."""

    model_config = SettingsConfigDict(env_prefix="SANDBOX_COURIER_")

    key: SecretStr = Field(min_length=16)
    """By which senders of parcels are let in."""
    sandbox_key: SecretStr = Field(min_length=16)
    """By which whoever tries things out is let in."""
    carrier: str = "sandbox-express"
    webhook_url: str = Field(pattern=r"^https?://")
    webhook_secret: Key
    pace_seconds: float = Field(default=0.0, ge=0, le=86_400)
    """How long a parcel stays where it is before the next event comes by itself; 0: events come on demand only."""
    state_file: Path | None = None
    """Where it remembers its parcels; in memory alone without it."""
