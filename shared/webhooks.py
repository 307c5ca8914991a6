"""Messages that outside systems send us, signed by a shared secret (Standard Webhooks 1.0.0, symmetric signatures `v1`).

The public library reads the machine's clock and the body as text, and stumbles over a header that is no signature; here the
raw bytes are checked, and the instant is handed back, since only the database's clock may judge it (G35).
"""

import base64
import binascii
import hmac
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta

from shared.errors import DomainError

ID, TIMESTAMP, SIGNATURE = "webhook-id", "webhook-timestamp", "webhook-signature"
TOLERANCE_SECONDS = 300
SIGNATURES_READ_MAX = 8
"""A sender that changes its key signs with both; nobody needs more than a few."""

_SECONDS = re.compile(r"[0-9]{1,11}", re.ASCII)


class SignatureInvalid(DomainError):
    """The signature does not fit what was sent, or is too old."""


def sign(secret: bytes, message_id: str, at: datetime, body: bytes) -> dict[str, str]:
    """The headers of a message: its id, its time in seconds, and the HMAC-SHA256 of all three."""
    seconds = str(int(at.timestamp()))
    return {ID: message_id, TIMESTAMP: seconds, SIGNATURE: "v1," + _as_text(_digest(secret, message_id, seconds, body))}


def signed_at(secrets: Sequence[bytes], headers: Mapping[str, str], body: bytes) -> datetime:
    """The instant for which the message is signed by one of the secrets. Raises SignatureInvalid when it is by none."""
    message_id, seconds = headers.get(ID, ""), headers.get(TIMESTAMP, "")
    if not message_id or not _SECONDS.fullmatch(seconds):
        raise SignatureInvalid
    expected = [_digest(secret, message_id, seconds, body) for secret in secrets]
    # every pair is compared: how long it takes says nothing of which one fits
    fits = [hmac.compare_digest(ours, theirs) for theirs in _signatures(headers.get(SIGNATURE, "")) for ours in expected]
    if not any(fits):
        raise SignatureInvalid
    return datetime.fromtimestamp(int(seconds), UTC)


def require_recent(at: datetime, now: datetime) -> None:
    """Raises SignatureInvalid when the message is more than five minutes away from now, so that a captured one is no use."""
    if abs(now - at) > timedelta(seconds=TOLERANCE_SECONDS):
        raise SignatureInvalid


def _digest(secret: bytes, message_id: str, seconds: str, body: bytes) -> bytes:
    return hmac.digest(secret, f"{message_id}.{seconds}.".encode("latin-1", "replace") + body, "sha256")


def _signatures(header: str) -> Iterator[bytes]:
    """The signatures of version 1 in a header such as `v1,K5oZ… v1,9w4X… v1a,…`."""
    for part in header.split(" ")[:SIGNATURES_READ_MAX]:
        version, _, text = part.partition(",")
        if version == "v1":
            try:
                yield base64.b64decode(text, validate=True)
            except (binascii.Error, ValueError):
                continue


def _as_text(digest: bytes) -> str:
    return base64.b64encode(digest).decode()
