"""Bodies and answers of the routes of parcels."""

from datetime import date, datetime
from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, Field, SecretStr, StringConstraints

from services.fulfillment.branches.schemas import PlaceView
from services.fulfillment.parcels.domain import Event, Way
from services.fulfillment.parcels.use_cases import Shown
from services.fulfillment.parcels.words import STATE_WORDS, event_words
from services.fulfillment.views import RewardView, Strict, TextView

CODE_CHARACTERS_MAX = 64
REASON_CHARACTERS_MAX = 200


class HandoverBody(Strict):
    """The pickup code that the customer shows: spaces and hyphens do not matter."""

    code: Annotated[SecretStr, Field(min_length=1, max_length=CODE_CHARACTERS_MAX)]


class LossBody(Strict):
    """Why a parcel is taken for lost: what was looked for, and where."""

    reason: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=REASON_CHARACTERS_MAX)]


class ContentView(BaseModel):
    """So many units of one reward, by a line of the redemption."""

    line: int
    quantity: int
    reward: RewardView


class EventView(BaseModel):
    """One thing that happened to a parcel, in words; `place` where the carrier says one."""

    at: datetime
    kind: str
    words: TextView
    place: str | None

    @classmethod
    def of(cls, way: Way, event: Event) -> "EventView":
        """The event as it is answered."""
        return cls(at=event.at, kind=event.kind, words=TextView.of(event_words(way, event.kind)), place=event.place)


class RecipientView(BaseModel):
    """Whom a parcel is for: a masked name, and the district to which a courier brings it. Null once it was erased."""

    name: str | None
    district: str | None


class ParcelView(BaseModel):
    """A parcel with its timeline. `ready_until` is the last day on which it can be collected; no code is among this."""

    id: UUID
    fulfillment_id: UUID
    way: str
    state: str
    state_words: TextView
    state_at: datetime
    accepted_at: datetime
    contents: list[ContentView]
    recipient: RecipientView
    carrier: str | None
    tracking_number: str | None
    branch: PlaceView | None
    expected_on: date | None
    ready_until: date | None
    events: list[EventView]

    @classmethod
    def of(cls, shown: Shown) -> "ParcelView":
        """The parcel as it is answered."""
        parcel = shown.parcel
        contents = [
            ContentView(line=x.line, quantity=x.quantity, reward=RewardView(code=x.code, names=TextView.of(x.names)))
            for x in shown.rewards
        ]
        return cls(
            id=parcel.id,
            fulfillment_id=parcel.fulfillment_id,
            way=parcel.way,
            state=parcel.state,
            state_words=TextView.of(STATE_WORDS[parcel.way, parcel.state]),
            state_at=parcel.state_at,
            accepted_at=parcel.accepted_at,
            contents=contents,
            recipient=RecipientView(name=shown.recipient, district=shown.district),
            carrier=parcel.carrier,
            tracking_number=parcel.tracking_number,
            branch=None if parcel.branch is None else PlaceView.of(parcel.branch, shown.branch),
            expected_on=parcel.expected_on,
            ready_until=parcel.ready_until,
            events=[EventView.of(parcel.way, event) for event in shown.events],
        )


class ParcelsView(BaseModel):
    """Parcels, newest first; `next` is the `cursor` of the following page, null at the end."""

    items: list[ParcelView]
    next: str | None


class PickupCodeView(BaseModel):
    """The code that the customer shows at the counter, in groups and as a QR code."""

    code: str
    qr_svg: str
