"""The two plain pages that a person sees, in Chinese and English, each saying that this is a sandbox."""

from collections.abc import Mapping
from html import escape

from starlette.responses import HTMLResponse

from deploy.sandbox.identity.clients import Client
from deploy.sandbox.identity.people import SAMPLE_CUSTOMERS, STAFF

HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; frame-ancestors 'none'; base-uri 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
STYLE = """
body { margin: 0; min-height: 100vh; display: grid; place-items: center; background: #eef1f4; color: #17202a;
  font: 16px/1.6 system-ui, "PingFang SC", "Microsoft YaHei", "Noto Sans CJK SC", sans-serif; }
main { background: #fff; border: 1px solid #d5dbe1; border-top: 4px solid #b4552d; border-radius: 6px;
  padding: 1.5rem 2rem; max-width: 26rem; }
h1 { font-size: 1.25rem; margin: 0 0 .75rem; line-height: 1.35; }
strong { font-weight: 500; color: #8a3d1c; font-size: .9rem; }
label { display: grid; gap: .25rem; font-weight: 600; }
select, input, button { font: inherit; padding: .5rem .6rem; border-radius: 4px; border: 1px solid #78838f;
  box-sizing: border-box; width: 100%; }
button { background: #0b5563; border-color: #0b5563; color: #fff; font-weight: 600; cursor: pointer; }
:focus-visible { outline: 3px solid #d98324; outline-offset: 2px; }
"""
WARNING = (
    "<p><strong>沙盒：仅供本机试用，不验证身份。<br>Sandbox: for this machine only; it proves nobody's identity.</strong></p>"
)


def message_page(chinese: str, english: str, status: int = 200) -> HTMLResponse:
    """A page with one sentence in both languages."""
    return _page(f"<p>{escape(chinese)}<br>{escape(english)}</p>", status)


def sign_in_page(client: Client, asked: Mapping[str, str]) -> HTMLResponse:
    """Pick a sample person; the request travels along in hidden fields and is checked again when it comes back."""
    hidden = "".join(f'<input type="hidden" name="{escape(key)}" value="{escape(value)}">' for key, value in asked.items())
    if client.signs_in == "customer":
        choice = (
            '<label>客户 Customer <input name="subject" pattern="customer-[0-9]{5}" required list="samples" '
            f'value="{SAMPLE_CUSTOMERS[0]}"></label><datalist id="samples">'
            + "".join(f'<option value="{subject}"></option>' for subject in SAMPLE_CUSTOMERS)
            + "</datalist>"
        )
    else:
        options = "".join(
            f'<option value="{person.subject}">{escape(person.name)} ({person.subject})</option>' for person in STAFF.values()
        )
        choice = f'<label>员工 Staff <select name="subject">{options}</select></label>'
    button = "<button>登录 Sign in</button>"
    return _page(f'<form method="post" action="/authorize">{hidden}<p>{choice}</p><p>{button}</p></form>')


def _page(body: str, status: int = 200) -> HTMLResponse:
    title = "换购沙盒登录 Huangou sandbox sign-in"
    head = f'<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{title}</title>'
    head += '<link rel="stylesheet" href="/style.css">'
    main = f"<main><h1>{title}</h1>{WARNING}{body}</main>"
    page = f'<!doctype html><html lang="zh-Hans"><head>{head}</head><body>{main}</body></html>'
    return HTMLResponse(page, status, HEADERS)
