"""Voucher codes: how they are made, written, read and kept (F3, G12).

A code is 15 random symbols and a check symbol of the same alphabet, 75 bits that nobody can guess. It is shown in groups of
four. The alphabet has no I, L, O or U: one that is typed is simply wrong.
"""

import secrets
import unicodedata
from uuid import UUID

from shared.secrets import Vault, lookup

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
RANDOM_SYMBOLS = 15
SYMBOLS = RANDOM_SYMBOLS + 1
GROUP = 4

_VALUES = {symbol: value for value, symbol in enumerate(ALPHABET)}


def new_code() -> str:
    """A fresh code, from the system's source of randomness alone."""
    body = "".join(secrets.choice(ALPHABET) for _ in range(RANDOM_SYMBOLS))
    return body + check_symbol(body)


def check_symbol(body: str) -> str:
    """The Luhn symbol modulo 32 that belongs behind these symbols; it catches one wrong symbol and most swapped neighbours."""
    size = len(ALPHABET)
    total = 0
    for position, symbol in enumerate(reversed(body)):
        value = _VALUES[symbol]
        total += sum(divmod(value * 2, size)) if position % 2 == 0 else value
    return ALPHABET[-total % size]


def normalise(typed: str) -> str:
    """What was typed or scanned, as it is kept: upper case, no spaces or hyphens, full-width letters made plain."""
    plain = unicodedata.normalize("NFKC", typed)
    return "".join(plain.split()).replace("-", "").translate(_UPPER)


_UPPER = str.maketrans("abcdefghijklmnopqrstuvwxyz", "ABCDEFGHIJKLMNOPQRSTUVWXYZ")


def grouped(code: str) -> str:
    """The code as people read it: `7K3M-…`, four symbols a group."""
    return "-".join(code[start : start + GROUP] for start in range(0, len(code), GROUP))


class CodeSafe:
    """Keeps codes: sealed for their owner's eyes, and as an HMAC by which a till's code is found."""

    def __init__(self, vault: Vault, pepper: bytes) -> None:
        self._vault = vault
        self._pepper = pepper

    def seal(self, voucher_id: UUID, code: str) -> bytes:
        """The code encrypted for this voucher's row alone."""
        return self._vault.seal(code.encode(), _place(voucher_id))

    def open(self, voucher_id: UUID, sealed: bytes) -> str:
        """The code of this voucher. Raises Unreadable when its key is gone or the value was changed or moved."""
        return self._vault.open(sealed, _place(voucher_id)).decode()

    def look_up(self, code: str) -> bytes:
        """The HMAC of a normalised code; 32 bytes."""
        return lookup(self._pepper, "code|" + code)

    def fingerprint(self, text: str) -> bytes:
        """The HMAC of a request that holds a code, so that a repeat is recognised and nothing can be read; 32 bytes."""
        return lookup(self._pepper, "request|" + text)


def _place(voucher_id: UUID) -> str:
    return f"vouchers.code_sealed|{voucher_id}"
