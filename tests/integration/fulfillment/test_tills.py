"""What tills may do: verify, use, ask, reverse; and what they are not told."""

import datetime as dt
import itertools
from typing import Any

import httpx
import psycopg
import pytest
from sqlalchemy import event

from services.fulfillment.vouchers.codes import ALPHABET, grouped, new_code, normalise
from shared import failpoints
from shared.clock import SetClock
from shared.languages import LANGUAGES
from tests.support.fulfillment import Fulfillment, know_merchants, line, next_number, running_fulfillment
from tests.support.postgres import TestDatabase
from tests.support.tokens import Issuer

pytestmark = pytest.mark.anyio


def rows(database: TestDatabase, query: str, *values: Any) -> list[tuple[Any, ...]]:
    with psycopg.connect(database.superuser_url) as conn:
        return conn.execute(query, values).fetchall()


def problem_of(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["type"].rpartition("/")[2]


def bytes_without_trace(answer: httpx.Response) -> bytes:
    trace: str = answer.json()["trace_id"]
    assert len(trace) == 32
    return answer.content.replace(trace.encode(), b"")


def with_wrong_check_symbol(code: str) -> str:
    plain = normalise(code)
    return plain[:-1] + ALPHABET[(ALPHABET.index(plain[-1]) + 1) % 32]


def void(database: TestDatabase) -> None:
    with psycopg.connect(database.superuser_url) as conn:
        conn.execute("UPDATE vouchers SET state = 'voided'")


@pytest.mark.proves("F5")
async def test_verifying_says_what_it_is_and_changes_nothing(
    fulfillment: Fulfillment, fulfillment_database: TestDatabase
) -> None:
    [code] = await fulfillment.issue()
    counted = "SELECT (SELECT count(*) FROM uses), (SELECT count(*) FROM audit_entries), (SELECT max(changed_at) FROM vouchers)"
    before = rows(fulfillment_database, counted)
    for _ in range(2):
        answer = await fulfillment.verify(code)
        assert answer.status_code == 200
        found = answer.json()
        assert (found["usable"], found["state"], set(found["state_words"])) == (True, "issued", set(LANGUAGES))
        assert found["voucher"]["face_value"] == {"amount_minor": 5000, "currency": "CNY"}
        assert set(found["voucher"]["reward"]["names"]) == set(LANGUAGES)
        assert dt.datetime.fromisoformat(found["voucher"]["expires_at"]) > dt.datetime.now(dt.UTC)
    assert rows(fulfillment_database, counted) == before


@pytest.mark.proves("F5")
async def test_a_used_voucher_is_verified_as_used(fulfillment: Fulfillment) -> None:
    [code] = await fulfillment.issue()
    await fulfillment.use(code)
    found = (await fulfillment.verify(code)).json()
    assert (found["usable"], found["state"]) == (False, "used")


@pytest.mark.proves("F5")
@pytest.mark.parametrize("typed", [str.lower, normalise, lambda code: f" {normalise(code)[:7]} - {normalise(code)[7:]}  "])
async def test_a_code_is_read_however_it_is_typed(fulfillment: Fulfillment, typed: Any) -> None:
    [code] = await fulfillment.issue()
    assert (await fulfillment.verify(typed(code))).status_code == 200
    assert (await fulfillment.use(typed(code))).status_code == 200


@pytest.mark.proves("G13", "F5")
async def test_verifying_tells_nothing_of_vouchers_that_are_not_this_merchants(
    fulfillment: Fulfillment, fulfillment_database: TestDatabase
) -> None:
    [code] = await fulfillment.issue()
    unknown = await fulfillment.verify(new_code())
    assert problem_of(unknown) == (404, "voucher-not-found")
    answers = {
        "malformed": await fulfillment.verify("not a code"),
        "wrong check symbol": await fulfillment.verify(with_wrong_check_symbol(code)),
        "another merchant's": await fulfillment.verify(code, merchant="M002"),
    }
    await fulfillment.use(code)
    answers["another merchant's, used"] = await fulfillment.verify(code, merchant="M002")
    await fulfillment.issue(line(1))
    with psycopg.connect(fulfillment_database.superuser_url) as conn:
        conn.execute("UPDATE vouchers SET state = 'voided' WHERE state = 'issued'")
    [voided] = [c for c in await _all_codes(fulfillment, fulfillment_database) if normalise(c) != normalise(code)]
    answers["voided"] = await fulfillment.verify(voided)
    for why, answer in answers.items():
        assert answer.status_code == 404, why
        assert bytes_without_trace(answer) == bytes_without_trace(unknown), why
        headers = {name: value for name, value in answer.headers.items() if name != "date"}
        assert headers == {name: value for name, value in unknown.headers.items() if name != "date"}, why


async def _all_codes(fulfillment: Fulfillment, database: TestDatabase) -> list[str]:
    safe = fulfillment.parts.requests._safe
    return [safe.open(one, bytes(sealed)) for one, sealed in rows(database, "SELECT id, code_sealed FROM vouchers")]


@pytest.mark.proves("G13", "F5")
async def test_using_tells_nothing_either(fulfillment: Fulfillment, fulfillment_database: TestDatabase) -> None:
    [code] = await fulfillment.issue()
    wrong = [
        await fulfillment.use(new_code(), "N-000"),
        await fulfillment.use("nonsense", "N-001"),
        await fulfillment.use(with_wrong_check_symbol(code), "N-002"),
        await fulfillment.use(code, "N-003", merchant="M002"),
    ]
    void(fulfillment_database)
    wrong.append(await fulfillment.use(code, "N-004"))
    bodies = {bytes_without_trace(answer).replace(b"N-00%d" % n, b"") for n, answer in enumerate(wrong)}
    assert {problem_of(answer) for answer in wrong} == {(404, "voucher-not-found")}
    assert len(bodies) == 1


@pytest.mark.proves("F5", "G14")
async def test_a_voucher_is_used_once(fulfillment: Fulfillment, fulfillment_database: TestDatabase) -> None:
    [code] = await fulfillment.issue()
    first = await fulfillment.use(code, "N-1", till_reference="receipt 77")
    assert first.status_code == 200
    found = first.json()
    assert (found["state"], found["request_number"], found["merchant"], found["terminal"]) == ("used", "N-1", "M001", "T01")
    assert (found["till_reference"], found["voucher"]["face_value"]["amount_minor"]) == ("receipt 77", 5000)
    assert "idempotency-replayed" not in first.headers
    second = await fulfillment.use(code, "N-2", terminal="T02")
    assert problem_of(second) == (409, "voucher-already-used")
    told = {name: second.json()[name] for name in ("used_at", "terminal", "request_number")}
    assert told.pop("used_at") == found["used_at"].replace("Z", "+00:00")
    assert told == {"terminal": "T01", "request_number": "N-1"}
    assert rows(fulfillment_database, "SELECT state FROM vouchers") == [("used",)]


@pytest.mark.proves("G14")
async def test_where_it_was_used_is_told_to_the_same_merchant_alone(fulfillment: Fulfillment) -> None:
    [code] = await fulfillment.issue(line(1, merchants=("M001", "M002")))
    await fulfillment.use(code, "N-1")
    elsewhere = await fulfillment.use(code, "N-1", merchant="M002")
    assert problem_of(elsewhere) == (409, "voucher-already-used")
    assert elsewhere.json()["used_at"]
    assert not {"terminal", "request_number"} & elsewhere.json().keys()


@pytest.mark.proves("G15", "G27")
async def test_the_same_request_again_gets_the_same_bytes(fulfillment: Fulfillment) -> None:
    [code] = await fulfillment.issue()
    first = await fulfillment.use(code, "N-1", till_reference="r")
    for typed in (code, code.lower(), normalise(code)):
        again = await fulfillment.use(typed, "N-1", till_reference="r")
        assert (again.status_code, again.content) == (200, first.content)
        assert again.headers["idempotency-replayed"] == "true"


@pytest.mark.proves("G15", "G27")
async def test_a_refusal_stays_a_refusal_even_when_the_voucher_comes_back(fulfillment: Fulfillment) -> None:
    [code] = await fulfillment.issue()
    await fulfillment.use(code, "N-1")
    refused = await fulfillment.use(code, "N-2")
    await fulfillment.reverse("N-1")
    late = await fulfillment.use(code, "N-2")  # a repeat that the network held back: the cashier has sent the customer away
    assert bytes_without_trace(late) == bytes_without_trace(refused)
    assert (late.status_code, late.headers["idempotency-replayed"]) == (409, "true")
    assert (await fulfillment.use(code, "N-3")).status_code == 200


@pytest.mark.proves("G28")
async def test_another_request_under_a_known_number_is_refused(fulfillment: Fulfillment) -> None:
    codes = await fulfillment.issue(line(1, 2))
    await fulfillment.use(codes[0], "N-1")
    for answer in (
        await fulfillment.use(codes[1], "N-1"),
        await fulfillment.use(codes[0], "N-1", till_reference="another"),
    ):
        assert problem_of(answer) == (422, "request-number-reused")
    assert (await fulfillment.use(codes[1], "N-2")).status_code == 200


@pytest.mark.proves("G29")
async def test_a_number_belongs_to_its_terminal(fulfillment: Fulfillment) -> None:
    codes = await fulfillment.issue(line(1, 3, merchants=("M001", "M002")))
    tills = [("M001", "T01"), ("M001", "T02"), ("M002", "T01")]
    for code, (merchant, terminal) in zip(codes, tills, strict=True):
        answer = await fulfillment.use(code, "N-1", merchant, terminal)
        assert (answer.status_code, "idempotency-replayed" in answer.headers) == (200, False)


@pytest.mark.proves("G39")
async def test_a_use_is_shown_to_its_own_terminal_alone(fulfillment: Fulfillment) -> None:
    [code] = await fulfillment.issue()
    used = await fulfillment.use(code, "N-1")
    own = await fulfillment.get("/v1/uses/N-1", fulfillment.issuer.till())
    assert own.json() == used.json()
    for merchant, terminal in (("M001", "T02"), ("M002", "T01")):
        other = await fulfillment.get("/v1/uses/N-1", fulfillment.issuer.till(merchant, terminal))
        absent = await fulfillment.get("/v1/uses/N-9", fulfillment.issuer.till(merchant, terminal))
        assert problem_of(other) == problem_of(absent) == (404, "use-not-found")
        assert bytes_without_trace(other) == bytes_without_trace(absent).replace(b"N-9", b"N-1")


@pytest.mark.proves("F5", "G15")
async def test_a_reversed_use_gives_the_voucher_back(fulfillment: Fulfillment, fulfillment_database: TestDatabase) -> None:
    [code] = await fulfillment.issue()
    await fulfillment.use(code, "N-1")
    first = await fulfillment.reverse("N-1")
    assert (first.status_code, first.json()["state"], first.json()["request_number"]) == (200, "reversed", "N-1")
    again = await fulfillment.reverse("N-1")
    assert (again.content, again.headers["idempotency-replayed"]) == (first.content, "true")
    assert (await fulfillment.get("/v1/uses/N-1", fulfillment.issuer.till())).content == first.content
    late = await fulfillment.use(code, "N-1")
    assert problem_of(late) == (409, "use-reversed")
    assert late.json()["reversed_at"]
    assert rows(fulfillment_database, "SELECT state, used_at FROM vouchers") == [("issued", None)]
    assert (await fulfillment.use(code, "N-2")).status_code == 200


@pytest.mark.proves("G15")
async def test_a_reversal_that_comes_first_stops_the_use(fulfillment: Fulfillment, fulfillment_database: TestDatabase) -> None:
    [code] = await fulfillment.issue()
    tombstone = await fulfillment.reverse("N-1")
    assert (tombstone.status_code, tombstone.json()["state"], tombstone.json()["voucher"]) == (200, "reversed", None)
    assert problem_of(await fulfillment.use(code, "N-1")) == (409, "use-reversed")
    assert (await fulfillment.reverse("N-1")).content == tombstone.content
    assert rows(fulfillment_database, "SELECT state FROM vouchers") == [("issued",)]


@pytest.mark.proves("G15")
async def test_a_refused_use_can_be_taken_back_by_a_till_that_never_saw_the_refusal(fulfillment: Fulfillment) -> None:
    [code] = await fulfillment.issue()
    await fulfillment.use(code, "N-1")
    await fulfillment.use(code, "N-2")
    assert (await fulfillment.get("/v1/uses/N-2", fulfillment.issuer.till())).json()["refusal"] == "used"
    assert (await fulfillment.reverse("N-2")).json()["state"] == "reversed"
    assert (await fulfillment.verify(code)).json()["state"] == "used"


@pytest.mark.proves("G39", "G15")
async def test_another_terminal_cannot_reverse_a_use(fulfillment: Fulfillment) -> None:
    [code] = await fulfillment.issue()
    await fulfillment.use(code, "N-1")
    assert (await fulfillment.reverse("N-1", terminal="T02")).json()["voucher"] is None  # a tombstone of its own
    assert (await fulfillment.verify(code)).json()["state"] == "used"


@pytest.mark.proves("F5", "G15")
async def test_time_ends_reversals_and_vouchers(fulfillment_database: TestDatabase, issuer: Issuer) -> None:
    clock = SetClock(dt.datetime(2026, 11, 22, 4, 0, tzinfo=dt.UTC))  # noon in Shanghai
    know_merchants(fulfillment_database, "M001")
    async with running_fulfillment(fulfillment_database, issuer, clock=clock, reversal_minutes_max=10) as fulfillment:
        codes = await fulfillment.issue(line(1, 3, valid_days=1))
        await fulfillment.use(codes[0], "N-1")
        await fulfillment.use(codes[1], "N-2")
        clock.advance(dt.timedelta(minutes=10) - dt.timedelta(microseconds=1))
        assert (await fulfillment.reverse("N-1")).status_code == 200
        clock.advance(dt.timedelta(microseconds=1))
        late = await fulfillment.reverse("N-2")
        assert problem_of(late) == (409, "reversal-too-late")
        assert late.json()["minutes"] == 10

        clock.instant = dt.datetime(2026, 11, 23, 15, 59, 59, 999999, tzinfo=dt.UTC)  # the last instant of the next day
        assert (await fulfillment.verify(codes[2])).json()["usable"] is True
        clock.advance(dt.timedelta(microseconds=1))
        expired = (await fulfillment.verify(codes[2])).json()
        assert (expired["usable"], expired["state"]) == (False, "expired")
        refused = await fulfillment.use(codes[2], "N-3")
        assert problem_of(refused) == (409, "voucher-expired")
        assert refused.json()["expires_at"] == "2026-11-23T16:00:00+00:00"
        assert {voucher["state"] for voucher in await fulfillment.wallet()} == {"expired", "used"}


@pytest.mark.proves("K10", "F5")
@pytest.mark.parametrize(("merchant", "terminal"), [("M001", "T99"), ("M999", "T01"), ("M-ENDED", "T01"), ("M-OFF", "T01")])
async def test_a_till_that_is_not_known_or_whose_contract_ended_is_refused(
    fulfillment: Fulfillment, fulfillment_database: TestDatabase, merchant: str, terminal: str
) -> None:
    know_merchants(fulfillment_database, "M-ENDED", until="2026-01-01")
    know_merchants(fulfillment_database, "M-OFF", accepts=False)
    [code] = await fulfillment.issue(line(1, merchants=("M001", "M-ENDED", "M-OFF", "M999")))
    assert problem_of(await fulfillment.verify(code, merchant, terminal)) == (403, "till-not-admitted")
    assert problem_of(await fulfillment.use(code, "N-1", merchant, terminal)) == (403, "till-not-admitted")
    assert (await fulfillment.verify(code)).json()["state"] == "issued"


@pytest.mark.proves("G40")
async def test_only_tills_with_the_scope_are_let_in(fulfillment: Fulfillment) -> None:
    [code] = await fulfillment.issue()
    issuer = fulfillment.issuer
    verify_only = issuer.token("merchant", "t", scope="vouchers:verify", merchant="M001", terminal="T01")
    use_only = issuer.token("merchant", "t", scope="vouchers:use", merchant="M001", terminal="T01")
    strangers = [issuer.customer(), issuer.staff("agent", "administrator"), issuer.service()]
    calls = [("POST", "/v1/verifications"), ("PUT", "/v1/uses/N-1"), ("PUT", "/v1/uses/N-1/reversal"), ("GET", "/v1/uses/N-1")]
    for (verb, path), headers in itertools.product(calls, strangers):
        body = {"code": code} if path.endswith(("N-1", "verifications")) and verb != "GET" else None
        assert (await fulfillment.client.request(verb, path, json=body, headers=headers)).status_code == 403
    for (verb, path), token in zip(calls, [use_only, verify_only, verify_only, verify_only], strict=True):
        body = {"code": code} if path.endswith(("N-1", "verifications")) and verb != "GET" else None
        headers = {"Authorization": f"Bearer {token}"}
        assert (await fulfillment.client.request(verb, path, json=body, headers=headers)).status_code == 403


@pytest.mark.proves("G42", "G12")
async def test_a_wrong_body_is_refused_by_field_and_its_code_is_not_repeated(fulfillment: Fulfillment) -> None:
    code = grouped(new_code())
    bodies: list[tuple[Any, str]] = [
        ({}, "code"),
        ({"code": ""}, "code"),
        ({"code": 5}, "code"),
        ({"code": [code]}, "code"),
        ({"code": code * 5}, "code"),
        ({"code": code, "more": 1}, "more"),
        ({"code": code, "till_reference": ""}, "till_reference"),
        ({"code": code, "till_reference": code * 9}, "till_reference"),
    ]
    for body, field in bodies:
        answer = await fulfillment.client.put("/v1/uses/N-1", json=body, headers=fulfillment.issuer.till())
        assert (answer.status_code, [error["field"] for error in answer.json()["errors"]]) == (422, [field])
        assert code not in answer.text
    for number in ("a b", "n" * 65, "N/1", "号"):
        answer = await fulfillment.client.put(f"/v1/uses/{number}", json={"code": code}, headers=fulfillment.issuer.till())
        assert answer.status_code in (404, 422)


@pytest.mark.proves("G12")
@pytest.mark.parametrize("form", [str, normalise, str.lower, lambda code: f"no.{normalise(code)}:1"])
async def test_a_code_in_the_number_or_the_reference_is_refused(fulfillment: Fulfillment, form: Any) -> None:
    [code] = await fulfillment.issue()
    for number, body, field in (
        (form(code), {}, "path:request_number"),
        ("N-1", {"till_reference": form(code)}, "till_reference"),
    ):
        answer = await fulfillment.use(code, number, **body)
        assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, field)
    assert (await fulfillment.verify(code)).json()["usable"] is True


@pytest.mark.proves("X5")
async def test_a_reversal_says_why_in_a_word(fulfillment: Fulfillment, fulfillment_database: TestDatabase) -> None:
    headers = fulfillment.issuer.till()
    for number, body, reason in (("N-1", None, "no-answer"), ("N-2", {"reason": "mistake"}, "mistake")):
        answer = await fulfillment.client.put(f"/v1/uses/{number}/reversal", json=body, headers=headers)
        assert answer.status_code == 200
        assert rows(fulfillment_database, "SELECT reason FROM audit_entries ORDER BY id DESC LIMIT 1") == [(reason,)]
    wrong = await fulfillment.client.put("/v1/uses/N-3/reversal", json={"reason": new_code()}, headers=headers)
    assert (wrong.status_code, wrong.json()["errors"][0]["field"]) == (422, "reason")


@pytest.mark.proves("G13")
async def test_whatever_the_code_the_same_is_asked_of_the_database(
    fulfillment: Fulfillment, fulfillment_database: TestDatabase
) -> None:
    """What is not found takes as long as what is none of the merchant's business: the same statements, in the same order."""
    [code] = await fulfillment.issue()
    said: list[str] = []
    engine = fulfillment.parts.database.engine.sync_engine

    def note(conn: Any, cursor: Any, statement: str, *rest: Any) -> None:
        said.append(statement)

    event.listen(engine, "before_cursor_execute", note)
    found = []
    for wrong, merchant in (
        (new_code(), "M001"),
        ("nonsense", "M001"),
        (with_wrong_check_symbol(code), "M001"),
        (code, "M002"),
    ):
        said.clear()
        assert (await fulfillment.verify(wrong, merchant)).status_code == 404
        found.append(tuple(said))
    event.remove(engine, "before_cursor_execute", note)
    assert len(set(found)) == 1
    assert len(found[0]) == 3


@pytest.mark.proves("G12")
async def test_no_answer_of_a_till_repeats_the_code(fulfillment: Fulfillment) -> None:
    codes = await fulfillment.issue(line(1, 2))
    answers = [
        await fulfillment.verify(codes[0]),
        await fulfillment.use(codes[0], "N-1"),
        await fulfillment.use(codes[0], "N-1"),
        await fulfillment.use(codes[0], "N-2"),
        await fulfillment.use(codes[1], "N-2"),
        await fulfillment.reverse("N-1"),
        await fulfillment.use(codes[0], "N-1"),
        await fulfillment.use(codes[0], "N-3", merchant="M002"),
    ]
    for answer, code in itertools.product(answers, codes):
        assert code not in answer.text
        assert normalise(code) not in answer.text
        assert code not in str(answer.headers)


@pytest.mark.proves("G15", "X3")
async def test_when_the_answer_is_lost_the_same_request_brings_it(fulfillment: Fulfillment) -> None:
    codes = await fulfillment.issue(line(1, 2))
    for code, (point, done) in zip(codes, [("use__before_commit", False), ("use__after_commit", True)], strict=True):
        number = next_number()
        failpoints.arm(**{point: "raise"})
        assert (await fulfillment.use(code, number)).status_code == 500
        failpoints.arm()
        assert ((await fulfillment.get(f"/v1/uses/{number}", fulfillment.issuer.till())).status_code == 200) is done
        again = await fulfillment.use(code, number)
        assert (again.status_code, again.json()["state"]) == (200, "used")
        assert ("idempotency-replayed" in again.headers) is done
        failpoints.arm(reverse__after_commit="raise")
        assert (await fulfillment.reverse(number)).status_code == 500
        failpoints.arm()
        assert (await fulfillment.reverse(number)).headers["idempotency-replayed"] == "true"


@pytest.mark.proves("G46", "X5")
async def test_every_change_has_its_audit_row_and_none_holds_a_code(
    fulfillment: Fulfillment, fulfillment_database: TestDatabase
) -> None:
    [code] = await fulfillment.issue()
    before = len(rows(fulfillment_database, "SELECT 1 FROM audit_entries"))
    await fulfillment.use(code, "N-1")
    await fulfillment.use(code, "N-1")
    await fulfillment.use(code, "N-2")
    await fulfillment.reverse("N-1")
    await fulfillment.reverse("N-1")
    await fulfillment.reverse("N-3")
    query = "SELECT action, actor, channel FROM audit_entries ORDER BY id OFFSET %s"
    found = rows(fulfillment_database, query, before)
    actions = ["use.made", "voucher.used", "use.refused", "use.reversed", "voucher.use_reversed", "use.reversed"]
    assert [action for action, _, _ in found] == actions
    assert {row[1:] for row in found} == {("merchant:till:M001:T01", "till:M001:T01")}


@pytest.mark.proves("G46")
async def test_without_its_audit_row_nothing_is_used(fulfillment: Fulfillment, fulfillment_database: TestDatabase) -> None:
    [code] = await fulfillment.issue()
    with psycopg.connect(fulfillment_database.superuser_url) as conn:
        conn.execute("REVOKE INSERT ON audit_entries FROM fulfillment_service")
    assert (await fulfillment.use(code, "N-1")).status_code == 500
    assert rows(fulfillment_database, "SELECT state, (SELECT count(*) FROM uses) FROM vouchers") == [("issued", 0)]
