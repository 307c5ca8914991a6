"""What does not add up in the books of the three services, how old it is, and who mends it."""

from typing import Annotated

from fastapi import APIRouter, Response

from services.console.answering import load, redemption_of, show
from services.console.entrance import Visit, enter
from services.console.rooms import RECONCILING


def break_router() -> APIRouter:
    """The route."""
    router = APIRouter()

    @router.get("/breaks")
    async def list_breaks(visit: Annotated[Visit, enter(*RECONCILING)], cursor: str | None = None) -> Response:
        """Those that are open, the newest first."""
        return show(visit, "breaks/list.html", breaks=await load(redemption_of(visit).breaks(cursor)))

    return router
