"""Values that are secret at rest: AES-GCM under a key with an id, bound to the place where they stand; look-ups by HMAC.

An encrypted value is `key id length (1 byte) | key id | nonce (12) | ciphertext and tag`. The place (table, column and row id)
is authenticated with it, so a value that was copied to another row does not open (G49).
"""

import hmac
import os
from collections.abc import Mapping

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

NONCE_BYTES = 12
KEY_BYTES = 32


class Unreadable(Exception):
    """A value does not open: its key is gone, or it was changed or moved."""


class Vault:
    """Seals with the current key, opens with any that it was given."""

    def __init__(self, keys: Mapping[str, bytes]) -> None:
        """The first key is the current one."""
        self._current = next(iter(keys))
        self._keys = {key_id: AESGCM(key) for key_id, key in keys.items()}

    def seal(self, plain: bytes, place: str) -> bytes:
        """Encrypt for one place, such as `vouchers.code|<id>`."""
        nonce = os.urandom(NONCE_BYTES)
        name = self._current.encode()
        return bytes([len(name)]) + name + nonce + self._keys[self._current].encrypt(nonce, plain, place.encode())

    def open(self, sealed: bytes, place: str) -> bytes:
        """Decrypt. Raises Unreadable."""
        length = sealed[0] if sealed else 0
        key = self._keys.get(sealed[1 : 1 + length].decode("ascii", "replace"))
        rest = sealed[1 + length :]
        if key is None:
            raise Unreadable("the key is not known")
        try:
            return key.decrypt(rest[:NONCE_BYTES], rest[NONCE_BYTES:], place.encode())
        except (InvalidTag, ValueError):  # ValueError: what is left is no nonce
            raise Unreadable("changed, moved, or another key") from None


def new_key() -> bytes:
    """A fresh key."""
    return os.urandom(KEY_BYTES)


def lookup(key: bytes, value: str) -> bytes:
    """The HMAC under which a secret value is found again without being readable."""
    return hmac.digest(key, value.encode(), "sha256")
