"""The customer pages: finding a caller, and everything about one customer on one page."""

import asyncio
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, HTTPException, Response

from services.console.answering import Section, fulfillment_of, go_on, load, redemption_of, show
from services.console.customers.finding import TERM_CHARACTERS_MAX, kinds_of
from services.console.customers.points import account_of
from services.console.entrance import Visit, enter
from services.console.rooms import CANCELLING, FINDING

REASON_CHARACTERS_MAX = 200
UNMASKED_SECONDS = 60
PARTS_OF_PAGE = ("header", "points", "redemptions", "parcels", "vouchers", "notices")
Finder = Annotated[Visit, enter(*FINDING)]


def finding_router() -> APIRouter:
    """The routes of finding a caller."""
    router = APIRouter()

    @router.get("/customers")
    async def show_search(visit: Finder) -> Response:
        """Nothing is looked for yet."""
        return show(visit, "customers/found.html", term="", found=None)

    @router.post("/customers")
    async def find_customers(visit: Finder) -> Response:
        """Those whom the term finds. A POST, so that it stands in no address; one alone is shown at once."""
        term = visit.form.get("term", "")[:TERM_CHARACTERS_MAX]
        if not term:
            return go_on("/customers")
        found = await load(redemption_of(visit).find(kinds_of(term), term))
        people = found.content["items"] if found.content is not None else []
        if len(people) == 1:
            return go_on(f"/customers/{people[0]['customer_id']}")
        return show(visit, "customers/found.html", status=503 if found.silent else 200, term=term, found=found)

    return router


def customer_router() -> APIRouter:
    """The routes of one customer's page."""
    router = APIRouter()

    @router.get("/customers/{customer_id}")
    async def show_customer(visit: Finder, customer_id: UUID) -> Response:
        """Everything about one customer; what a silent service would tell is named, and comes by itself later."""
        works = [load(_content(visit, customer_id, name)) for name in PARTS_OF_PAGE]
        sections: dict[str, Section] = dict(zip(PARTS_OF_PAGE, await asyncio.gather(*works), strict=True))
        header = sections["header"]
        if header.refused is not None:
            raise HTTPException(404)
        return show(visit, "customers/customer.html", **_values(visit, customer_id), sections=sections, unmasked=None)

    @router.get("/customers/{customer_id}/parts/{name}")
    async def show_part(visit: Finder, customer_id: UUID, name: str, cursor: str | None = None) -> Response:
        """One section alone: to fill in what was missing, to hide again what was shown in full, or to go on to older ones."""
        if name not in PARTS_OF_PAGE:
            raise HTTPException(404)
        if not visit.is_partial and cursor is None:
            return go_on(f"/customers/{customer_id}")
        section = await load(_content(visit, customer_id, name, cursor))
        if visit.is_partial and section.silent and cursor is None and name != "header":  # which may be there in full
            return Response(status_code=204)  # what the page says of it still holds
        values = {**_values(visit, customer_id), "sections": {name: section}, "unmasked": None, "only": name}
        return show(visit, "customers/section.html", **values)

    @router.post("/customers/{customer_id}/unmasking")
    async def unmask(visit: Finder, customer_id: UUID) -> Response:
        """Name and number in full for a minute, with a reason that the service keeps."""
        reason = visit.form.get("reason", "")[:REASON_CHARACTERS_MAX]
        if not reason:
            return go_on(f"/customers/{customer_id}")
        redemption = redemption_of(visit)
        full, header = await asyncio.gather(redemption.unmask(customer_id, reason), load(redemption.customer(customer_id)))
        values = {**_values(visit, customer_id), "sections": {"header": header}, "unmasked": full, "only": "header"}
        answer = show(visit, "customers/section.html", **values)
        answer.headers["Refresh"] = f"{UNMASKED_SECONDS}; url=/customers/{customer_id}"  # without JavaScript too
        return answer

    return router


async def _content(visit: Visit, customer_id: UUID, name: str, cursor: str | None = None) -> Any:
    redemption, fulfillment = redemption_of(visit), fulfillment_of(visit)
    match name:
        case "header":
            return await redemption.customer(customer_id)
        case "points":
            return await account_of(redemption, customer_id)
        case "redemptions":
            return await redemption.redemptions(customer_id, cursor)
        case "parcels":
            return await fulfillment.parcels(customer_id)
        case "vouchers":
            return await fulfillment.vouchers(customer_id)
        case _:
            return await fulfillment.notices(customer_id)


def _values(visit: Visit, customer_id: UUID) -> dict[str, Any]:
    may_cancel = visit.session.has_role(*CANCELLING)
    return {"customer_id": str(customer_id), "may_cancel": may_cancel, "seconds": UNMASKED_SECONDS}
