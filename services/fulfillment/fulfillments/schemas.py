"""Bodies of the calls about fulfillments; what they are answered is in `views`."""

from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field, StringConstraints, ValidationInfo, field_validator, model_validator

from services.fulfillment.carriers.domain import Address
from services.fulfillment.fulfillments.domain import (
    E_VOUCHER,
    GOODS,
    ITEMS_MAX,
    LINES_MAX,
    QUANTITY_MAX,
    Delivery,
    Line,
    Wish,
)
from services.fulfillment.fulfillments.fingerprints import Fingerprints
from services.fulfillment.notices.domain import Contact
from services.fulfillment.parcels.domain import Reward, Way
from services.fulfillment.views import Strict, TextView
from services.fulfillment.vouchers.domain import Owner, Promise
from shared.actors import ActorBody
from shared.audit import Actor
from shared.languages import Language

VALID_DAYS_MAX = 36_500
MERCHANTS_MAX = 1_000

Code = Annotated[str, StringConstraints(min_length=1, max_length=64)]
Word = Annotated[str, StringConstraints(min_length=1, max_length=400)]
Short = Annotated[str, StringConstraints(min_length=1, max_length=100)]


class OwnerBody(Strict):
    """Whose fulfillment it is, as access tokens name the customer."""

    issuer: Word
    subject: Word


class RewardBody(Strict):
    """Which reward is handed out."""

    code: Code
    names: TextView


class VoucherBody(Strict):
    """What the vouchers of a line promise. Validity is in days of the bank; the day of issue is not counted."""

    face_value_minor: int = Field(ge=1, le=2**53, strict=True)
    currency: Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$")]
    valid_days: int = Field(ge=1, le=VALID_DAYS_MAX, strict=True)
    merchants: list[Code] = Field(min_length=1, max_length=MERCHANTS_MAX)
    terms: TextView


class LineBody(Strict):
    """So many units of one reward: e-vouchers with what they promise, or goods."""

    number: int = Field(ge=1, le=LINES_MAX, strict=True)
    quantity: int = Field(ge=1, le=QUANTITY_MAX, strict=True)
    kind: Literal["e_voucher", "goods"]
    reward: RewardBody
    voucher: VoucherBody | None = Field(default=None, validate_default=True)

    @field_validator("voucher")
    @classmethod
    def _of_its_kind(cls, voucher: VoucherBody | None, info: ValidationInfo) -> VoucherBody | None:
        if (info.data.get("kind", E_VOUCHER) == E_VOUCHER) is (voucher is None):
            raise ValueError("e-vouchers say what they promise, and goods do not")
        return voucher

    def as_line(self) -> Line:
        """A line of e-vouchers as the domain has it."""
        assert self.voucher is not None
        promise = Promise(
            reward_code=self.reward.code,
            names=self.reward.names.as_text(),
            terms=self.voucher.terms.as_text(),
            face_value_minor=self.voucher.face_value_minor,
            currency=self.voucher.currency,
            valid_days=self.voucher.valid_days,
            merchants=tuple(self.voucher.merchants),
        )
        return Line(self.number, self.quantity, promise)

    def as_reward(self) -> Reward:
        """A line of goods as the domain has it."""
        return Reward(self.number, self.quantity, self.reward.code, self.reward.names.as_text())


class ContactBody(Strict):
    """Who receives the goods, and in which language they are told."""

    name: Short
    phone: Annotated[str, StringConstraints(min_length=1, max_length=40)]
    language: Language


class AddressBody(Strict):
    """Where a courier brings them."""

    province: Short
    city: Short
    district: Short
    street: Word
    postcode: Annotated[str, StringConstraints(max_length=20)] | None = None


class DeliveryBody(Strict):
    """How all goods of a redemption reach the customer: by courier to an address, or to be collected at a branch."""

    way: Literal["courier", "pickup"]
    branch: Code | None = Field(default=None, validate_default=True)
    contact: ContactBody
    address: AddressBody | None = Field(default=None, validate_default=True)

    @field_validator("branch")
    @classmethod
    def _for_pickup(cls, branch: str | None, info: ValidationInfo) -> str | None:
        if "way" in info.data and (info.data["way"] == Way.PICKUP) is (branch is None):
            raise ValueError("pickup names its branch, and nothing else does")
        return branch

    @field_validator("address")
    @classmethod
    def _for_the_courier(cls, address: AddressBody | None, info: ValidationInfo) -> AddressBody | None:
        if "way" in info.data and (info.data["way"] == Way.COURIER) is (address is None):
            raise ValueError("the courier needs an address, and nothing else does")
        return address

    def as_delivery(self) -> Delivery:
        """The delivery as the domain has it."""
        where = self.address
        return Delivery(
            way=Way(self.way),
            contact=Contact(self.contact.name, self.contact.phone, self.contact.language),
            branch=self.branch,
            address=None
            if where is None
            else Address(where.province, where.city, where.district, where.street, where.postcode),
        )


class WishBody(Strict):
    """What one redemption asks to be handed out; `id` is the redemption's. `delivery` is there when goods are."""

    id: UUID
    customer_id: UUID
    owner: OwnerBody
    campaign: Code
    lines: list[LineBody] = Field(min_length=1, max_length=LINES_MAX)
    delivery: DeliveryBody | None = Field(default=None, validate_default=True)

    @field_validator("delivery")
    @classmethod
    def _with_goods(cls, delivery: DeliveryBody | None, info: ValidationInfo) -> DeliveryBody | None:
        lines: list[LineBody] | None = info.data.get("lines")
        if lines is not None and any(line.kind == GOODS for line in lines) is (delivery is None):
            raise ValueError("goods need a delivery, and nothing else does")
        return delivery

    @model_validator(mode="after")
    def _numbers_differ(self) -> "WishBody":
        if len({line.number for line in self.lines}) < len(self.lines):
            raise ValueError("two lines have one number")
        return self

    def as_wish(self, actor: Actor, fingerprints: Fingerprints) -> Wish:
        """The wish as the domain has it, with the fingerprint of what was sent."""
        return Wish(
            id=self.id,
            fingerprint=fingerprints.of(self.model_dump_json(exclude_unset=True), personal=self.delivery is not None),
            customer_id=self.customer_id,
            owner=Owner(self.owner.issuer, self.owner.subject),
            campaign=self.campaign,
            lines=tuple(line.as_line() for line in self.lines if line.kind == E_VOUCHER),
            actor=actor,
            goods=tuple(line.as_reward() for line in self.lines if line.kind == GOODS),
            delivery=None if self.delivery is None else self.delivery.as_delivery(),
        )


class FulfillmentsBody(Strict):
    """Accept fulfillments for many redemptions at once."""

    actor: ActorBody
    items: list[WishBody] = Field(min_length=1, max_length=ITEMS_MAX)


class CancellationBody(Strict):
    """Which redemption is cancelled."""

    id: UUID


class CancellationsBody(Strict):
    """Cancel many at once."""

    actor: ActorBody
    items: list[CancellationBody] = Field(min_length=1, max_length=ITEMS_MAX)
