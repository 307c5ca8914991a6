"""The catalog's settings, from the environment."""

from pydantic_settings import SettingsConfigDict

from shared.settings import ServiceSettings


class Settings(ServiceSettings):
    """All of them start with `CATALOG_`."""

    model_config = SettingsConfigDict(env_prefix="CATALOG_")
