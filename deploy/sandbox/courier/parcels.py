"""The courier's parcels: one a reference, with a tracking number, and what happened to it."""

import hashlib
import json
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints

from deploy.sandbox.doors import Body, Refusal
from deploy.sandbox.journal import Journal
from shared.ids import new_id

Kind = Literal["picked_up", "in_transit", "out_for_delivery", "delivered", "delivery_failed", "returned", "lost"]
ENDS = ("delivered", "returned", "lost")
NEXT: dict[Kind | None, Kind] = {
    None: "picked_up",
    "picked_up": "in_transit",
    "in_transit": "out_for_delivery",
    "out_for_delivery": "delivered",
    "delivery_failed": "out_for_delivery",
}
"""What happens to a parcel by itself, after what happened last; a delivery that failed is tried again."""
CITIES_MAX = 40

Word = Annotated[str, StringConstraints(min_length=1, max_length=100)]


class RecipientBody(Body):
    """Who takes the parcel in."""

    name: Word
    phone: Annotated[str, StringConstraints(pattern=r"^\+?[0-9 ()-]{5,20}$")]


class AddressBody(Body):
    """Where it goes."""

    province: Word
    city: Annotated[str, StringConstraints(min_length=1, max_length=CITIES_MAX)]
    district: Word
    street: Annotated[str, StringConstraints(min_length=1, max_length=300)]
    postcode: Annotated[str, StringConstraints(max_length=20)] | None = None


class ContentBody(Body):
    """What is in it."""

    name: Annotated[str, StringConstraints(min_length=1, max_length=400)]
    quantity: Annotated[int, Field(ge=1, le=1000, strict=True)]


class ParcelBody(Body):
    """A parcel to be brought."""

    recipient: RecipientBody
    address: AddressBody
    contents: Annotated[list[ContentBody], Field(min_length=1, max_length=20)]


@dataclass
class Parcel:
    """What the courier keeps: not whom it is for, only that it was asked for the same thing."""

    reference: str
    tracking_number: str
    city: str
    fingerprint: str
    asked: int = 1
    """How often it was asked for."""
    moved_at: float = 0.0
    events: list[dict[str, Any]] = field(default_factory=list)

    @property
    def is_at_its_end(self) -> bool:
        """Whether nothing will happen to it any more."""
        return bool(self.events) and self.events[-1]["kind"] in ENDS

    def next_kind(self) -> Kind | None:
        """What happens next by itself; nothing at its end."""
        return NEXT.get(self.events[-1]["kind"] if self.events else None)


class Parcels:
    """All parcels, kept in a file."""

    def __init__(self, file: Path | None, carrier: str, clock: Callable[[], float]) -> None:
        """Reads what was kept. `clock` tells the time in seconds since 1970."""
        self.carrier = carrier
        self._journal = Journal(file, self._follow)
        self._clock = clock
        self._by_reference: dict[str, Parcel] = {}
        self._by_number: dict[str, Parcel] = {}
        self.untold: dict[str, dict[str, Any]] = {}
        """Events of which nobody knows that they were heard, by id."""
        self.catch_up()

    def catch_up(self) -> None:
        """Know what a process beside this one wrote."""
        with self._journal.turn():
            pass

    def all(self) -> list[Parcel]:
        """Every parcel by its tracking number, so that one that had two would be seen twice."""
        return list(self._by_number.values())

    def find(self, reference: str) -> Parcel:
        """The parcel of a reference. Raises Refusal."""
        self.catch_up()
        if reference not in self._by_reference:
            raise Refusal(404, "parcel-not-found")
        return self._by_reference[reference]

    def find_tracked(self, tracking_number: str) -> Parcel:
        """The parcel under a tracking number. Raises Refusal."""
        self.catch_up()
        if tracking_number not in self._by_number:
            raise Refusal(404, "parcel-not-found")
        return self._by_number[tracking_number]

    def book(self, reference: str, asked: ParcelBody) -> tuple[Parcel, bool]:
        """The parcel of a reference, and whether it is new. Raises Refusal for another parcel under a known reference."""
        fingerprint = hashlib.sha256(json.dumps(asked.model_dump(), sort_keys=True).encode()).hexdigest()
        with self._journal.turn():
            known = self._by_reference.get(reference)
            if known is None:
                city, at = asked.address.city, self._clock()
                self._journal.write(booked=reference, tracking_number=_number(), city=city, fingerprint=fingerprint, at=at)
                return self._by_reference[reference], True
        if known.fingerprint != fingerprint:
            raise Refusal(409, "reference-reused")
        known.asked += 1
        return known, False

    def add_event(self, parcel: Parcel, kind: Kind, place: str | None = None) -> dict[str, Any]:
        """Something happens to a parcel. Raises Refusal when it is at its end."""
        with self._journal.turn():
            if parcel.is_at_its_end:
                raise Refusal(409, "parcel-at-its-end")
            at = self._clock()
            event = {
                "id": str(new_id()),
                "tracking_number": parcel.tracking_number,
                "reference": parcel.reference,
                "sequence": len(parcel.events) + 1,
                "kind": kind,
                "at": datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds"),
                "place": _place(kind, parcel.city) if place is None else place,
            }
            self._journal.write(event=event, at=at)
        return event

    def mark_told(self, event_id: str) -> None:
        """An event was heard, or is never to be."""
        with self._journal.turn():
            if event_id in self.untold:
                self._journal.write(told=event_id)

    def answer(self, parcel: Parcel) -> dict[str, Any]:
        """What is said of a booking, the same each time."""
        return {"reference": parcel.reference, "tracking_number": parcel.tracking_number, "carrier": self.carrier}

    def _follow(self, change: dict[str, Any]) -> None:
        if "booked" in change:
            parcel = Parcel(change["booked"], change["tracking_number"], change["city"], change["fingerprint"])
            parcel.moved_at = change["at"]
            self._by_reference[parcel.reference] = self._by_number[parcel.tracking_number] = parcel
        elif "event" in change:
            event = change["event"]
            moved = self._by_number[event["tracking_number"]]
            moved.events.append(event)
            moved.moved_at = change["at"]
            self.untold[event["id"]] = event
        else:
            self.untold.pop(change["told"], None)


def _number() -> str:
    """A tracking number that is not yet anybody's: were one parcel booked twice, it would have two."""
    return f"SX{secrets.randbelow(10**12):012}"


def _place(kind: Kind, city: str) -> str:
    places = {
        "picked_up": "仓库 Warehouse",
        "in_transit": f"{city}转运中心 {city} hub",
        "lost": "",
        "returned": "仓库 Warehouse",
    }
    return places.get(kind, f"{city}营业点 {city} depot")
