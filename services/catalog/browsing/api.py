"""Browsing over HTTP: cached bytes with an ETag, the same for every customer."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Path, Query, Request, Response

from services.catalog.answers import NOT_MODIFIED, cached_answer, language_wanted
from services.catalog.browsing.domain import OfferQuery
from services.catalog.browsing.schemas import CampaignsView, OfferDetailView, OffersView
from services.catalog.browsing.use_cases import Browsing
from services.catalog.campaigns.words import as_tsquery
from services.catalog.workbooks.sheets import POINTS_MAX
from shared.app import new_router
from shared.errors import FieldError
from shared.hot_routes import hot
from shared.identity import Principal, allow, customers, services, staff
from shared.paging import LIMIT_DEFAULT, LIMIT_MAX
from shared.problems import InvalidInput

ROLES = ("agent", "reviewer", "supervisor", "branch", "campaign_manager", "auditor")

Reader = Annotated[
    Principal, allow(customers("catalog:read"), staff(*ROLES), services("internal"), services("campaigns:write"))
]
Lang = Annotated[str | None, Query(max_length=35, pattern=r"^[A-Za-z0-9-]+$")]
Price = Annotated[int | None, Query(ge=0, le=POINTS_MAX)]


def browsing_router(browsing: Browsing) -> APIRouter:
    """The routes."""
    router = new_router()

    @router.get("/v1/campaigns/{code}/offers", responses={200: {"model": OffersView}, **NOT_MODIFIED})
    @hot
    async def list_offers(  # noqa: PLR0913, PLR0917 - one parameter of the query each
        request: Request,
        who: Reader,  # noqa: ARG001 - the policy
        code: Annotated[str, Path(max_length=32)],
        category: Annotated[str | None, Query(max_length=32)] = None,
        price_min: Price = None,
        price_max: Price = None,
        q: Annotated[str | None, Query(max_length=100)] = None,
        cursor: Annotated[str | None, Query(max_length=400)] = None,
        limit: Annotated[int, Query(ge=1, le=LIMIT_MAX)] = LIMIT_DEFAULT,
        lang: Lang = None,
    ) -> Response:
        """Offers of a campaign by price, of a category, in a range of points, or by words in Chinese and English."""
        words = None if q is None else as_tsquery(q)
        if q is not None and words is None:
            raise InvalidInput(FieldError("query:q", "not-allowed"))
        query = OfferQuery(category, price_min, price_max, words, None, limit)
        found = await browsing.list_offers(code, query, cursor, language_wanted(request, lang))
        return cached_answer(request, found)

    @router.get("/v1/offers/{offer_id}", responses={200: {"model": OfferDetailView}, **NOT_MODIFIED})
    @hot
    async def read_offer(request: Request, who: Reader, offer_id: UUID, lang: Lang = None) -> Response:  # noqa: ARG001
        """One offer with its terms."""
        return cached_answer(request, await browsing.read_offer(offer_id, language_wanted(request, lang)))

    @router.get("/v1/campaigns", responses={200: {"model": CampaignsView}, **NOT_MODIFIED})
    async def list_campaigns(request: Request, who: Reader, lang: Lang = None) -> Response:  # noqa: ARG001
        """Campaigns that are open today."""
        return cached_answer(request, await browsing.list_campaigns(language_wanted(request, lang)))

    return router
