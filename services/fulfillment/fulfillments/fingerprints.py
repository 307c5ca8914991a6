"""What is kept of a request to recognise it again: a plain hash of vouchers alone, an HMAC of whatever names somebody."""

import hashlib

from shared.secrets import lookup


class Fingerprints:
    """Makes fingerprints, 32 bytes each. A plain hash of names and telephone numbers is guessed by trying them (G49)."""

    def __init__(self, pepper: bytes) -> None:
        """The key is the pepper's child, so that no fingerprint is ever the look-up of a code."""
        self._key = lookup(pepper, "fulfillments.fingerprint")

    def of(self, body: str, *, personal: bool) -> bytes:
        """The fingerprint of a body as it was sent; `personal` says that somebody's contact is in it."""
        return lookup(self._key, body) if personal else hashlib.sha256(body.encode()).digest()
