"""Fulfillment's settings, read from variables that begin with FULFILLMENT_."""

from typing import Annotated

from pydantic import Field, SecretStr
from pydantic_settings import SettingsConfigDict

from shared.settings import Key, ServiceSettings

KeyId = Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,32}$")]
CarrierCode = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,31}$")]
OurKey = Annotated[SecretStr, Field(min_length=1)]
SECRETS_OF_A_CARRIER_MAX = 2


class Settings(ServiceSettings):
    """What fulfillment needs to know beside what every service does."""

    model_config = SettingsConfigDict(env_prefix="FULFILLMENT_")

    catalog_url: str
    redemption_url: str
    voucher_keys: dict[KeyId, Key] = Field(min_length=1, repr=False)
    """Keys under which codes are sealed: the first seals, every one opens. JSON: {"key id": "32 bytes in base64"}."""
    voucher_pepper: Key
    """The key under which a code, and a request with a delivery, is found again. It cannot be changed while vouchers or parcels
    are alive."""
    data_keys: dict[KeyId, Key] | None = Field(default=None, min_length=1, repr=False)
    """Keys under which contacts and addresses of parcels are sealed, like `voucher_keys`; where absent, those."""
    reversal_minutes_max: int = Field(default=30, ge=1, le=24 * 60)
    """How long after its use a till may reverse it, in minutes."""

    preparing_seconds: int = Field(default=1800, ge=0, le=30 * 86_400)
    """How long after its acceptance a parcel is sent on its way; until then it can be cancelled."""
    transfer_days: int = Field(default=3, ge=0, le=60)
    """In how many days a parcel reaches a branch that has room; a full branch moves the day and refuses nothing."""
    pickup_days: int = Field(default=14, ge=1, le=365)
    """How many days a parcel waits at its branch; the day on which it came is not counted."""
    reminder_days: int = Field(default=3, ge=0, le=60)
    """How many days before the last one the customer is reminded."""

    courier_url: str
    courier_key: OurKey
    """By which the courier knows us. Without a default, as the addresses: a variable that was forgotten stops the start."""
    carrier_secrets: dict[CarrierCode, Annotated[list[Key], Field(min_length=1, max_length=SECRETS_OF_A_CARRIER_MAX)]] = Field(
        default_factory=dict, repr=False
    )
    """The keys by which each carrier signs. JSON: {"carrier": ["32 bytes in base64", "the former, while it changes"]}."""
    notifications_url: str
    notifications_key: OurKey
