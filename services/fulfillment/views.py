"""Small pieces that bodies and answers of several features share."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, StringConstraints

from shared.languages import Text


class Strict(BaseModel):
    """A body in which a field that is not known is an error (G42)."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class TextView(Strict):
    """One text in three languages."""

    zh_hans: Annotated[str, StringConstraints(max_length=4000)]
    zh_hant: Annotated[str, StringConstraints(max_length=4000)]
    en: Annotated[str, StringConstraints(max_length=4000)]

    @classmethod
    def of(cls, text: Text) -> "TextView":
        """The text as it is answered."""
        return cls(zh_hans=text["zh_hans"], zh_hant=text["zh_hant"], en=text["en"])

    def as_text(self) -> Text:
        """The text as the domain has it."""
        return {"zh_hans": self.zh_hans, "zh_hant": self.zh_hant, "en": self.en}


class MoneyView(BaseModel):
    """An amount in the minor unit of its currency (ISO 4217)."""

    amount_minor: int
    currency: str


class RewardView(BaseModel):
    """Which reward a voucher is."""

    code: str
    names: TextView
