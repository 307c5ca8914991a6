"""The sandbox's courier and gateway for messages in this process: the real applications, reached without a socket."""

import base64
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx

from deploy.sandbox.courier import app as courier_app
from deploy.sandbox.courier.settings import CourierSettings
from deploy.sandbox.notifications import app as notifications_app
from deploy.sandbox.notifications.settings import NotificationsSettings

CARRIER = "sandbox-express"
CARRIER_KEY = b"c" * 32
CARRIER_SECRET = base64.b64encode(CARRIER_KEY).decode()
COURIER_KEY, NOTIFICATIONS_KEY, SANDBOX_KEY = "courier-key-of-tests", "notifications-key-of-tests", "sandbox-key-of-tests"
COURIER_URL, NOTIFICATIONS_URL = "http://courier.test", "http://notifications.test"
FULFILLMENT_SETTINGS: Mapping[str, Any] = {
    "courier_url": COURIER_URL,
    "courier_key": COURIER_KEY,
    "carrier_secrets": {CARRIER: [CARRIER_SECRET]},
    "notifications_url": NOTIFICATIONS_URL,
    "notifications_key": NOTIFICATIONS_KEY,
}
"""What fulfillment must be told to speak with them."""


class Sandboxed:
    """One application of the sandbox, and the hand that tries things out."""

    def __init__(self, app: Any) -> None:
        self.app = app
        self.transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
        headers = {"Authorization": f"Bearer {SANDBOX_KEY}"}
        self.hand = httpx.AsyncClient(transport=self.transport, base_url="http://sandbox.test", headers=headers)

    async def fault(self, **faults: Any) -> None:
        """Switch faults on or off."""
        answer = await self.hand.put("/sandbox/faults", json=faults)
        assert answer.status_code == 200, answer.text

    async def see(self, path: str, **query: Any) -> list[dict[str, Any]]:
        """What it has."""
        answer = await self.hand.get(f"/sandbox/{path}", params=query)
        assert answer.status_code == 200, answer.text
        found: list[dict[str, Any]] = answer.json()["items"]
        return found


class Courier(Sandboxed):
    """The courier. Nothing is told by itself: `tell` sends the webhooks that are due."""

    def __init__(self, listener: httpx.AsyncBaseTransport | None = None, **settings: Any) -> None:
        """`listener` is where fulfillment hears webhooks; without it nobody does."""
        usual: dict[str, Any] = {
            "key": COURIER_KEY,
            "sandbox_key": SANDBOX_KEY,
            "webhook_url": f"http://fulfillment.test/v1/carriers/{CARRIER}/events",
            "webhook_secret": CARRIER_SECRET,
        }
        self.listener = listener or httpx.MockTransport(lambda _: httpx.Response(503))
        self.seconds = 0.0
        app = courier_app.build(
            CourierSettings(**{**usual, **settings}), http=httpx.AsyncClient(transport=_To(self)), clock=self._time
        )
        super().__init__(app)
        self.courier: courier_app.Courier = app.state.courier

    def _time(self) -> float:
        return courier_app.time.time() + self.seconds

    async def happen(self, tracking_number: str, *kinds: str) -> list[dict[str, Any]]:
        """Something happens to a parcel; nobody is told yet."""
        events = []
        for kind in kinds:
            answer = await self.hand.post(f"/sandbox/parcels/{tracking_number}/events", json={"kind": kind})
            assert answer.status_code == 201, answer.text
            events.append(answer.json())
        return events

    def know(self, told: Mapping[str, Any]) -> None:
        """The carrier has an event in its books, told to nobody by itself."""
        self.courier.parcels.find_tracked(told["tracking_number"]).events.append(dict(told))

    async def tell(self) -> int:
        """Send every webhook that is due, as often as it is due now."""
        total = 0
        while sent := await self.courier.teller.send_due():
            total += sent
        return total


class _To(httpx.AsyncBaseTransport):
    """To whoever listens to a courier now."""

    def __init__(self, courier: Courier) -> None:
        self._courier = courier

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """A webhook."""
        return await self._courier.listener.handle_async_request(request)


class Notifications(Sandboxed):
    """The gateway for messages."""

    def __init__(self, state_file: Path | None = None) -> None:
        settings = NotificationsSettings(key=NOTIFICATIONS_KEY, sandbox_key=SANDBOX_KEY, state_file=state_file)  # type: ignore[arg-type]
        super().__init__(notifications_app.build(settings))


class Outside(httpx.AsyncBaseTransport):
    """The network to both, by host name; `others` takes every other call."""

    def __init__(
        self,
        courier: Courier | None = None,
        notifications: Notifications | None = None,
        others: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self.courier, self.notifications = courier or Courier(), notifications or Notifications()
        self._others = others

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """To whom it is for."""
        found = {"courier.test": self.courier.transport, "notifications.test": self.notifications.transport}.get(
            request.url.host, self._others
        )
        if found is None:
            raise httpx.ConnectError("nobody listens", request=request)
        return await found.handle_async_request(request)
