"""Identifiers: UUIDs that sort by the time they were made."""

from uuid import UUID

from uuid_utils.compat import uuid7


def new_id() -> UUID:
    """A fresh UUIDv7: new rows land together at the end of an index, and no database has to hand numbers out."""
    return uuid7()
