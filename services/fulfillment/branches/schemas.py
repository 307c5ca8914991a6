"""Bodies and answers of the routes of branches."""

from datetime import date
from typing import Annotated

from pydantic import BaseModel, Field, StringConstraints

from services.fulfillment.branches.domain import BRANCHES_MAX, CAPACITY_MAX, Branch
from services.fulfillment.views import Strict, TextView
from shared.languages import Text

Said = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=400)]


class TextBody(Strict):
    """One text in three languages, none of them empty."""

    zh_hans: Said
    zh_hant: Said
    en: Said

    def as_text(self) -> Text:
        """The text as the domain has it."""
        return {"zh_hans": self.zh_hans, "zh_hant": self.zh_hant, "en": self.en}


class BranchBody(Strict):
    """A branch as the bank's list has it. A closed one takes no new parcels; those that are there can be collected."""

    code: Annotated[str, StringConstraints(pattern=r"^[A-Z0-9][A-Z0-9_-]{0,31}$")]
    names: TextBody
    addresses: TextBody
    phone: Annotated[str, StringConstraints(pattern=r"^\+?[0-9][0-9 ()-]{3,30}$")]
    hours: TextBody
    open: bool = Field(strict=True)
    capacity_parcels: int = Field(ge=1, le=CAPACITY_MAX, strict=True)

    def as_branch(self) -> Branch:
        """The branch as the domain has it."""
        return Branch(
            code=self.code,
            names=self.names.as_text(),
            addresses=self.addresses.as_text(),
            phone=self.phone,
            hours=self.hours.as_text(),
            open=self.open,
            capacity_parcels=self.capacity_parcels,
        )


class BranchesBody(Strict):
    """Branches to be added or changed. All of them are taken, or none."""

    items: list[BranchBody] = Field(min_length=1, max_length=BRANCHES_MAX)


class WrittenView(BaseModel):
    """How many branches were taken; the same list again is answered alike."""

    taken: int


class PlaceView(BaseModel):
    """The branch of a parcel; one that is not known any more has no more than its code."""

    code: str
    names: TextView | None
    addresses: TextView | None
    phone: str | None
    hours: TextView | None

    @classmethod
    def of(cls, code: str, branch: Branch | None) -> "PlaceView":
        """The branch as it is answered."""
        if branch is None:
            return cls(code=code, names=None, addresses=None, phone=None, hours=None)
        return cls(
            code=code,
            names=TextView.of(branch.names),
            addresses=TextView.of(branch.addresses),
            phone=branch.phone,
            hours=TextView.of(branch.hours),
        )


class OpenBranchView(BaseModel):
    """A branch at which a parcel can be collected, and the day by which one asked for now can be ready there."""

    code: str
    names: TextView
    addresses: TextView
    phone: str
    hours: TextView
    ready_by: date

    @classmethod
    def of(cls, branch: Branch, ready_by: date) -> "OpenBranchView":
        """The branch as it is answered."""
        return cls(
            code=branch.code,
            names=TextView.of(branch.names),
            addresses=TextView.of(branch.addresses),
            phone=branch.phone,
            hours=TextView.of(branch.hours),
            ready_by=ready_by,
        )


class OpenBranchesView(BaseModel):
    """The open branches by code."""

    items: list[OpenBranchView]


class BranchView(BaseModel):
    """A branch as services read it, closed ones too."""

    code: str
    names: TextView
    addresses: TextView
    phone: str
    hours: TextView
    open: bool
    capacity_parcels: int

    @classmethod
    def of(cls, branch: Branch) -> "BranchView":
        """The branch as it is answered."""
        return cls(
            code=branch.code,
            names=TextView.of(branch.names),
            addresses=TextView.of(branch.addresses),
            phone=branch.phone,
            hours=TextView.of(branch.hours),
            open=branch.open,
            capacity_parcels=branch.capacity_parcels,
        )


class BranchesView(BaseModel):
    """Every branch by code."""

    items: list[BranchView]
