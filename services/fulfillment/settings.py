"""Fulfillment's settings, read from variables that begin with FULFILLMENT_."""

from typing import Annotated

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from shared.settings import Key, ServiceSettings

KeyId = Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,32}$")]


class Settings(ServiceSettings):
    """What fulfillment needs to know beside what every service does."""

    model_config = SettingsConfigDict(env_prefix="FULFILLMENT_")

    catalog_url: str
    voucher_keys: dict[KeyId, Key] = Field(min_length=1, repr=False)
    """Keys under which codes are sealed: the first seals, every one opens. JSON: {"key id": "32 bytes in base64"}."""
    voucher_pepper: Key
    """The key under which a code is found again. It cannot be changed while vouchers are alive."""
    reversal_minutes_max: int = Field(default=30, ge=1, le=24 * 60)
    """How long after its use a till may reverse it, in minutes."""
