"""Who of our customers is calling, and whose data they may see: their own, and nobody can tell the rest from nothing (G39)."""

from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from services.redemption.customers import store
from services.redemption.customers.domain import Customer
from services.redemption.parts import Parts
from shared.identity import Principal
from shared.problems import NotFound


async def customer_of(parts: Parts, who: Principal) -> Customer:
    """The customer behind a token. Raises UnknownCustomer."""
    known = parts.customers_seen.get((who.issuer, who.subject))
    if known is not None:
        return known
    return parts.customers_seen.remember((who.issuer, who.subject), await parts.customers.submit((who.issuer, who.subject)))


async def require_reader(parts: Parts, conn: AsyncConnection, who: Principal, customer_id: UUID, what: str) -> Customer:
    """The customer whose data is about to be read, as `require_owner` has it; a look of staff is on record in this commit."""
    customer = await require_owner(conn, who, customer_id)
    await parts.audit.look(conn, parts.clock, who, customer_id, what)
    return customer


async def require_owner(conn: AsyncConnection, who: Principal, customer_id: UUID) -> Customer:
    """The customer, when the caller may see them: staff admitted by the route, or the customer. Raises NotFound."""
    customer = (await store.find_by_ids(conn, [customer_id])).get(customer_id)
    if customer is None:
        raise NotFound
    if who.kind == "customer" and (customer.issuer, customer.subject) != (who.issuer, who.subject):
        raise NotFound
    return customer
