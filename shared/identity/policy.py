"""Which callers a route lets in. A route that does not say stops the start (G40)."""

from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Any

from fastapi import Depends, FastAPI, Request
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute

from shared.identity.principal import Kind, Principal
from shared.problems import InsufficientScope


@dataclass(frozen=True)
class Grant:
    """One group of callers: their kind, and the scope or one of the roles that they must have."""

    kind: Kind
    scope: str | None = None
    roles: frozenset[str] = frozenset()

    def admits(self, who: Principal) -> bool:
        """Whether this grant lets the caller in."""
        return (
            who.kind == self.kind
            and (self.scope is None or self.scope in who.scopes)
            and (not self.roles or bool(self.roles & who.roles))
        )


def customers(scope: str) -> Grant:
    """Customers whose token has the scope. Whose data they see is the use case's business: their own."""
    return Grant("customer", scope=scope)


def staff(*roles: str) -> Grant:
    """Staff with any of the roles."""
    return Grant("staff", roles=frozenset(roles))


def merchants(scope: str) -> Grant:
    """Merchants' tills whose token has the scope."""
    return Grant("merchant", scope=scope)


def services(scope: str) -> Grant:
    """Other services and systems of the bank whose token has the scope."""
    return Grant("service", scope=scope)


class Policy:
    """A dependency that verifies the caller's token and admits it by the first grant that fits."""

    def __init__(self, grants: tuple[Grant, ...]) -> None:
        """No grants: open to anyone, without a token."""
        self.grants = grants

    async def __call__(self, request: Request) -> Principal | None:
        """The caller, whom the route may have admitted already. Raises InvalidToken or InsufficientScope."""
        known: tuple[Policy, Principal] | None = getattr(request.state, "admitted", None)
        return known[1] if known is not None and known[0] is self else await self.admit(request)

    async def admit(self, request: Request) -> Principal | None:
        """The caller, found out here. Raises InvalidToken or InsufficientScope.

        A route asks this before it reads a byte of the body (`shared.strict_json`); what it finds serves the dependency too.
        """
        if not self.grants:
            return None
        who: Principal = await request.app.state.tokens.verify(request.headers.get("authorization"))
        for grant in self.grants:
            if grant.admits(who):
                request.state.admitted = (self, who)
                return who
        raise InsufficientScope


class SignedPolicy(Policy):
    """Admits by a signature over the body instead of a token, for senders who are no principal of the identity provider."""

    def __init__(self, verify: Callable[[Request], Awaitable[None]], senders: str) -> None:
        """`verify` raises when the request is not signed as it must be; `senders` says in words who they are."""
        super().__init__(())
        self.senders = senders
        self._verify = verify

    async def __call__(self, request: Request) -> None:
        """Nobody in particular: whatever a sender may say stands in what was signed, so the body has to be read."""
        await self._verify(request)


def allow(*grants: Grant) -> Any:
    """Declare who may call: `who: Annotated[Principal, allow(customers("points:read"), staff("agent"))]`."""
    if not grants:
        raise ValueError("say who may call; for everybody use allow_anyone()")
    return Depends(Policy(grants))


def allow_anyone() -> Any:
    """Declare a route open to everybody: `dependencies=[allow_anyone()]`."""
    return Depends(Policy(()))


def allow_signed(verify: Callable[[Request], Awaitable[None]], senders: str) -> Any:
    """Declare a route for signed messages: `dependencies=[allow_signed(signatures.verify, "carriers")]`.

    Such a route reads its body by `shared.strict_json.read_as`, after this, so that what nobody signed is not even parsed.
    """
    return Depends(SignedPolicy(verify, senders))


def policy_of(route: APIRoute) -> Policy | None:
    """The policy that a route declares."""
    for call in _calls(route.dependant):
        if isinstance(call, Policy):
            return call
    return None


def refuse_routes_without_policy(app: FastAPI) -> None:
    """Stop the start when a route does not say who may call it."""
    silent = [
        str(getattr(route, "path", route))
        for route in app.routes
        if not isinstance(route, APIRoute) or policy_of(route) is None  # of another kind of route nobody can say who may call
    ]
    if silent:
        raise RuntimeError(f"these routes declare no policy: {', '.join(silent)}")


def api_routes(app: FastAPI) -> list[APIRoute]:
    """Every route of ours; `shared.app` puts them into the application one by one, so none hides in a router."""
    return [route for route in app.routes if isinstance(route, APIRoute)]


def _calls(dependant: Dependant) -> Iterator[Any]:
    for child in dependant.dependencies:
        yield child.call
        yield from _calls(child)
