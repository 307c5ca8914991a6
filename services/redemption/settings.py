"""Redemption's settings, from variables that begin with REDEMPTION_."""

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from shared.settings import Key, ServiceSettings


class Settings(ServiceSettings):
    """What redemption needs to know beside what every service does."""

    model_config = SettingsConfigDict(env_prefix="REDEMPTION_")

    catalog_url: str
    fulfillment_url: str
    data_keys: dict[str, Key] = Field(min_length=1, repr=False)
    """The keys that seal the customers' data keys, by id; the first one is used for new customers."""
    lookup_key: Key
    """The key of the HMAC under which telephone numbers are found."""
    grace_days: int = Field(default=30, ge=0, le=3650)
    """How long released points of a lot that expired meanwhile stay good, in bank days after the day of the release."""
