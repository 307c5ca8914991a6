"""The wallet: whose vouchers are seen by whom, in which words, and who sees a code."""

import uuid
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import psycopg
import pytest
from segno import make_qr

from services.fulfillment.vouchers.codes import normalise
from shared.languages import LANGUAGES
from tests.support.fulfillment import CUSTOMER, KEYS, Fulfillment, customer_id_of, line, running_fulfillment, texts, wish
from tests.support.postgres import TestDatabase
from tests.support.tokens import Issuer

pytestmark = pytest.mark.anyio

VIEWERS = ("agent", "supervisor", "auditor", "branch")
OTHER = "customer-00002"


@pytest.mark.proves("F3")
async def test_a_voucher_says_what_it_is_in_three_languages_and_where_and_until_when_it_works(fulfillment: Fulfillment) -> None:
    await fulfillment.accept(wish(line(1, merchants=("M002", "M001", "GONE"), valid_days=10)))
    [found] = await fulfillment.wallet()
    assert found["reward"] == {"code": "R-COFFEE", "names": texts("Coffee voucher")}
    assert found["terms"] == texts("Use once")
    assert found["face_value"] == {"amount_minor": 5000, "currency": "CNY"}
    assert (found["state"], set(found["state_words"])) == ("issued", set(LANGUAGES))
    assert found["merchants"] == [
        {"code": "M002", "names": texts("Shop M002")},
        {"code": "M001", "names": texts("Shop M001")},
        {"code": "GONE", "names": None},
    ]
    zone = ZoneInfo("Asia/Shanghai")
    issued, expires = (datetime.fromisoformat(found[name]).astimezone(zone) for name in ("issued_at", "expires_at"))
    assert expires.date() - issued.date() == timedelta(days=11)
    assert expires.time().isoformat() == "00:00:00"


@pytest.mark.proves("G39", "X2")
async def test_somebody_elses_voucher_is_answered_like_an_absent_one(fulfillment: Fulfillment) -> None:
    await fulfillment.accept(wish(), wish(subject=OTHER))
    [mine] = await fulfillment.wallet()
    me, other = fulfillment.issuer.customer(), fulfillment.issuer.customer(OTHER)
    for tail in ("", "/code"):
        assert (await fulfillment.get(f"/v1/vouchers/{mine['id']}{tail}", me)).status_code == 200
        absent = uuid.uuid4()
        hers = await fulfillment.get(f"/v1/vouchers/{mine['id']}{tail}", other)
        nobodys = await fulfillment.get(f"/v1/vouchers/{absent}{tail}", other)
        assert hers.status_code == nobodys.status_code == 404
        assert _without_place(hers.json()) == _without_place(nobodys.json())
    assert mine["id"] not in [voucher["id"] for voucher in await fulfillment.wallet(OTHER)]


@pytest.mark.proves("G39", "X2")
async def test_somebody_elses_wallet_is_answered_like_an_absent_one(fulfillment: Fulfillment) -> None:
    await fulfillment.accept(wish(), wish(subject=OTHER))
    own = await fulfillment.get(f"/v1/customers/{customer_id_of(CUSTOMER)}/vouchers", fulfillment.issuer.customer())
    assert [v["id"] for v in own.json()["items"]] == [v["id"] for v in await fulfillment.wallet()]
    hers = await fulfillment.get(f"/v1/customers/{customer_id_of(OTHER)}/vouchers", fulfillment.issuer.customer())
    nobodys = await fulfillment.get(f"/v1/customers/{uuid.uuid4()}/vouchers", fulfillment.issuer.customer())
    assert hers.status_code == nobodys.status_code == 404
    assert _without_place(hers.json()) == _without_place(nobodys.json())


@pytest.mark.proves("G39")
async def test_the_same_subject_of_another_issuer_is_somebody_else(fulfillment: Fulfillment) -> None:
    await fulfillment.accept(wish(owner={"issuer": "https://elsewhere.test", "subject": CUSTOMER}))
    assert await fulfillment.wallet() == []


def _without_place(problem: dict[str, object]) -> dict[str, object]:
    return {name: value for name, value in problem.items() if name not in ("instance", "trace_id")}


@pytest.mark.proves("G40", "A1")
@pytest.mark.parametrize("role", VIEWERS)
async def test_staff_see_vouchers_and_never_codes(fulfillment: Fulfillment, role: str) -> None:
    [code] = await fulfillment.issue()
    headers = fulfillment.issuer.staff(role)
    listed = await fulfillment.get(f"/v1/customers/{customer_id_of(CUSTOMER)}/vouchers", headers)
    [voucher] = listed.json()["items"]
    one = await fulfillment.get(f"/v1/vouchers/{voucher['id']}", headers)
    assert one.json() == voucher
    for answer in (listed, one):
        assert code not in answer.text
        assert normalise(code) not in answer.text
    assert (await fulfillment.get(f"/v1/vouchers/{voucher['id']}/code", headers)).status_code == 403
    nobody = await fulfillment.get(f"/v1/customers/{uuid.uuid4()}/vouchers", headers)
    assert (nobody.status_code, nobody.json()) == (200, {"items": [], "next": None})


@pytest.mark.proves("G40")
async def test_others_see_nothing(fulfillment: Fulfillment) -> None:
    await fulfillment.accept(wish())
    [voucher] = await fulfillment.wallet()
    issuer = fulfillment.issuer
    paths = (
        "/v1/vouchers",
        f"/v1/customers/{customer_id_of(CUSTOMER)}/vouchers",
        f"/v1/vouchers/{voucher['id']}",
        f"/v1/vouchers/{voucher['id']}/code",
    )
    for path in paths:
        for headers in (issuer.till(), issuer.service(), issuer.staff("reviewer", "campaign_manager", "administrator")):
            assert (await fulfillment.get(path, headers)).status_code == 403
        assert (await fulfillment.client.get(path)).status_code == 401


@pytest.mark.proves("F3", "G12")
async def test_the_code_comes_with_a_qr_code_and_no_cache_keeps_it(fulfillment: Fulfillment) -> None:
    await fulfillment.accept(wish())
    [voucher] = await fulfillment.wallet()
    answer = await fulfillment.get(f"/v1/vouchers/{voucher['id']}/code", fulfillment.issuer.customer())
    assert answer.headers["cache-control"] == "no-store"
    code = answer.json()["code"]
    assert [len(group) for group in code.split("-")] == [4, 4, 4, 4]
    expected = make_qr(normalise(code), error="m")
    assert answer.json()["qr_svg"] == expected.svg_inline(scale=4, omitsize=True, border=4)


@pytest.mark.proves("F3")
async def test_the_code_is_hidden_once_the_voucher_is_used(fulfillment: Fulfillment) -> None:
    [code] = await fulfillment.issue()
    assert (await fulfillment.use(code)).status_code == 200
    [voucher] = await fulfillment.wallet()
    assert voucher["state"] == "used"
    assert voucher["used_at"] is not None
    answer = await fulfillment.get(f"/v1/vouchers/{voucher['id']}/code", fulfillment.issuer.customer())
    assert (answer.status_code, answer.json()["state"]) == (409, "used")
    assert answer.json()["type"].endswith("/voucher-not-showable")


@pytest.mark.proves("G42")
async def test_a_wallet_is_read_in_pages_by_a_signed_cursor(fulfillment: Fulfillment) -> None:
    await fulfillment.accept(*(wish() for _ in range(7)))
    headers = fulfillment.issuer.customer()
    seen, cursor = [], None
    while True:
        query = {"limit": 3, **({"cursor": cursor} if cursor else {})}
        page = (await fulfillment.get("/v1/vouchers", headers, **query)).json()
        seen += [voucher["id"] for voucher in page["items"]]
        cursor = page["next"]
        if cursor is None:
            break
    assert len(seen) == len(set(seen)) == 7
    assert seen == sorted(seen, reverse=True)
    first = (await fulfillment.get("/v1/vouchers", headers, limit=3)).json()["next"]
    other = fulfillment.issuer.customer(OTHER)
    assert (await fulfillment.get("/v1/vouchers", other, cursor=first)).status_code == 422
    assert (await fulfillment.get("/v1/vouchers", headers, cursor=first[:-2] + "xx")).status_code == 422
    assert (await fulfillment.get("/v1/vouchers", headers, limit=101)).status_code == 422


@pytest.mark.proves("G12")
async def test_after_a_key_rotation_old_and_new_codes_are_shown_and_used(
    fulfillment_database: TestDatabase, issuer: Issuer, fulfillment: Fulfillment
) -> None:
    [old] = await fulfillment.issue()
    keys = {"2027-1": "bmV3LWtleS1uZXcta2V5LW5ldy1rZXktbmV3LWtleTE=", **KEYS}
    async with running_fulfillment(fulfillment_database, issuer, voucher_keys=keys) as rotated:
        codes = set(await rotated.issue())
        assert old in codes
        assert len(codes) == 2
        for code in codes:
            assert (await rotated.use(code)).status_code == 200
    with psycopg.connect(fulfillment_database.superuser_url) as conn:
        heads = {bytes(row[0])[1:7] for row in conn.execute("SELECT code_sealed FROM vouchers")}
    assert heads == {b"2026-1", b"2027-1"}
