"""The pooler that `make pgbouncer-test` puts in front: really in transaction mode, and the roles' timeouts reach through it."""

from collections.abc import Iterator

import psycopg
import pytest

from deploy.local.pgbouncer import PgBouncer, pgbouncer_program
from deploy.local.postgres import EmbeddedPostgres
from deploy.postgres.provision import RolePasswords, provision

pytestmark = pytest.mark.skipif(pgbouncer_program() is None, reason="PgBouncer is not installed here")

PASSWORD = 'with "quotes" and / slashes'


@pytest.fixture(scope="module")
def pooler() -> Iterator[PgBouncer]:
    with EmbeddedPostgres.temporary() as server:
        provision(server.url(), {"catalog": RolePasswords(owner="owner", service=PASSWORD)})
        with PgBouncer(server.port, {"catalog_service": PASSWORD}) as pooler:
            yield pooler


def connect(pooler: PgBouncer) -> psycopg.Connection:
    return psycopg.connect(
        host="127.0.0.1", port=pooler.port, user="catalog_service", password=PASSWORD, dbname="catalog",
        autocommit=True, prepare_threshold=None,
    )  # fmt: skip


def test_two_clients_in_turn_share_one_session_of_the_server(pooler: PgBouncer) -> None:
    with connect(pooler) as first, connect(pooler) as second:
        backends = {conn.execute("SELECT pg_backend_pid()").fetchone() for conn in (first, second, first, second)}
        assert len(backends) == 1


def test_the_timeouts_of_the_role_hold_behind_it(pooler: PgBouncer) -> None:
    with connect(pooler) as conn:
        assert conn.execute("SHOW statement_timeout").fetchone() == ("5s",)


def test_a_wrong_password_is_refused_by_it(pooler: PgBouncer) -> None:
    with pytest.raises(psycopg.OperationalError, match=r"password|SASL"):
        psycopg.connect(host="127.0.0.1", port=pooler.port, user="catalog_service", password="wrong", dbname="catalog")
