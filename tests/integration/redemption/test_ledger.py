"""Balances, statements, expiry and account states."""

import csv
import io
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from services.redemption.points import use_cases
from shared.clock import SetClock
from shared.tasks import NewTask
from tests.integration.redemption.conftest import Databases
from tests.support.postgres import TestDatabase
from tests.support.redemption import code_of, execute, mended, one, rested, rows
from tests.support.suite import Suite, running_suite
from tests.support.tokens import Issuer

pytestmark = pytest.mark.anyio

POINTS = "customer_number,points,expires_on,reference\n"
JUNE = datetime(2026, 6, 1, 4, tzinfo=UTC)


async def give(suite: Suite, subject: str, name: str, *lots: tuple[int, str]) -> None:
    """Points earned: (points, last day) a lot."""
    number = subject.removeprefix("customer-")
    lines = "".join(f"{number},{points},{day},{name}-{n}\n" for n, (points, day) in enumerate(lots))
    await suite.feed("earned-points", name, f"{POINTS}{lines}#total,{len(lots)},{sum(points for points, _ in lots)}\n")


async def read(suite: Suite, subject: str, what: str = "") -> Any:
    customer_id = (await suite.me(subject))["customer_id"]
    answer = await suite.client.get(f"/v1/customers/{customer_id}/points{what}", headers=suite.issuer.customer(subject))
    assert answer.status_code == 200, answer.text
    return answer


async def expiry_run(suite: Suite) -> None:
    parts = suite.redemption.state.parts
    async with parts.database.transaction() as conn:
        now = await parts.clock.now(conn)
        await parts.tasks.add(conn, [NewTask(kind="expire", run_at=now, dedupe_key="expire")])
    await suite.worker.drain()


@pytest.mark.proves("P1", "P3", "P4", "G1")
async def test_the_statement_s_running_balance_adds_up_page_by_page_and_as_a_file(suite: Suite, ledger: TestDatabase) -> None:
    [customer] = await suite.add_customers(5000)
    for number in range(4):
        await give(suite, customer, f"e{number}", (100 + number, "2031-01-31"))
        assert code_of(await suite.redeem(customer)) == "201"
    lines: list[dict[str, Any]] = []
    cursor = ""
    while cursor is not None:
        page = (await read(suite, customer, f"/statement?limit=4{cursor and f'&cursor={cursor}'}")).json()
        lines += page["items"]
        cursor = page["next"]
    assert [line["number"] for line in lines] == list(range(9, 0, -1))
    balance = 0
    for line in reversed(lines):
        balance += line["points"]
        assert line["balance_after"] == balance
    assert balance == (await suite.points(customer))["balance"] == 5000 + 406 - 4000
    assert {line["kind"] for line in lines} == {"opening", "earned", "redeemed"}
    assert lines[0]["words"] == "兑换礼品" and lines[0]["redemption_id"]
    exported = await read(suite, customer, "/statement.csv")
    assert exported.content.startswith(b"\xef\xbb\xbf") and exported.headers["cache-control"] == "no-store"
    table = list(csv.DictReader(io.StringIO(exported.content.decode("utf-8-sig"))))
    assert [(int(r["number"]), int(r["points"]), int(r["balance_after"])) for r in table] == [
        (line["number"], line["points"], line["balance_after"]) for line in lines
    ]
    assert one(ledger, "SELECT count(*) FROM postings") == 9


@pytest.mark.proves("P3", "G35")
async def test_the_balance_of_any_past_moment_can_be_asked(databases: Databases, issuer: Issuer) -> None:
    clock = SetClock(JUNE)
    async with running_suite(databases, issuer, clock=clock) as suite:
        await suite.catalog.open()
        [customer] = await suite.add_customers(5000)
        clock.advance(timedelta(hours=1))
        await suite.redeem(customer)
        asked = {
            "2026-06-01T03:59:59Z": 0, "2026-06-01T12:00:00%2B08:00": 5000, "2026-06-01T04:59:59.999999Z": 5000,
            "2026-06-01T05:00:00Z": 4000, "2030-01-01T00:00:00Z": 4000,
        }  # fmt: skip
        for moment, balance in asked.items():
            assert (await read(suite, customer, f"/as-of?moment={moment}")).json()["balance"] == balance, moment
        customer_id = (await suite.me(customer))["customer_id"]
        without_zone = await suite.client.get(
            f"/v1/customers/{customer_id}/points/as-of?moment=2026-06-01T05:00:00", headers=issuer.customer(customer)
        )
        assert code_of(without_zone) == "validation-error"


@pytest.mark.proves("P1", "P2", "G6", "G35")
async def test_points_expire_after_their_last_day_in_sets_and_what_is_held_stays(
    databases: Databases, issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(use_cases, "EXPIRY_ACCOUNTS_MAX", 2)
    monkeypatch.setattr("services.redemption.redemptions.use_cases.redeem.ANSWER_SECONDS", 0.1)
    clock, ledger = SetClock(datetime(2026, 6, 30, 15, 59, 59, tzinfo=UTC)), databases("redemption")
    async with running_suite(databases, issuer, clock=clock) as suite:
        await suite.catalog.open()
        people = await suite.add_customers(*[0] * 5)
        for number, customer in enumerate(people):
            await give(suite, customer, f"e{number}", (1500, "2026-06-30"), (1000, "2026-07-01"))
        shown = await suite.points(people[0])
        assert shown["expiring_soon"] == [
            {"expires_on": "2026-06-30", "points": 1500},
            {"expires_on": "2026-07-01", "points": 1000},
        ]
        assert code_of(await suite.redeem(people[1])) == "201"
        suite.network.faults["catalog.test"] = "down"
        held = await suite.redeem(people[0])
        assert held.status_code == 202
        await expiry_run(suite)
        assert one(ledger, "SELECT count(*) FROM postings WHERE kind = 'expired'") == 0, "the last day is not over at 23:59:59"
        clock.advance(timedelta(seconds=1))
        assert (await suite.points(people[2]))["available"] == 1000, "expired points are not there, run or no run"
        await expiry_run(suite)
        assert sorted(points for (points,) in rows(ledger, "SELECT points FROM postings WHERE kind = 'expired'")) == [
            500,
            500,
            *[1500] * 3,
        ]
        assert one(ledger, "SELECT count(*) FROM tasks WHERE kind = 'expire'") > 3, "a set of two accounts a commit"
        before = one(ledger, "SELECT count(*) FROM postings")
        await expiry_run(suite)
        assert one(ledger, "SELECT count(*) FROM postings") == before, "a second run finds nothing"
        assert one(ledger, "SELECT count(*) FROM audit_entries WHERE action = 'points.expired'") == 5
        points = await suite.points(people[0])
        assert (points["balance"], points["held"], points["available"]) == (2000, 1000, 1000)
        clock.advance(timedelta(seconds=61))  # too late to reserve: the points come back to a lot that is over
        await mended(suite, ledger)
        points = await suite.points(people[0])
        assert (points["balance"], points["held"], points["available"]) == (2000, 0, 2000)
        assert rows(ledger, "SELECT expires_on::text, remaining FROM lots WHERE source = 'grace'") == [("2026-07-31", 1000)]
        kinds = [line["kind"] for line in (await read(suite, people[0], "/statement")).json()["items"]]
        assert kinds == ["grace", "expired", "expired", "earned", "earned"]


@pytest.mark.proves("P6", "X5", "G46")
async def test_an_account_state_is_kept_with_who_why_and_until_when(suite: Suite, ledger: TestDatabase) -> None:
    [customer] = await suite.add_customers(5000)
    customer_id = (await suite.me(customer))["customer_id"]
    path = f"/v1/customers/{customer_id}/account-state"

    async def put(role: str = "supervisor", **wish: Any) -> str:
        return code_of(await suite.client.put(path, json=wish, headers=suite.issuer.staff(role)))

    until = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    assert await put(state="frozen", reason="suspected fraud", until=until) == "204"
    shown = await suite.points(customer)
    assert (shown["state"], datetime.fromisoformat(shown["state_until"])) == ("frozen", datetime.fromisoformat(until))
    [(state, reason, by)] = rows(ledger, "SELECT state, state_reason, state_by FROM accounts")
    assert (state, reason, by) == ("frozen", "suspected fraud", "staff:person-of-staff-1")
    [(actor, why, before, after)] = rows(
        ledger, "SELECT actor, reason, before->>'state', after->>'state' FROM audit_entries WHERE action = 'account.state_set'"
    )
    assert (actor, why, before, after) == ("staff:person-of-staff-1", "suspected fraud", "active", "frozen")
    execute(ledger.superuser_url, "UPDATE accounts SET state_until = clock_timestamp() - interval '1 second'")
    shown = await suite.points(customer)
    assert (shown["state"], shown["state_until"]) == ("active", None), "it is over, and is shown so"
    assert code_of(await suite.redeem(customer)) == "201"
    past = (datetime.now(UTC) - timedelta(seconds=1)).isoformat()
    assert await put(state="frozen", reason="too late", until=past) == "validation-error"
    assert await put(state="closed", reason="never ends", until=until) == "validation-error"
    assert await put(state="frozen", reason="no") == "validation-error"
    assert await put(state="asleep", reason="no such state") == "validation-error"
    assert await put("agent", state="frozen", reason="not allowed") == "insufficient-scope"
    assert await put(state="closed", reason="the customer left") == "204"
    assert await put(state="active", reason="came back") == "account-closed"
    assert one(ledger, "SELECT count(*) FROM audit_entries WHERE action = 'account.state_set'") == 2


@pytest.mark.proves("G1", "G46", "G3")
async def test_the_service_s_role_cannot_change_what_was_written(suite: Suite, ledger: TestDatabase) -> None:
    [customer] = await suite.add_customers(5000)
    await suite.redeem(customer)
    for statement in (
        "UPDATE postings SET points = 1", "DELETE FROM postings", "TRUNCATE postings", "DELETE FROM audit_entries",
        "UPDATE audit_entries SET actor = 'x'", "DELETE FROM lots", "DELETE FROM holds", "DELETE FROM accounts",
        "DELETE FROM redemptions", "UPDATE redemption_lines SET quantity = 1", "DELETE FROM redemption_events",
        "DELETE FROM idempotency_keys", "DELETE FROM customers", "DELETE FROM feed_files",
        "UPDATE house_accounts SET code = 'x'",
        "ALTER TABLE postings DISABLE TRIGGER append_only", "DROP TRIGGER append_only ON postings",
    ):  # fmt: skip
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match=r"permission denied|must be owner") as refused:
            execute(ledger.url, statement)  # by grant, before any trigger has its say
        assert refused.value.sqlstate == "42501", statement
    for statement in ("UPDATE postings SET points = 1", "DELETE FROM postings", "DELETE FROM audit_entries"):
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="keeps what was written"):
            execute(ledger.owner_url, statement)


@pytest.mark.proves("G20", "G3", "G2")
async def test_the_database_refuses_illegal_arrows_second_ends_of_holds_and_overspending(
    suite: Suite, ledger: TestDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.redemption.redemptions.use_cases.redeem.ANSWER_SECONDS", 0.1)
    [customer] = await suite.add_customers(5000)
    await suite.redeem(customer)
    suite.network.faults["catalog.test"] = "down"
    await suite.redeem(customer)
    why = 'reasons = \'[{"code": "x"}]\''
    for statement in (
        f"UPDATE redemptions SET state = 'declined', {why} WHERE state = 'confirmed'",
        "UPDATE redemptions SET state = 'accepted' WHERE state = 'confirmed'",
        "UPDATE redemptions SET state = 'fulfilled' WHERE state = 'accepted'",
        "UPDATE redemptions SET state = 'declined' WHERE state = 'accepted'",  # without a reason
        "UPDATE redemptions SET price_points = 1",
        "UPDATE holds SET state = 'released' WHERE state = 'posted'",
        "UPDATE holds SET state = 'held' WHERE state = 'posted'",
        "UPDATE holds SET points = 1 WHERE state = 'held'",
        "UPDATE accounts SET posted = -1",
        "UPDATE accounts SET held = posted + 1",
        "UPDATE lots SET held = remaining + 1",
        "UPDATE lots SET remaining = original + 1",
        "UPDATE limit_counters SET taken = -1; INSERT INTO limit_counters SELECT id, 'x', -1 FROM customers",
    ):
        with pytest.raises(psycopg.errors.CheckViolation):
            execute(ledger.url, statement)
    await mended(suite, ledger)


@pytest.mark.proves("G46")
async def test_where_the_audit_row_cannot_be_written_nothing_changes(suite: Suite, ledger: TestDatabase) -> None:
    [customer] = await suite.add_customers(5000)
    assert code_of(await suite.redeem(customer, key="k0")) == "201"
    await suite.drain()
    customer_id = (await suite.me(customer))["customer_id"]
    tables = [name for (name,) in rows(ledger, "SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1")]
    still = {t: rows(ledger, f"SELECT md5(coalesce(string_agg(x::text, '|' ORDER BY x::text), '')) FROM {t} x") for t in tables}
    execute(ledger.owner_url, "REVOKE INSERT ON audit_entries FROM redemption_service")
    number = customer.removeprefix("customer-")
    staff, feeds = (
        suite.issuer.staff("supervisor"),
        {**suite.issuer.service("bank-feeds", "feeds:write"), "Content-Type": "text/csv"},
    )
    state = {"state": "frozen", "reason": "why"}
    earned = f"{POINTS}{number},5,2030-12-31,x\n#total,1,5\n"
    answers = [
        await suite.redeem(customer, key="k1"),
        await suite.client.put(f"/v1/customers/{customer_id}/account-state", json=state, headers=staff),
        await suite.client.put("/v1/feeds/earned-points/e1", content=earned, headers=feeds),
        await suite.client.put(
            "/v1/feeds/customers/c1", headers=feeds,
            content="customer_number,subject,name,phone,tier,language\nC9,s9,张三,13812341234,gold,en\n",
        ),
        await suite.client.post("/v1/customers/search", json={"phone": "13800000000"}, headers=suite.issuer.staff("agent")),
    ]  # fmt: skip
    assert [answer.status_code for answer in answers] == [500] * 5
    assert all(code_of(answer) == "internal-error" for answer in answers)
    execute(ledger.owner_url, "GRANT INSERT ON audit_entries TO redemption_service")
    now = {t: rows(ledger, f"SELECT md5(coalesce(string_agg(x::text, '|' ORDER BY x::text), '')) FROM {t} x") for t in tables}
    assert now == still
    assert code_of(await suite.redeem(customer, key="k1")) == "201", "an error of ours is not kept: the same request goes on"
    rested(suite.redemption.state.parts)


@pytest.mark.proves("G46", "X5")
async def test_every_change_of_value_has_its_audit_row(suite: Suite, ledger: TestDatabase) -> None:
    [customer] = await suite.add_customers(2000)
    for _ in range(3):
        await suite.redeem(customer)
    await suite.drain()
    assert dict(rows(ledger, "SELECT action, count(*) FROM audit_entries GROUP BY action")) == {
        "feed.taken_in": 2, "customer.added": 1, "points.opening": 1,
        "redemption.accepted": 2, "redemption.confirmed": 2, "redemption.fulfilled": 2,
    }  # fmt: skip
    assert rows(
        ledger,
        "SELECT DISTINCT actor, channel FROM audit_entries WHERE action IN ('redemption.accepted', 'redemption.confirmed')",
    ) == [(f"customer:{customer}", "mobile-app")]
