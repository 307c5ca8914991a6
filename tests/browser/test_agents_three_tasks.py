"""An agent finds a caller by phone, reads out where the parcel is, and cancels, while a service goes away and comes back."""

import re

import pytest
from playwright.sync_api import expect

from shared.languages import Language
from tests.browser.desk import Customer, Shop, Window, kill, stopped
from tests.journeys.machines import Machine

LANGUAGES: tuple[Language, ...] = ("zh_hans", "en")


@pytest.fixture(params=LANGUAGES)
def desk(request: pytest.FixtureRequest, window: Window) -> Window:
    """An agent at work, in one of the languages."""
    window.speak(request.param)
    window.sign_in("agent-1")
    return window


def find(desk: Window, customer: Customer) -> None:
    """From anywhere: the key `/`, the phone as the caller says it, Enter."""
    desk.page.keyboard.press("/")
    desk.page.keyboard.type(customer.phone)
    desk.page.keyboard.press("Enter")
    desk.page.wait_for_url(re.compile(r"/customers/[0-9a-f-]{36}$"))
    expect(desk.page.locator("#part-header")).to_contain_text(customer.number)


@pytest.mark.proves("A1", "A2", "A6", "F1", "R6", "G53")
def test_find_a_caller_read_out_where_the_parcel_is_and_cancel(desk: Window, shop: Shop, machine: Machine) -> None:
    customer = shop.somebody()
    sent = shop.redeem(customer.subject, "courier")
    parcel = shop.parcel_of(customer.subject, sent["id"], "dispatched")

    find(desk, customer)
    header = desk.page.locator("#part-header")
    expect(header).not_to_contain_text(customer.name)  # masked until there is need
    expect(header).not_to_contain_text(customer.phone)
    said = desk.page.locator("article .say").first
    expect(said).to_have_text(desk.t("parcels.say.courier.dispatched"))
    expect(desk.page.locator("article").first).to_contain_text(parcel["tracking_number"])
    desk.picture("customer")

    with stopped(machine, "fulfillment"):
        desk.page.reload()
        expect(header).to_contain_text(customer.number)
        missing = desk.page.locator("#part-parcels .missing")
        gone = desk.t("silent.part", service=desk.t("service.fulfillment"), what=desk.t("parcels.title"))
        expect(missing).to_contain_text(gone)
        expect(desk.page.locator("#part-points")).to_contain_text(f"{customer.points - sent['price_points']:,}")
        desk.picture("fulfillment-is-down")
    expect(said).to_have_text(desk.t("parcels.say.courier.dispatched"))  # by itself, without a reload

    wrong = shop.redeem(customer.subject, "courier")
    desk.page.reload()
    row = desk.page.locator(f"#r-{wrong['id']}")
    row.get_by_role("link", name=desk.t("cancel")).click()
    dialog = desk.page.get_by_role("dialog")
    expect(dialog).to_contain_text(desk.t("cancel.points", points=f"{wrong['price_points']:,}"))
    desk.picture("cancel")
    desk.page.keyboard.type("选错了礼品")  # the field has the focus
    desk.page.keyboard.press("Enter")
    expect(dialog.get_by_role("status")).to_have_text(desk.t("cancel.done.title"))
    expect(dialog).to_contain_text(desk.t("cancel.done", points=f"{wrong['price_points']:,}"))
    desk.picture("cancelled")
    dialog.get_by_role("link").click()
    expect(desk.page.locator(f"#r-{wrong['id']} .state-cancelled")).to_be_visible()
    expect(desk.page.locator("#part-points")).to_contain_text(f"{customer.points - sent['price_points']:,}")

    late = desk.page.locator(f"#r-{sent['id']}")
    late.get_by_role("link", name=desk.t("redemption.open")).click()
    expect(dialog.locator(".timeline")).to_contain_text(parcel["tracking_number"])
    desk.picture("timeline")
    desk.page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    desk.sign_out()


def test_a_service_that_dies_and_is_started_again_fills_its_gaps_by_itself(desk: Window, shop: Shop, machine: Machine) -> None:
    customer = shop.somebody()
    find(desk, customer)
    kill(machine, "redemption")
    desk.page.reload()
    expect(desk.page.locator("#part-parcels")).to_contain_text(desk.t("parcels.empty"))  # fulfillment knows without it
    expect(desk.page.locator("#part-header")).to_contain_text(customer.number)  # at once, or when it is back
    expect(desk.page.locator("#part-points")).to_contain_text(f"{customer.points:,}")


def test_finding_while_redemption_is_down_says_so_and_one_button_tries_again(
    desk: Window, shop: Shop, machine: Machine
) -> None:
    customer = shop.somebody()
    with stopped(machine, "redemption", "redemption worker"):
        desk.page.keyboard.press("/")
        desk.page.keyboard.type(customer.phone)
        desk.page.keyboard.press("Enter")
        expect(desk.page.get_by_role("alert")).to_contain_text(desk.t("silent.redemption"))
        desk.picture("redemption-is-down")
    again = desk.page.get_by_role("button", name=desk.t("silent.again"))
    for _ in range(20):
        again.click()
        desk.page.wait_for_load_state()
        if "/customers/" in desk.page.url:
            break
    expect(desk.page.locator("#part-header")).to_contain_text(customer.number)


@pytest.mark.proves("A1", "G48")
def test_a_customer_is_shown_in_full_for_sixty_seconds(desk: Window, shop: Shop) -> None:
    customer = shop.somebody()
    desk.page.clock.install()
    find(desk, customer)
    header = desk.page.locator("#part-header")
    header.locator("summary").click()
    header.get_by_label(desk.t("unmask.reason")).fill("核对收货电话")
    header.get_by_role("button", name=desk.t("unmask")).click()
    expect(header).to_contain_text(customer.name)
    expect(header).to_contain_text(customer.phone.removeprefix("+")[-6:])
    desk.picture("in-full")
    desk.page.clock.fast_forward(59_000)
    expect(header).to_contain_text(customer.name)
    desk.page.clock.fast_forward(2_000)
    expect(header).not_to_contain_text(customer.name)
    expect(header).to_contain_text(customer.number)


def test_without_javascript_the_same_three_tasks_can_be_done(plain_window: Window, shop: Shop) -> None:
    desk, customer = plain_window, shop.somebody()
    desk.speak("en")
    desk.sign_in("agent-2")
    wrong = shop.redeem(customer.subject, "courier")
    shop.parcel_of(customer.subject, wrong["id"], "preparing")
    desk.page.get_by_label(desk.t("search.label")).fill(customer.number)
    desk.page.get_by_role("button", name=desk.t("search.button")).click()
    expect(desk.page.locator("article .say").first).to_have_text(desk.t("parcels.say.courier.preparing"))
    desk.page.locator(f"#r-{wrong['id']}").get_by_role("link", name=desk.t("cancel")).click()
    expect(desk.page.get_by_role("heading", level=1)).to_have_text(desk.t("cancel.title"))
    desk.page.get_by_label(desk.t("cancel.reason")).fill("wrong reward")
    desk.page.get_by_role("button", name=desk.t("cancel.button")).click()
    expect(desk.page.locator("h1")).to_have_text(desk.t("cancel.done.title"))
    desk.page.reload()  # sends the same form again, which is done once
    expect(desk.page.locator("h1")).to_have_text(desk.t("cancel.done.title"))
    desk.page.get_by_role("link", name=desk.t("redemption.to_customer")).click()
    expect(desk.page.locator(f"#r-{wrong['id']} .state-cancelled")).to_be_visible()
    expect(desk.page.locator("#part-points")).to_contain_text(f"{customer.points:,}")
