"""Pickup codes: eight digits, good at one branch for one parcel, kept as vouchers' codes are (F2, G12)."""

import secrets
import unicodedata
from uuid import UUID

from shared.secrets import Vault, lookup

DIGITS = 8
CANDIDATES = 4
GROUP = 4


def new_code() -> str:
    """Eight random digits, from the system's source of randomness alone."""
    return "".join(secrets.choice("0123456789") for _ in range(DIGITS))


def normalise(typed: str) -> str:
    """What was typed or scanned, as it is kept: no spaces or hyphens, full-width digits made plain."""
    return "".join(unicodedata.normalize("NFKC", typed).split()).replace("-", "")


def grouped(code: str) -> str:
    """The code as people read it: `1234 5678`."""
    return " ".join(code[start : start + GROUP] for start in range(0, len(code), GROUP))


class PickupCodeSafe:
    """Keeps pickup codes: sealed for their owner's eyes, and as an HMAC that the counter's typing is compared with."""

    def __init__(self, vault: Vault, pepper: bytes) -> None:
        self._vault = vault
        self._pepper = pepper

    def seal(self, parcel_id: UUID, code: str) -> bytes:
        """The code encrypted for this parcel's row alone."""
        return self._vault.seal(code.encode(), f"parcels.code_sealed|{parcel_id}")

    def open(self, parcel_id: UUID, sealed: bytes) -> str:
        """The code of this parcel. Raises Unreadable when its key is gone or the value was changed or moved."""
        return self._vault.open(sealed, f"parcels.code_sealed|{parcel_id}").decode()

    def look_up(self, branch: str, code: str) -> bytes:
        """The HMAC of a normalised code at a branch; 32 bytes."""
        return lookup(self._pepper, f"pickup|{branch}|{code}")
