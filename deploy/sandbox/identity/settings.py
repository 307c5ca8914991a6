"""What the sandbox's identity provider must be told: its address, its key, and its clients' secrets."""

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from shared.settings import Key


class IdentitySettings(BaseSettings):
    """Read from variables such as SANDBOX_IDENTITY_ISSUER."""

    model_config = SettingsConfigDict(env_prefix="SANDBOX_IDENTITY_")

    issuer: str = Field(pattern=r"^https?://[^/?#]+$")
    signing_key: Key
    """The seed of the Ed25519 key, kept by the installation, so that tokens outlive a restart."""
    till_key: Key
    """Every till's secret is derived from it, so any merchant's till can be used without being listed."""
    client_secrets: dict[str, SecretStr]
    """By client id, for the confidential clients in `clients.py`."""
    hosts: list[str] = Field(default_factory=list)
    """Names beside its issuer's and loopback's to which it answers: those by which other containers know it."""
    audience: str = "huangou"
    token_seconds: int = Field(default=300, ge=1, le=600)

    @field_validator("client_secrets")
    @classmethod
    def _long_enough(cls, value: dict[str, SecretStr]) -> dict[str, SecretStr]:
        if any(len(secret.get_secret_value()) < 16 for secret in value.values()):
            raise ValueError("a client's secret has at least 16 characters")
        return value
