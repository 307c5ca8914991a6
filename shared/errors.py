"""The root of every error that the domain can raise."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class FieldError:
    """One thing wrong with what the caller sent: where it is, a stable code, and the facts a sentence needs."""

    field: str
    code: str
    facts: Mapping[str, Any] | None = None


class DomainError(Exception):
    """Something the domain does not allow."""

    def __init__(self, *fields: FieldError, **facts: Any) -> None:
        """Keep the facts of the refusal; the message is the docstring of the error's class."""
        self.fields = fields
        self.facts = facts
        super().__init__((type(self).__doc__ or type(self).__name__).strip().splitlines()[0])
