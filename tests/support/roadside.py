"""A courier and a gateway for messages on a socket, for programs that are killed: they forget nothing and never die."""

import json
import threading
import uuid
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.support.outside import CARRIER


@dataclass
class Roadside:
    """What both of them know. The same reference is the same parcel, the same id the same message."""

    server: ThreadingHTTPServer | None = None
    parcels: dict[str, dict[str, Any]] = field(default_factory=dict)
    messages: dict[str, dict[str, Any]] = field(default_factory=dict)
    refuses: set[str] = field(default_factory=set)
    """References that the courier does not take."""

    @property
    def url(self) -> str:
        """Of both."""
        assert self.server is not None
        return f"http://127.0.0.1:{self.server.server_address[1]}"

    def happens(self, reference: str, kind: str) -> dict[str, Any]:
        """Something happens to a parcel; the event as the courier tells of it in a message."""
        parcel = self.parcels[reference]
        event = {
            "id": str(uuid.uuid4()), "sequence": len(parcel["events"]) + 1, "kind": kind, "at": "2026-11-01T08:00:00Z",
            "place": "a depot",
        }  # fmt: skip
        parcel["events"].append(event)
        return {**event, "tracking_number": parcel["tracking_number"], "reference": reference}

    def close(self) -> None:
        """Nobody answers any more."""
        assert self.server is not None
        self.server.shutdown()
        self.server.server_close()

    def put(self, kind: str, reference: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """A parcel is booked, or a message handed over."""
        if kind == "messages":
            self.messages.setdefault(reference, body)
            return 200, {"reference": f"M-{reference}"}
        if reference in self.refuses:
            return 422, {"type": "https://courier.test/not-ours"}
        new = {"reference": reference, "tracking_number": f"SX{uuid.uuid4().hex[:12]}", "carrier": CARRIER, "events": []}
        return 201, self.parcels.setdefault(reference, new)

    def get(self, reference: str) -> tuple[int, dict[str, Any]]:
        """How a parcel goes."""
        found = self.parcels.get(reference)
        return (404, {}) if found is None else (200, found)


def serve_roadside() -> Roadside:
    """Both, at one address."""
    roadside = Roadside()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer(*roadside.get(self.path.rpartition("/")[2]))

        def do_PUT(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            _, _, kind, reference = self.path.split("/")
            self._answer(*roadside.put(kind, reference, body))

        def _answer(self, status: int, body: dict[str, Any]) -> None:
            sent = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(sent)))
            self.end_headers()
            self.wfile.write(sent)

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    roadside.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=roadside.server.serve_forever, daemon=True).start()
    return roadside
