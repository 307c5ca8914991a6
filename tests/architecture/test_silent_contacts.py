"""Whom and where does not show itself: a dataclass that holds a contact prints none of it, in no log and no traceback (G49)."""

import dataclasses
import importlib
import pkgutil
from collections.abc import Iterator

import pytest

import services
from services.fulfillment.carriers.domain import Address, Booking, Recipient
from services.fulfillment.fulfillments.domain import Delivery
from services.fulfillment.notices.domain import Contact
from services.fulfillment.parcels.domain import Way

SAYS_WHO = {"phone", "street", "postcode", "district", "to", "contact", "address"}
"""Names of fields that tell of a person, as text."""
NOT_A_PERSONS = {("Branch", "phone"), ("Waiting", "address"), ("Shown", "district")}
"""A branch's own number; an address of a page; and what every reader of a parcel is shown beside a masked name."""


def dataclasses_of_services() -> Iterator[type]:
    for module in pkgutil.walk_packages(services.__path__, "services."):
        if ".migrations" in module.name or module.name.endswith("__main__"):
            continue
        for found in vars(importlib.import_module(module.name)).values():
            if isinstance(found, type) and dataclasses.is_dataclass(found) and found.__module__ == module.name:
                yield found


@pytest.mark.proves("G49")
def test_no_dataclass_shows_whom_it_is_for() -> None:
    telling = {
        f"{one.__module__}.{one.__name__}.{field.name}"
        for one in dataclasses_of_services()
        for field in dataclasses.fields(one)
        if field.name in SAYS_WHO
        and field.repr
        and field.type in ("str", str, "str | None", str | None)
        and (one.__name__, field.name) not in NOT_A_PERSONS
    }
    assert telling == set()


@pytest.mark.proves("G49")
def test_what_goes_to_the_carrier_and_the_gateway_prints_nobody() -> None:
    contact = Contact("欧阳小明", "+8613800001234", "en")
    address = Address("广东省", "深圳市", "南山区", "科技路 1 号", "518000")
    booking = Booking(Recipient(contact.name, contact.phone), address, [])
    printed = repr((booking, Delivery(Way.COURIER, contact, address=address), contact, address, booking.recipient))
    for word in ("欧阳", "13800001234", "广东", "深圳", "南山", "科技路", "518000"):
        assert word not in printed
