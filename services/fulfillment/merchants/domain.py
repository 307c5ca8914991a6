"""What fulfillment knows of a merchant, and which tills are let in."""

from dataclasses import dataclass
from datetime import date

from shared.errors import DomainError
from shared.languages import Text


class TillNotAdmitted(DomainError):
    """This terminal, or its merchant, is not admitted to vouchers today."""


@dataclass(frozen=True, slots=True)
class Merchant:
    """A merchant of the catalog. The contract covers both of its days, to 23:59:59 in the bank's time zone."""

    code: str
    names: Text
    accepts_vouchers: bool
    contract_from: date
    contract_until: date
    terminals: tuple[str, ...]


@dataclass(frozen=True, slots=True, order=True)
class Till:
    """A till as its token names it."""

    merchant: str
    terminal: str


@dataclass(frozen=True, slots=True)
class Directory:
    """Every merchant that the catalog knows, and the tag under which the catalog knows this list again."""

    etag: str | None
    merchants: tuple[Merchant, ...]
