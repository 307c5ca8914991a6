"""Answers of the routes of versions."""

from pydantic import BaseModel


class LoadedView(BaseModel):
    """Which version a workbook became."""

    campaign: str
    version: int
    created: bool


class PublishedView(BaseModel):
    """Which version of a campaign is in force."""

    campaign: str
    version: int
    state: str
