"""Four people, one of them with two sign-ins, do to parked tasks whatever they like; a model says what may come of it."""

import asyncio
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from shared.audit import Audit
from shared.tasks.api import task_router
from tests.support.mechanisms import Mechanisms, audit_entries, make_mechanisms
from tests.support.postgres import TestServer
from tests.support.tiny_app import client_of, new_app
from tests.support.tokens import Issuer

PERSON_OF = {"ann": "1", "ann-again": "1", "bob": "2", "cat": "3", "dan": "4"}
LOGINS = st.sampled_from(sorted(PERSON_OF))


@dataclass
class Known:
    """What the model knows of a task."""

    parked: bool = True
    asked_by: str | None = None
    """The person, while a request waits."""
    stale: bool = False
    started: int = 0


class World:
    """One database, one application and one loop for all runs."""

    def __init__(self, mechanisms: Mechanisms, issuer: Issuer) -> None:
        self.mechanisms, self.issuer, self.runner = mechanisms, issuer, asyncio.Runner()
        self.app = new_app(issuer, [task_router(mechanisms.database, Audit(audit_entries))])
        self.superuser = psycopg.connect(mechanisms.place.superuser_url, autocommit=True)
        self.service = psycopg.connect(mechanisms.place.url, autocommit=True, prepare_threshold=None)

    def post(self, path: str, login: str, body: Any = None) -> str:
        """The status, or the code of the problem."""
        token = self.issuer.token("staff", login, roles=["supervisor"], person=PERSON_OF[login], client_id="console")

        async def send() -> str:
            async with client_of(self.app) as client:
                answer = await client.post(
                    f"/internal/v1/tasks/{path}", json=body, headers={"Authorization": f"Bearer {token}"}
                )
            return str(answer.json().get("type", answer.status_code)).rpartition("/")[2]

        return self.runner.run(send())

    def close(self) -> None:
        self.superuser.close()
        self.service.close()
        self.runner.run(self.mechanisms.database.dispose())
        self.runner.close()


@pytest.fixture
def world(postgres: TestServer, issuer: Issuer) -> Iterator[World]:
    made = World(make_mechanisms(postgres), issuer)
    yield made
    made.close()
    postgres.drop(made.mechanisms.place)


def machine_of(world: World) -> type[RuleBasedStateMachine]:
    """The machine, on that world."""

    class FourPeople(RuleBasedStateMachine):
        tasks = Bundle("tasks")

        def __init__(self) -> None:
            super().__init__()
            self.known: dict[uuid.UUID, Known] = {}

        @rule(target=tasks)
        def park(self) -> uuid.UUID:
            task_id = uuid.uuid4()
            world.superuser.execute(
                "INSERT INTO tasks (id, kind, state, run_at, token) VALUES (%s, 'work', 'parked', now(), 5)", [task_id]
            )
            self.known[task_id] = Known()
            return task_id

        @rule(task=tasks, login=LOGINS)
        def ask(self, task: uuid.UUID, login: str) -> None:
            known = self.known[task]
            said = world.post(f"{task}/redrive", login, {"reason": f"{login} says so"})
            if not known.parked:
                assert said == "task-not-parked"
            elif known.asked_by is not None and not known.stale:
                assert said == "approval-pending"
            else:
                assert said == "201"
                known.asked_by, known.stale = PERSON_OF[login], False

        @rule(task=tasks, login=LOGINS)
        def agree(self, task: uuid.UUID, login: str) -> None:
            known = self.known[task]
            said = world.post(f"{task}/redrive/approval", login)
            if known.asked_by is None:
                assert said == ("nothing-to-approve" if known.parked else "task-not-parked")
            elif known.stale:
                assert said == "approval-stale"
                known.asked_by, known.stale = None, False
            elif known.asked_by == PERSON_OF[login]:
                assert said == "self-approval-forbidden"
            else:
                assert said == "200"
                known.parked, known.asked_by, known.started = False, None, known.started + 1

        @rule(task=tasks)
        def edit(self, task: uuid.UUID) -> None:
            known = self.known[task]
            world.service.execute("UPDATE tasks SET payload = jsonb_build_object('n', gen_random_uuid()) WHERE id = %s", [task])
            known.stale = known.asked_by is not None

        @rule(task=tasks)
        def let_a_day_pass(self, task: uuid.UUID) -> None:
            world.superuser.execute(
                "UPDATE task_redrives SET asked_at = asked_at - interval '1 day', expires_at = expires_at - interval '1 day' "
                "WHERE task_id = %s",
                [task],
            )
            self.known[task].stale = self.known[task].asked_by is not None

        @rule(task=tasks)
        def run_and_park_again(self, task: uuid.UUID) -> None:
            """A task that goes down once more has another token, so what was agreed to before is used up."""
            world.service.execute(
                "UPDATE tasks SET state = 'parked', token = token + 5 WHERE id = %s AND state = 'ready'", [task]
            )
            self.known[task].parked = True

        @rule(task=tasks, to=st.sampled_from(["ready", "done"]))
        def skip_everybody(self, task: uuid.UUID, to: str) -> None:
            if self.known[task].parked:
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    world.service.execute("UPDATE tasks SET state = %s WHERE id = %s", [to, task])

        @invariant()
        def every_start_has_two_people_behind_it(self) -> None:
            rows = world.superuser.execute(
                "SELECT t.id, t.state, count(r.spent_at), bool_and(r.decided_by <> r.asked_by), "
                "count(*) FILTER (WHERE r.state = 'pending') FROM tasks t LEFT JOIN task_redrives r ON r.task_id = t.id "
                "WHERE t.id = ANY(%s) GROUP BY t.id, t.state",
                [list(self.known)],
            ).fetchall()
            for task, state, spent, of_two, pending in rows:
                known = self.known[task]
                assert (state == "parked", spent, pending) == (known.parked, known.started, int(known.asked_by is not None))
                assert of_two is not False

    return FourPeople


@pytest.mark.proves("G41")
def test_whatever_four_people_do_no_task_starts_without_two_of_them(world: World) -> None:
    run_state_machine_as_test(
        machine_of(world),
        settings=settings(
            max_examples=25, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck), database=None
        ),
    )
