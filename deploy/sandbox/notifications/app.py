"""The gateway's HTTP side: a message under its sender's id is taken once; what was taken can be looked at."""

import re
from typing import Annotated, Any, Literal

from pydantic import StringConstraints
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from deploy.sandbox.doors import Body, Refusal, livez, locked, read, refuse
from deploy.sandbox.faults import Faults, Faulty
from deploy.sandbox.journal import Journal
from deploy.sandbox.notifications.settings import NotificationsSettings
from shared.ids import new_id
from shared.settings import load

TELEPHONE = re.compile(r"\+?[0-9 ()-]{5,20}")
SHOWN_MAX = 1_000


class MessageBody(Body):
    """A message to a telephone."""

    to: Annotated[str, StringConstraints(max_length=100)]
    language: Literal["zh-Hans", "zh-Hant", "en"]
    kind: Annotated[str, StringConstraints(min_length=1, max_length=64)]
    text: Annotated[str, StringConstraints(min_length=1, max_length=2_000)]


class Gateway:
    """The routes and what they share."""

    def __init__(self, settings: NotificationsSettings) -> None:
        self.faults = Faults()
        self.messages: dict[str, dict[str, Any]] = {}
        self._journal = Journal(settings.state_file, self._follow)

    async def put(self, request: Request) -> Response:
        """PUT /v1/messages/{id}: the same message again is no second one."""
        asked = await read(request, MessageBody)
        if not TELEPHONE.fullmatch(asked.to):
            raise Refusal(422, "number-unusable")
        message_id = request.path_params["id"]
        with self._journal.turn():
            is_new = message_id not in self.messages
            if is_new:
                self._journal.write(id=message_id, reference=f"SM{new_id().hex}", **asked.model_dump())
        known = self.messages[message_id]
        if MessageBody.model_validate({name: known[name] for name in MessageBody.model_fields}) != asked:
            raise Refusal(422, "id-reused")
        return JSONResponse({"id": message_id, "reference": known["reference"]}, 201 if is_new else 200)

    async def list_messages(self, request: Request) -> Response:
        """GET /sandbox/messages?to=: what was taken, the newest last; at most a thousand."""
        to = request.query_params.get("to")
        with self._journal.turn():
            pass  # a process beside this one may have taken some
        found = [message for message in self.messages.values() if to is None or message["to"] == to]
        return JSONResponse({"items": found[-SHOWN_MAX:]})

    def _follow(self, message: dict[str, Any]) -> None:
        self.messages[message["id"]] = message


def build(settings: NotificationsSettings) -> Starlette:
    """The gateway as an ASGI application."""
    gateway = Gateway(settings)
    key, sandbox_key = settings.key.get_secret_value(), settings.sandbox_key.get_secret_value()
    routes = [
        Route("/v1/messages/{id}", locked(key, gateway.put), methods=["PUT"]),
        Route("/sandbox/messages", locked(sandbox_key, gateway.list_messages), methods=["GET"]),
        Route("/sandbox/faults", locked(sandbox_key, gateway.faults.show), methods=["GET"]),
        Route("/sandbox/faults", locked(sandbox_key, gateway.faults.change), methods=["PUT"]),
        Route("/livez", livez),
    ]
    app = Starlette(
        routes=routes,
        middleware=[Middleware(Faulty, faults=gateway.faults)],
        exception_handlers={Refusal: refuse},
    )
    app.state.gateway = gateway
    return app


def create() -> Starlette:
    """The gateway as the environment describes it."""
    return build(load(NotificationsSettings))
