"""What a carrier sends, and what it is told."""

from typing import Annotated

from pydantic import AwareDatetime, BaseModel, Field, StringConstraints, WithJsonSchema

from services.fulfillment.carriers.domain import CarrierEvent, EventKind, Taken
from services.fulfillment.views import Strict

SEQUENCE_MAX = 2**31 - 1
Word = Annotated[str, StringConstraints(min_length=1, max_length=64)]
Kind = Annotated[EventKind, WithJsonSchema({"type": "string", "enum": [kind.value for kind in EventKind]})]


class EventBody(Strict):
    """One thing that happened to one parcel. `sequence` rises with each event of a parcel, whenever it is sent."""

    id: Word
    tracking_number: Word
    reference: Annotated[str, StringConstraints(max_length=64)]
    sequence: int = Field(ge=1, le=SEQUENCE_MAX, strict=True)
    kind: Kind
    at: AwareDatetime
    place: Annotated[str, StringConstraints(max_length=200)]

    def as_event(self, carrier: str) -> CarrierEvent:
        """The event as the domain has it."""
        return CarrierEvent(
            carrier, self.id, self.tracking_number, self.reference, self.sequence, self.kind, self.at, self.place
        )


class TakenView(BaseModel):
    """Applied to its parcel; kept until the parcel is known or the carrier was asked; or repeated, and nothing was done."""

    id: str
    outcome: Taken
