"""The catalog, as fulfillment asks it: for merchants and their terminals."""

from datetime import date

from pydantic import BaseModel

from services.fulfillment.merchants.domain import Directory, Merchant
from shared.http_client import ServiceClient

MERCHANTS = "/internal/v1/merchants"


class _Names(BaseModel):
    zh_hans: str
    zh_hant: str
    en: str


class _Terminal(BaseModel):
    code: str


class _Merchant(BaseModel):
    """What fulfillment reads of a merchant; the catalog says more."""

    code: str
    names: _Names
    accepts_vouchers: bool
    contract_from: date
    contract_until: date
    terminals: list[_Terminal]


class _Merchants(BaseModel):
    items: list[_Merchant]


class CatalogMerchants:
    """The merchants of the catalog over HTTP."""

    def __init__(self, client: ServiceClient) -> None:
        self._client = client

    async def read_merchants(self, etag: str | None) -> Directory | None:
        """The whole list, or None when the tag still names it. Raises NeighbourUnavailable when it cannot be had."""
        answer = await self._client.send("GET", MERCHANTS, headers={"If-None-Match": etag} if etag else {})
        if answer.status_code == 304:
            return None
        found = _Merchants.model_validate_json(answer.content)
        merchants = tuple(
            Merchant(
                code=merchant.code,
                names={"zh_hans": merchant.names.zh_hans, "zh_hant": merchant.names.zh_hant, "en": merchant.names.en},
                accepts_vouchers=merchant.accepts_vouchers,
                contract_from=merchant.contract_from,
                contract_until=merchant.contract_until,
                terminals=tuple(terminal.code for terminal in merchant.terminals),
            )
            for merchant in found.items
        )
        return Directory(answer.headers.get("etag"), merchants)
