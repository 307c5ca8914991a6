"""Keyboard and assistive technology: axe-core finds nothing on any page in any language, and the keyboard reaches it all."""

import pytest
from playwright.sync_api import expect

from shared.languages import Language
from tests.browser.desk import Shop, Window


@pytest.mark.proves("A6")
@pytest.mark.parametrize("language", ["zh_hans", "zh_hant", "en"])
def test_axe_finds_no_violation(window: Window, shop: Shop, language: Language) -> None:
    customer = shop.somebody()
    made = shop.redeem(customer.subject, "courier")
    found: dict[str, list[str]] = {}

    def look(name: str) -> None:
        found[name] = window.complaints()
        window.picture(name)

    window.speak(language)
    look("signed-out")
    window.sign_in("agent-1")
    look("home-agent")
    window.page.goto(f"{window.console}/customers")
    look("search")
    window.page.get_by_label(window.t("search.label")).fill("not-a-customer-1")
    window.page.keyboard.press("Enter")
    expect(window.page.get_by_role("status").first).to_have_text(window.t("find.none"))
    look("found-nobody")
    window.page.get_by_label(window.t("search.label")).fill(customer.number)
    window.page.keyboard.press("Enter")
    expect(window.page.locator("article .say").first).to_be_visible()
    page = window.page.url
    look("customer-whole")
    window.page.locator(".unmask summary").click()
    look("unmasking")
    window.page.locator(f"#r-{made['id']}").get_by_role("link", name=window.t("cancel")).click()
    expect(window.page.get_by_role("dialog")).to_be_visible()
    look("cancelling")
    window.page.goto(f"{page}/redemptions/{made['id']}")
    look("redemption")
    window.page.goto(f"{window.console}/nowhere")
    look("not-found")
    window.sign_in("branch-1")
    for state in ("in_transfer", "ready", "collected"):
        window.page.goto(f"{window.console}/pickups?state={state}")
        look(f"pickups-{state}")
    window.page.goto(f"{window.console}/pickups/{made['id']}/handover")
    look("handover")
    window.page.goto(f"{window.console}/pickups/{made['id']}/loss")
    look("loss")
    window.page.goto(f"{window.console}/tasks")
    look("not-for-this-role")
    window.sign_in("supervisor-1")
    look("home")
    for name in ("tasks", "breaks"):
        window.page.goto(f"{window.console}/{name}")
        look(f"{name}-room")
    assert {name: complaints for name, complaints in found.items() if complaints} == {}


@pytest.mark.proves("A6")
def test_the_keyboard_reaches_everything_in_the_order_in_which_it_is_read(window: Window, shop: Shop) -> None:
    window.speak("en")
    window.sign_in("agent-1")
    window.page.keyboard.press("Tab")
    expect(window.page.locator(".skip")).to_be_focused()
    expect(window.page.locator(".skip")).to_be_in_viewport()
    window.page.keyboard.press("Enter")
    expect(window.page.locator("#main")).to_be_focused()
    window.page.reload()
    seen = []
    for _ in range(10):
        window.page.keyboard.press("Tab")
        seen.append(window.page.evaluate("() => document.activeElement.innerText.trim() || document.activeElement.name"))
        outline = window.page.evaluate("() => getComputedStyle(document.activeElement).outlineStyle")
        assert outline == "solid", f"the focus on {seen[-1]} cannot be seen"
    assert seen == [
        window.t("skip"), window.t("product"), window.t("room.home"), window.t("room.customers"), "term",
        window.t("search.button"), "简体中文\n简", "繁體中文\n繁", "English\nEN", window.t("sign_out"),
    ]  # fmt: skip
    window.page.keyboard.press("/")
    expect(window.page.locator("#term")).to_be_focused()
    window.page.keyboard.type("a/b")  # there it is a letter like others
    expect(window.page.locator("#term")).to_have_value("a/b")


def test_a_dialog_takes_the_focus_and_gives_it_back(window: Window, shop: Shop) -> None:
    customer = shop.somebody()
    made = shop.redeem(customer.subject, "courier")
    window.speak("en")
    window.sign_in("agent-1")
    window.page.get_by_label(window.t("search.label")).fill(customer.number)
    window.page.keyboard.press("Enter")
    opener = window.page.locator(f"#r-{made['id']}").get_by_role("link", name=window.t("redemption.open"))
    opener.focus()
    window.page.keyboard.press("Enter")
    dialog = window.page.get_by_role("dialog")
    expect(dialog).to_have_accessible_name(dialog.get_by_role("heading", level=1).inner_text())
    assert window.page.evaluate("() => document.getElementById('dialog').contains(document.activeElement)")
    window.page.keyboard.press("Escape")
    expect(opener).to_be_focused()


def test_a_page_is_small(window: Window, shop: Shop) -> None:
    """On an old machine and a slow line: everything of the first page together."""
    window.sign_in("agent-1")
    window.page.goto(f"{window.console}/customers")
    sizes = window.page.evaluate(
        "() => performance.getEntries().filter(e => 'encodedBodySize' in e).map(e => [e.name, e.encodedBodySize])"
    )
    assert sum(size for _, size in sizes) < 40_000, sizes
    assert len(sizes) <= 6
