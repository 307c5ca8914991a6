"""The branch counter, and redriving by a second person, in the browser."""

import psycopg
import pytest
from playwright.sync_api import expect

from tests.browser.desk import Shop, Window, until
from tests.journeys.machines import Machine


@pytest.mark.proves("A3", "F2")
def test_a_parcel_arrives_at_the_branch_and_is_handed_over_for_its_code(window: Window, shop: Shop) -> None:
    customer = shop.somebody()
    made = shop.redeem(customer.subject, "pickup")
    parcel = shop.parcel_of(customer.subject, made["id"], "in_transfer")
    short = parcel["id"].replace("-", "")[-8:].upper()
    window.speak("zh_hans")
    window.sign_in("branch-1")
    window.picture("home-branch")
    window.page.get_by_role("link", name=window.t("home.in_transfer")).click()
    row = window.page.locator("tr", has_text=short)
    window.picture("pickups-arriving")
    row.get_by_role("button", name=window.t("pickups.arrive")).click()
    expect(window.page.get_by_role("status").first).to_contain_text(window.t("pickups.arrived", parcel=short))
    window.page.get_by_role("link", name=window.t("pickups.ready"), exact=True).click()
    window.picture("pickups-ready")
    row.get_by_role("link", name=window.t("pickups.hand_over")).click()
    dialog = window.page.get_by_role("dialog")
    expect(dialog.get_by_label(window.t("handover.code"))).to_be_focused()

    code = shop.pickup_code(customer.subject, parcel["id"])
    wrong = f"{(int(code) + 1) % 10 ** len(code):0{len(code)}d}"
    window.page.keyboard.type(wrong)
    window.page.keyboard.press("Enter")
    expect(dialog.get_by_role("alert")).to_have_text(window.t("handover.wrong"))
    window.picture("handover-wrong")
    expect(dialog.get_by_label(window.t("handover.code"))).to_be_focused()
    window.page.keyboard.type(code)  # as a scanner does: digits and Enter
    window.page.keyboard.press("Enter")
    expect(dialog.get_by_role("status")).to_have_text(window.t("handover.done.title"))
    window.picture("handed-over")
    dialog.get_by_role("link").click()
    expect(row).to_have_count(0)
    assert shop.parcel_of(customer.subject, made["id"], "collected")


@pytest.mark.proves("A3", "F2")
def test_a_parcel_that_is_lost_at_the_branch_is_reported_and_the_customer_gets_the_points_back(
    window: Window, shop: Shop
) -> None:
    customer = shop.somebody()
    made = shop.redeem(customer.subject, "pickup")
    parcel = shop.parcel_of(customer.subject, made["id"], "in_transfer")
    window.speak("zh_hant")
    window.sign_in("branch-1")
    window.page.goto(f"{window.console}/pickups?state=in_transfer")
    row = window.page.locator("tr", has_text=parcel["id"].replace("-", "")[-8:].upper())
    row.get_by_role("link", name=window.t("loss.open")).click()
    dialog = window.page.get_by_role("dialog")
    dialog.get_by_label(window.t("reason")).fill("車上和櫃內都找過")
    window.picture("reporting-a-loss")
    dialog.get_by_role("button", name=window.t("loss.button")).click()
    expect(dialog.get_by_role("status")).to_have_text(window.t("loss.done.title"))
    dialog.get_by_role("link").click()
    expect(row).to_have_count(0)
    assert shop.parcel_of(customer.subject, made["id"], "lost")


def park_a_task(machine: Machine, redemption_id: str) -> None:
    """Set the watch over a redemption aside, as five crashes would."""
    with psycopg.connect(machine.suite.database_url("redemption", "owner"), autocommit=True) as conn:

        def park() -> bool:
            done = conn.execute(
                "UPDATE tasks SET state = 'parked', last_error = 'made by a test', changed_at = now()"
                " WHERE ref = %s AND state = 'ready' AND lease_until IS NULL",
                [redemption_id],
            )
            return done.rowcount == 1

        until(park, "task to set aside")


@pytest.mark.proves("A3", "G41")
def test_a_parked_task_is_redriven_by_a_second_person(window: Window, shop: Shop, machine: Machine) -> None:
    customer = shop.somebody()
    made = shop.redeem(customer.subject, "courier")
    park_a_task(machine, made["id"])
    row = window.page.locator("tr", has_text=made["id"])
    window.speak("en")
    window.sign_in("supervisor-1")
    window.picture("home-supervisor")
    window.page.get_by_role("link", name=window.t("room.tasks"), exact=True).click()
    expect(row).to_contain_text("made by a test")
    window.picture("tasks")
    row.get_by_label(window.t("reason")).fill("the cause is mended")
    row.get_by_role("button", name=window.t("tasks.ask")).click()
    expect(window.page.get_by_role("status").first).to_contain_text(window.t("tasks.done.asked"))
    expect(row).to_contain_text(window.t("tasks.waits"))
    window.picture("tasks-asked")
    window.sign_out()

    window.sign_in("supervisor-2")
    window.page.get_by_role("link", name=window.t("home.approvals", n=1)).click()
    expect(row).to_contain_text("the cause is mended")
    window.picture("tasks-to-approve")
    row.get_by_role("button", name=window.t("tasks.approve")).click()
    expect(window.page.get_by_role("status").first).to_contain_text(window.t("tasks.done.approved"))
    expect(row).to_have_count(0)
