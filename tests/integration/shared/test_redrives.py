"""A parked task runs again when two people want it: over HTTP, over time, and for SQL that skips all of it."""

import asyncio
import hashlib
import json
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import psycopg
import pytest
from psycopg import errors as pg

from shared.audit import Audit
from shared.books import Books
from shared.tasks.api import task_router
from shared.tasks.books import REDRIVE_CHECKS
from tests.support.mechanisms import Mechanisms, audit_entries
from tests.support.task_steps import add, claim, finish, lose, new_task, park
from tests.support.tiny_app import client_of, new_app
from tests.support.tokens import Issuer

pytestmark = pytest.mark.anyio

UNRETURNED = 5
PATH = "/internal/v1/tasks"


class Desk:
    """Operators at the application, with the database behind it."""

    def __init__(self, mechanisms: Mechanisms, client: httpx.AsyncClient, issuer: Issuer) -> None:
        self.mechanisms, self.client, self.issuer = mechanisms, client, issuer

    def of(self, name: str, *, person: str | None = None, role: str = "supervisor") -> dict[str, str]:
        """The header of a sign-in; its person is somebody else than any other sign-in's unless told."""
        claims = {} if person is None else {"person": person}
        token = self.issuer.token("staff", name, roles=[role], client_id="console", **{"person": f"p-{name}", **claims})
        return {"Authorization": f"Bearer {token}"}

    async def ask(self, task: Any, who: str = "ann", reason: str = "mended", **login: Any) -> httpx.Response:
        return await self.client.post(f"{PATH}/{task}/redrive", json={"reason": reason}, headers=self.of(who, **login))

    async def approve(self, task: Any, who: str = "bob", **login: Any) -> httpx.Response:
        return await self.client.post(f"{PATH}/{task}/redrive/approval", headers=self.of(who, **login))

    async def shown(self) -> dict[str, Any]:
        answer = await self.client.get(PATH, headers=self.of("ann"))
        found: dict[str, Any] = answer.json()
        return found

    async def states(self) -> list[str]:
        return [str(row[0]) for row in await self.mechanisms.rows("SELECT state FROM task_redrives ORDER BY asked_at")]

    async def audited(self) -> list[tuple[object, ...]]:
        return await self.mechanisms.rows("SELECT action, subject, actor, reason FROM audit_entries ORDER BY id")


@asynccontextmanager
async def running_desk(mechanisms: Mechanisms, issuer: Issuer) -> AsyncIterator[Desk]:
    router = task_router(mechanisms.database, Audit(audit_entries))
    async with client_of(new_app(issuer, [router])) as client:
        yield Desk(mechanisms, client, issuer)


@pytest.fixture
async def desk(mechanisms: Mechanisms, issuer: Issuer) -> AsyncIterator[Desk]:
    async with running_desk(mechanisms, issuer) as running:
        yield running


@pytest.fixture
async def parked(mechanisms: Mechanisms) -> uuid.UUID:
    return await park_one(mechanisms)


async def park_one(mechanisms: Mechanisms, **values: Any) -> uuid.UUID:
    await add(mechanisms, new_task(**values))
    await lose(mechanisms, UNRETURNED)
    [(task_id, _)] = await park(mechanisms)
    return task_id


def code_of(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, str(answer.json().get("type", "")).rpartition("/")[2]


def by_superuser(mechanisms: Mechanisms, statement: str, *values: Any) -> None:
    with psycopg.connect(mechanisms.place.superuser_url, autocommit=True) as conn:
        conn.execute(statement, values)


@pytest.mark.proves("G41", "G46")
async def test_one_asks_another_agrees_and_the_task_runs_again_both_acts_on_record(desk: Desk, parked: uuid.UUID) -> None:
    asked = await desk.ask(parked, "ann", "the row is readable again")
    assert asked.status_code == 201, asked.text
    assert (asked.json()["state"], asked.json()["asked_by"], asked.json()["decided_by"]) == ("pending", "p-ann", None)
    [shown] = (await desk.shown())["parked"]
    assert (shown["redrive"]["asked_by"], shown["redrive"]["reason"]) == ("p-ann", "the row is readable again")
    assert await claim(desk.mechanisms) == [], "asking alone moves nothing"
    agreed = await desk.approve(parked, "bob")
    assert (agreed.status_code, agreed.json()["state"], agreed.json()["decided_by"]) == (200, "approved", "p-bob")
    assert (await desk.shown())["parked"] == []
    [held] = await claim(desk.mechanisms)
    assert held.id == parked
    assert await desk.mechanisms.value("SELECT claims_unreturned FROM tasks") == 1
    assert await finish(desk.mechanisms, held) == {parked}
    subject, why = f"task:{parked}", "the row is readable again"
    assert await desk.audited() == [
        ("task.redrive_asked", subject, "staff:p-ann", why),
        ("task.redriven", subject, "staff:p-bob", why),
    ]


@pytest.mark.proves("G41")
async def test_nobody_agrees_to_what_they_asked_for_themselves_under_whatever_name_they_sign_in(
    desk: Desk, parked: uuid.UUID
) -> None:
    await desk.ask(parked, "ann")
    for login in ({}, {"role": "administrator"}):
        assert code_of(await desk.approve(parked, "ann", **login)) == (403, "self-approval-forbidden")
    assert code_of(await desk.approve(parked, "ann-the-administrator", person="p-ann")) == (403, "self-approval-forbidden")
    assert await desk.states() == ["pending"]
    assert (await desk.approve(parked, "ann", person="p-somebody-else")).status_code == 200, "people count, not names"


async def test_a_sign_in_that_names_no_person_is_nobody_who_could_be_told_from_another(desk: Desk, parked: uuid.UUID) -> None:
    assert code_of(await desk.ask(parked, "ann", person="")) == (403, "insufficient-scope")
    await desk.ask(parked)
    assert code_of(await desk.approve(parked, "bob", person="")) == (403, "insufficient-scope")


@pytest.mark.proves("G41")
async def test_one_request_waits_at_a_time(desk: Desk, parked: uuid.UUID) -> None:
    answers = await asyncio.gather(*[desk.ask(parked, name) for name in ("ann", "bob", "cat", "ann")])
    assert sorted(code_of(answer) for answer in answers) == [(201, ""), *[(409, "approval-pending")] * 3]
    refused = next(answer for answer in answers if answer.status_code == 409)
    assert refused.json()["expires_at"] == (await desk.shown())["parked"][0]["redrive"]["expires_at"]
    assert await desk.states() == ["pending"]


@pytest.mark.proves("G41")
async def test_two_who_agree_at_once_start_it_once(desk: Desk, parked: uuid.UUID) -> None:
    await desk.ask(parked)
    answers = await asyncio.gather(*[desk.approve(parked, name) for name in ("bob", "cat")])
    assert sorted(answer.status_code for answer in answers) == [200, 409]
    assert [action for action, *_ in await desk.audited()].count("task.redriven") == 1


@pytest.mark.proves("G41")
async def test_an_approval_comes_within_a_day_or_not_at_all(desk: Desk, parked: uuid.UUID) -> None:
    await desk.ask(parked)
    by_superuser(desk.mechanisms, "UPDATE task_redrives SET expires_at = clock_timestamp() - interval '1 second'")
    assert (await desk.shown())["parked"][0]["redrive"] is None
    assert code_of(await desk.approve(parked)) == (409, "approval-stale")
    assert await desk.states() == ["expired"]
    assert code_of(await desk.approve(parked)) == (409, "nothing-to-approve")
    assert (await desk.ask(parked, "bob")).status_code == 201
    hours = await desk.mechanisms.value(
        "SELECT extract(epoch FROM expires_at - asked_at) / 3600 FROM task_redrives WHERE state = 'pending'"
    )
    assert round(float(str(hours)), 3) == 24
    by_superuser(desk.mechanisms, "UPDATE task_redrives SET expires_at = clock_timestamp() WHERE state = 'pending'")
    assert (await desk.ask(parked, "cat")).status_code == 201, "what is over stands in nobody's way"
    assert await desk.states() == ["expired", "expired", "pending"]


@pytest.mark.proves("G41")
@pytest.mark.parametrize(
    "edit", ['payload = \'{"to": "somebody else"}\'', "kind = 'another'", "ref = gen_random_uuid()", "token = token + 1"]
)
async def test_what_was_changed_after_it_was_asked_for_is_not_what_was_agreed_to(
    desk: Desk, parked: uuid.UUID, edit: str
) -> None:
    await desk.ask(parked)
    await desk.mechanisms.rows(f"UPDATE tasks SET {edit} RETURNING 1")
    assert code_of(await desk.approve(parked)) == (409, "approval-stale")
    assert await desk.states() == ["void"]
    assert await desk.mechanisms.value("SELECT state FROM tasks") == "parked"


async def test_what_is_agreed_to_is_a_hash_of_kind_subject_payload_and_token(desk: Desk) -> None:
    ref = uuid.uuid4()
    await park_one(desk.mechanisms, ref=ref, payload={"b": 1, "a": "钱"})
    written = json.dumps(["work", str(ref), {"a": "钱", "b": 1}, UNRETURNED], ensure_ascii=False)
    found = await desk.mechanisms.value("SELECT task_fingerprint(kind, ref, payload, token) FROM tasks")
    assert found == hashlib.sha256(written.encode()).digest()


async def test_only_a_parked_task_is_asked_for(desk: Desk) -> None:
    assert code_of(await desk.ask(uuid.uuid4())) == (404, "not-found")
    assert code_of(await desk.approve(uuid.uuid4())) == (404, "not-found")
    await add(desk.mechanisms, new_task())
    task_id = await desk.mechanisms.value("SELECT id FROM tasks")
    for answer in (await desk.ask(task_id), await desk.approve(task_id)):
        assert (code_of(answer), answer.json()["state"]) == ((409, "task-not-parked"), "ready")


async def test_a_parked_task_whose_successor_lives_stays_parked(desk: Desk) -> None:
    task_id = await park_one(desk.mechanisms, dedupe_key="k")
    await desk.ask(task_id)
    await add(desk.mechanisms, new_task(dedupe_key="k"))
    assert code_of(await desk.approve(task_id)) == (409, "task-superseded")
    assert await desk.states() == ["pending"]
    other = await park_one(desk.mechanisms, dedupe_key="k")
    await add(desk.mechanisms, new_task(dedupe_key="k"))
    assert code_of(await desk.ask(other)) == (409, "task-superseded")


@pytest.mark.parametrize("reason", ["", "   ", "x" * 501, None, 5])
async def test_a_reason_is_given_in_words(desk: Desk, parked: uuid.UUID, reason: Any) -> None:
    answer = await desk.client.post(f"{PATH}/{parked}/redrive", json={"reason": reason}, headers=desk.of("ann"))
    assert (code_of(answer), answer.json()["errors"][0]["field"]) == ((422, "validation-error"), "reason")


@pytest.mark.proves("G46")
@pytest.mark.parametrize("act", ["ask", "approve"])
async def test_what_cannot_be_put_on_record_does_not_happen(desk: Desk, parked: uuid.UUID, act: str) -> None:
    if act == "approve":
        await desk.ask(parked)
    before = await desk.states()
    desk.mechanisms.as_owner("REVOKE INSERT ON audit_entries FROM mechanisms_service")
    answer = await (desk.ask(parked) if act == "ask" else desk.approve(parked))
    assert answer.status_code == 500
    assert (await desk.states(), await desk.mechanisms.value("SELECT state FROM tasks")) == (before, "parked")


REDRIVE = "UPDATE tasks SET state = 'ready', claims_unreturned = 0, run_at = clock_timestamp()"
ASKED = (
    "INSERT INTO task_redrives (id, task_id, reason, fingerprint, asked_by) "
    "SELECT gen_random_uuid(), id, 'x', task_fingerprint(kind, ref, payload, token), 'p-ann' FROM tasks"
)
AGREED = "UPDATE task_redrives SET state = 'approved', decided_by = 'p-bob', decided_at = clock_timestamp()"


@pytest.fixture
def as_the_service(mechanisms: Mechanisms, parked: uuid.UUID) -> Iterator[psycopg.Connection[Any]]:
    """SQL of the role that the service runs as, with one parked task there."""
    with psycopg.connect(mechanisms.place.url, autocommit=True, prepare_threshold=None) as conn:
        yield conn


@pytest.mark.proves("G41")
@pytest.mark.parametrize(
    "statements",
    [
        [REDRIVE],
        ["UPDATE tasks SET state = 'done'"],
        ["DELETE FROM tasks"],
        [ASKED, REDRIVE],
        [ASKED, "UPDATE task_redrives SET state = 'void', decided_at = clock_timestamp()", REDRIVE],
        [ASKED, AGREED, "UPDATE tasks SET payload = '{\"to\": 1}'", REDRIVE],
        [ASKED, AGREED, f"{REDRIVE}, payload = '{{\"to\": 1}}'"],
        [ASKED, AGREED, f"{REDRIVE}, id = gen_random_uuid()"],
        [ASKED, AGREED, REDRIVE, "UPDATE tasks SET state = 'parked'", REDRIVE],
        [ASKED, "UPDATE task_redrives SET state = 'expired', decided_at = clock_timestamp()", AGREED],
        [ASKED, AGREED, REDRIVE, "UPDATE task_redrives SET spent_at = NULL"],
        [ASKED, "UPDATE task_redrives SET expires_at = expires_at + interval '1 day'"],
        [ASKED, "UPDATE task_redrives SET asked_by = 'p-cat'"],
        [ASKED, "DELETE FROM task_redrives"],
        ["INSERT INTO task_redrives (id, task_id, reason, fingerprint, asked_by, state, decided_by, decided_at) SELECT "
         "gen_random_uuid(), id, 'x', task_fingerprint(kind, ref, payload, token), 'a', 'approved', 'b', now() FROM tasks"],
        ["ALTER TABLE tasks DISABLE TRIGGER parked_tasks_wait"],
        ["DROP FUNCTION guard_parked_task CASCADE"],
    ],
    ids=str,
)  # fmt: skip
async def test_sql_of_the_services_own_role_cannot_skip_the_second_person(
    as_the_service: psycopg.Connection[Any], statements: list[str]
) -> None:
    for statement in statements[:-1]:
        as_the_service.execute(statement)
    with pytest.raises(pg.InsufficientPrivilege) as refused:
        as_the_service.execute(statements[-1])
    assert refused.value.sqlstate == "42501"


@pytest.mark.proves("G41")
async def test_one_person_twice_is_no_approval_for_the_database_either(as_the_service: psycopg.Connection[Any]) -> None:
    as_the_service.execute(ASKED)
    with pytest.raises(pg.CheckViolation) as refused:
        as_the_service.execute(AGREED.replace("p-bob", "p-ann"))
    assert refused.value.diag.constraint_name == "ck_task_redrives_two_people"
    with pytest.raises(pg.UniqueViolation):
        as_the_service.execute(ASKED)


@pytest.mark.proves("G41", "G8")
async def test_two_people_whom_sql_invents_get_past_the_guard_and_not_past_the_books(
    mechanisms: Mechanisms, desk: Desk, as_the_service: psycopg.Connection[Any], parked: uuid.UUID
) -> None:
    books = Books(REDRIVE_CHECKS)
    assert (await desk.ask(parked)).status_code == 201
    assert (await desk.approve(parked)).status_code == 200
    assert await books.find_breaks(mechanisms.database) == [], "two people at the application"
    [held] = await claim(mechanisms)
    assert await finish(mechanisms, held) == {parked}
    another = await park_one(mechanisms)
    for statement in (ASKED, AGREED, REDRIVE):
        as_the_service.execute(f"{statement} WHERE {'task_id' if statement is AGREED else 'id'} = '{another}'")
    [found] = await books.find_breaks(mechanisms.database)
    assert (found.kind, found.subject) == ("redrive-without-two-people", f"task:{another}")
    assert "p-ann" in found.detail and "p-bob" in found.detail


@pytest.mark.proves("G41")
async def test_an_approval_that_is_over_starts_nothing(
    mechanisms: Mechanisms, as_the_service: psycopg.Connection[Any], parked: uuid.UUID
) -> None:
    as_the_service.execute(ASKED)
    as_the_service.execute(AGREED)
    by_superuser(mechanisms, "UPDATE task_redrives SET expires_at = clock_timestamp() - interval '1 second'")
    with pytest.raises(pg.InsufficientPrivilege):
        as_the_service.execute(REDRIVE)
    by_superuser(mechanisms, "UPDATE task_redrives SET expires_at = clock_timestamp() + interval '1 hour'")
    assert as_the_service.execute(REDRIVE).rowcount == 1, "the control: with an approval that holds it goes on"
