"""Looking through campaigns and offers: the same bytes for everybody who asks the same."""

from collections import defaultdict
from dataclasses import replace
from uuid import UUID
from zoneinfo import ZoneInfo

from services.catalog.answers import Encoded, encode
from services.catalog.browsing import store
from services.catalog.browsing.domain import OfferQuery, Remaining, detailed, listed, remaining_of
from services.catalog.browsing.shelf import SNAPSHOT_SECONDS_MAX, OpenCampaign, Shelf, Snapshot, steps_of
from services.catalog.campaigns.domain import CATEGORIES, CampaignNotFound, OfferNotFound
from shared.clock import Clock, bank_day
from shared.database import Database
from shared.errors import FieldError
from shared.languages import Language
from shared.paging import Cursors
from shared.problems import InvalidInput


class Browsing:
    """The use cases of browsing."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        timezone: ZoneInfo,
        cursors: Cursors,
        *,
        snapshot_seconds_max: float = SNAPSHOT_SECONDS_MAX,
    ) -> None:
        """Days are those of `timezone`, the bank's."""
        self._database = database
        self._clock = clock
        self._timezone = timezone
        self._cursors = cursors
        self._shelf = Shelf(self._read_snapshot, seconds_max=snapshot_seconds_max)

    async def list_campaigns(self, language: Language) -> Encoded:
        """Every campaign that is open today."""
        snapshot = await self._shelf.snapshot()
        return encode({"items": [_campaign(found, language) for found in snapshot.campaigns.values()]}, language)

    async def list_offers(self, code: str, query: OfferQuery, cursor: str | None, language: Language) -> Encoded:
        """One page of a campaign's offers, by price upwards. Raises CampaignNotFound and InvalidInput (category, cursor)."""
        snapshot = await self._shelf.snapshot()
        campaign = snapshot.campaigns.get(code)
        if campaign is None:
            raise CampaignNotFound
        if query.category is not None and query.category not in CATEGORIES:
            raise InvalidInput(FieldError("query:category", "not-allowed"))
        scope = f"offers/{code}/{query.category}/{query.price_min}/{query.price_max}/{query.words}"
        position = self._cursors.read(scope, cursor)
        if position is not None:
            query = replace(query, after=(int(position[0]), str(position[1])))

        async def make() -> Encoded:
            async with self._database.transaction() as conn:
                found = await store.offers_of_version(conn, code, campaign.version, snapshot.today, query)
            page = found[: query.limit]
            items = [listed(content, language, _left(snapshot, content["offer_id"])) for content in page]
            last = page[-1] if len(found) > query.limit else None
            following = None if last is None else self._cursors.make(scope, [last["price_points"], last["offer_id"]])
            return encode({"items": items, "next": following}, language)

        return await self._shelf.keep((code, campaign.version, campaign.steps, snapshot.today, query, language), make)

    async def read_offer(self, offer: UUID, language: Language) -> Encoded:
        """One offer in force. Raises OfferNotFound."""
        snapshot = await self._shelf.snapshot()
        if offer not in snapshot.offers:
            raise OfferNotFound
        _, version = snapshot.offers[offer]
        left = _left(snapshot, str(offer))

        async def make() -> Encoded:
            async with self._database.transaction() as conn:
                found = await store.offer_of_version(conn, offer, version)
            if found is None or not found["opens_on"] <= snapshot.today <= found["closes_on"]:
                raise OfferNotFound
            return encode(detailed(found["content"], language, left), language)

        return await self._shelf.keep((offer, version, left, snapshot.today, language), make)

    async def _read_snapshot(self) -> Snapshot:
        async with self._database.transaction() as conn:
            today = bank_day(await self._clock.now(conn), self._timezone)
            campaigns = await store.open_campaigns(conn, today)
            left = await store.units_left(conn, today)
        remaining: dict[UUID, Remaining] = {row["id"]: remaining_of(row["units"]) for row in left}
        by_campaign: dict[str, dict[UUID, Remaining]] = defaultdict(dict)
        for row in left:
            by_campaign[row["campaign_code"]][row["id"]] = remaining[row["id"]]
        return Snapshot(
            today,
            {
                row["code"]: OpenCampaign(row["code"], row["live_version"], row["campaign"], steps_of(by_campaign[row["code"]]))
                for row in campaigns
            },
            remaining,
            {row["id"]: (row["campaign_code"], row["live_version"]) for row in left},
        )


def _left(snapshot: Snapshot, offer: str) -> Remaining:
    """An offer without a counter cannot be had."""
    return snapshot.remaining.get(UUID(offer), "none")


def _campaign(found: OpenCampaign, language: Language) -> dict[str, object]:
    about = found.about
    return {
        "code": found.code,
        "version": found.version,
        "name": about[f"name_{language}"],
        "description": about[f"description_{language}"],
        "theme": about["theme"],
        "opens_on": about["opens_on"],
        "closes_on": about["closes_on"],
        "currency": about["currency"],
        "sample": about["sample"] == "yes",
        "categories": [{"code": code, "name": names[language]} for code, names in CATEGORIES.items()],
    }
