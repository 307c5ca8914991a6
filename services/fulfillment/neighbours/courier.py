"""The courier, as fulfillment asks it: to bring a parcel, and how it goes. It is no service of ours and knows us by a key."""

from typing import Annotated, TypeVar

import httpx
from pydantic import AwareDatetime, BaseModel, Field, StringConstraints, ValidationError

from services.fulfillment.carriers.domain import Booked, Booking, CarrierEvent, EventKind, Followed
from shared.http_client import FixedKey, OutcomeUnknown, Refused, ServiceClient

Word = Annotated[str, StringConstraints(min_length=1, max_length=64)]
EVENTS_MAX = 1_000
T = TypeVar("T", bound=BaseModel)


class _Booked(BaseModel):
    reference: Word
    tracking_number: Word
    carrier: Word


class _Event(BaseModel):
    id: Word
    sequence: int = Field(ge=1, le=2**31 - 1)
    kind: EventKind
    at: AwareDatetime
    place: Annotated[str, StringConstraints(max_length=200)]


class _Followed(_Booked):
    events: list[_Event] = Field(max_length=EVENTS_MAX)


class Courier:
    """The courier over HTTP. Our reference is the parcel's id: the same one again is the same parcel and the same answer."""

    def __init__(self, client: ServiceClient) -> None:
        """`courier_at` makes the client."""
        self._client = client

    async def book(self, reference: str, parcel: Booking) -> Booked:
        """Have a parcel fetched. Raises NotSent, OutcomeUnknown (ask again: it is the same request) or Refused."""
        body = {
            "recipient": {"name": parcel.recipient.name, "phone": parcel.recipient.phone},
            "address": {
                "province": parcel.address.province,
                "city": parcel.address.city,
                "district": parcel.address.district,
                "street": parcel.address.street,
                "postcode": parcel.address.postcode,
            },
            "contents": [{"name": content.name, "quantity": content.quantity} for content in parcel.contents],
        }
        return _booked(reference, _read(_Booked, await self._client.put(f"/v1/parcels/{reference}", body)))

    async def look(self, reference: str) -> Followed | None:
        """What the courier says of a parcel, or None when it was never booked. Raises NotSent, OutcomeUnknown or Refused."""
        try:
            answer = await self._client.get(f"/v1/parcels/{reference}")
        except Refused as refused:
            if refused.status == 404:
                return None
            raise
        found = _read(_Followed, answer)
        booked = _booked(reference, found)
        events = tuple(
            CarrierEvent(
                carrier=booked.carrier,
                id=event.id,
                tracking_number=booked.tracking_number,
                reference=reference,
                sequence=event.sequence,
                kind=event.kind,
                at=event.at,
                place=event.place,
                confirmed=True,
            )
            for event in found.events
        )
        return Followed(booked, events)


def courier_at(url: str, key: str, http: httpx.AsyncClient) -> Courier:
    """The courier at an address. `http` is a client of its own, so that a slow courier holds up nobody else."""
    return Courier(ServiceClient("courier", url, FixedKey(key), http))


def _read(kind: type[T], answer: object) -> T:
    try:
        return kind.model_validate(answer)
    except ValidationError as error:  # whatever was done, this answer does not say it
        raise OutcomeUnknown from error


def _booked(reference: str, found: _Booked) -> Booked:
    if found.reference != reference:  # an answer to something else says nothing of this
        raise OutcomeUnknown
    return Booked(found.reference, found.tracking_number, found.carrier)
