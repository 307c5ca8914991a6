"""What is shown in full goes from the screen after its minute, though nobody answers: the script alone sees to it."""

from playwright.sync_api import Browser

from deploy.local.suite import CHECKOUT

SCRIPT = CHECKOUT / "services/console/static/console.js"
SHOWN = """<main><section id="part-header" data-unmasked="60"><h1 data-full>王样例</h1><dl>
<dd class="code" data-full>+8613800000001</dd><dd class="code">C000001</dd></dl>
<div class="unmasked">60</div></section></main><dialog id="dialog"></dialog>"""


def test_after_a_minute_what_was_shown_in_full_is_gone_without_any_answer(chromium: Browser) -> None:
    page = chromium.new_page()
    page.clock.install()
    page.set_content("<main></main>")
    page.add_script_tag(path=SCRIPT)
    page.clock.run_for(30_000)
    page.evaluate("html => { document.body.innerHTML = html }", SHOWN)  # as htmx puts it there
    page.clock.run_for(58_000)
    assert "王样例" in page.inner_text("body")
    page.clock.run_for(4_000)
    left = page.content()
    assert "王样例" not in left
    assert "13800000001" not in left
    assert "C000001" in left  # which is no secret to whoever found the customer
    page.close()
