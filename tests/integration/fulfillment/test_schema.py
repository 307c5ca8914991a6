"""What the database itself refuses, whatever the code above it does."""

import psycopg
import pytest
from alembic import command
from psycopg import errors
from sqlalchemy import NullPool, create_engine, make_url

import services.fulfillment.tables  # noqa: F401 - every table is defined
from services.fulfillment.fulfillments import domain as fulfillments
from services.fulfillment.metadata import metadata
from services.fulfillment.notices import domain as notices
from services.fulfillment.parcels import domain as parcels
from services.fulfillment.tills import domain as tills
from services.fulfillment.vouchers import domain as vouchers
from services.fulfillment.vouchers.domain import VoucherState
from shared import migrations
from tests.support.fulfillment import Fulfillment, line
from tests.support.postgres import TestDatabase, TestServer

pytestmark = pytest.mark.anyio

ARROWS = {
    "vouchers": vouchers.ARROWS,
    "uses": tills.ARROWS,
    "fulfillments": fulfillments.ARROWS,
    "notices": notices.ARROWS,
    "parcels": parcels.ARROWS,
}


@pytest.mark.proves("X1")
def test_the_migrations_and_the_tables_agree(fulfillment_database: TestDatabase) -> None:
    command.check(migrations.config_of("fulfillment", fulfillment_database.owner_url))


@pytest.mark.proves("X1")
def test_the_constraints_and_indexes_of_both_are_the_same_to_the_letter(
    postgres: TestServer, fulfillment_database: TestDatabase
) -> None:
    """Alembic compares no CHECK, so tables made from the code are compared with migrated ones as PostgreSQL prints them."""
    made = postgres.empty("fulfillment")
    engine = create_engine(make_url(made.owner_url).set(drivername="postgresql+psycopg"), poolclass=NullPool)
    metadata.create_all(engine)
    assert shape_of(made) == shape_of(fulfillment_database)
    postgres.drop(made)


def shape_of(database: TestDatabase) -> set[tuple[str, ...]]:
    query = """
        SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint
         WHERE connamespace = 'public'::regnamespace AND conrelid <> 0 AND contype <> 'n'
        UNION ALL SELECT tablename, indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'
        UNION ALL SELECT relname, 'options', reloptions::text FROM pg_class
                   WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'
    """
    with psycopg.connect(database.superuser_url) as conn:
        return {row for row in conn.execute(query) if not row[0].startswith("alembic")}


@pytest.mark.parametrize("table", ARROWS)
def test_the_arrows_of_the_code_are_those_of_the_database(fulfillment_database: TestDatabase, table: str) -> None:
    query = "SELECT tgargs FROM pg_trigger WHERE tgrelid = %s::regclass AND tgname = 'only_along_arrows'"
    with psycopg.connect(fulfillment_database.superuser_url) as conn:
        row = conn.execute(query, [table]).fetchone()
    assert row is not None
    found = set(bytes(row[0]).decode().rstrip("\0").split("\0"))
    assert found == {f"{before}>{after}" for before, after in ARROWS[table]}


async def test_a_voucher_goes_along_its_arrows_alone_even_for_the_owner(
    fulfillment: Fulfillment, fulfillment_database: TestDatabase
) -> None:
    await fulfillment.issue(line(1))
    for before in VoucherState:
        for after in set(VoucherState) - {before}:
            with psycopg.connect(fulfillment_database.superuser_url) as conn:
                conn.execute("ALTER TABLE vouchers DISABLE TRIGGER only_along_arrows")
                conn.execute("UPDATE vouchers SET state = %s, used_at = %s", [before, _used_at(before)])
                conn.execute("ALTER TABLE vouchers ENABLE TRIGGER only_along_arrows")
                move = ("UPDATE vouchers SET state = %s, used_at = %s", [after, _used_at(after)])
                if (before, after) in vouchers.ARROWS:
                    conn.execute(*move)
                else:
                    with pytest.raises(errors.RestrictViolation):
                        conn.execute(*move)
                conn.rollback()


def _used_at(state: VoucherState) -> str | None:
    return "2026-01-01T00:00:00Z" if state is VoucherState.USED else None


@pytest.mark.proves("F3")
@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE vouchers SET expires_at = expires_at + interval '1 year'",
        "UPDATE vouchers SET owner_subject = 'somebody-else'",
        "UPDATE vouchers SET code_hmac = code_hmac",
        "DELETE FROM vouchers",
        "UPDATE voucher_promises SET merchants = '[\"M002\"]'",
        "DELETE FROM voucher_promises",
        "UPDATE fulfillment_lines SET quantity = 9",
        "UPDATE fulfillments SET fingerprint = NULL",
        "UPDATE fulfillments SET customer_id = gen_random_uuid()",
        "DELETE FROM fulfillments",
        "UPDATE parcels SET owner_subject = 'somebody-else'",
        "UPDATE parcels SET contact_sealed = ''",
        "UPDATE parcels SET branch = 'B002'",
        "DELETE FROM parcels",
        "UPDATE parcel_lines SET reward_code = 'R9'",
        "UPDATE parcel_events SET at = now()",
        "DELETE FROM parcel_events",
        "DELETE FROM pickup_attempts",
        "UPDATE pickup_attempts SET person = 'somebody else'",
        "DELETE FROM pickup_counts",
        "DELETE FROM branches",
        "UPDATE uses SET fingerprint = NULL",
        "DELETE FROM uses",
        "UPDATE carrier_events SET sequence = 9",
        "DELETE FROM carrier_events",
        "UPDATE notices SET facts = '{}'",
        "DELETE FROM notices",
        "UPDATE audit_entries SET actor = 'nobody'",
        "DELETE FROM audit_entries",
        "TRUNCATE audit_entries",
        "CREATE TABLE mine (id int)",
    ],
)
async def test_the_services_role_may_not(fulfillment: Fulfillment, fulfillment_database: TestDatabase, statement: str) -> None:
    await fulfillment.issue(line(1))
    with psycopg.connect(fulfillment_database.url) as conn, pytest.raises(errors.InsufficientPrivilege):
        conn.execute(statement)


@pytest.mark.proves("G14")
async def test_a_voucher_has_at_most_one_live_use(fulfillment: Fulfillment, fulfillment_database: TestDatabase) -> None:
    [code] = await fulfillment.issue(line(1))
    await fulfillment.use(code, "N-1")
    copy = """
        INSERT INTO uses (id, merchant, terminal, request_number, state, fingerprint, voucher_id, recorded_at, used_at)
        SELECT gen_random_uuid(), merchant, terminal, 'N-2', state, fingerprint, voucher_id, recorded_at, used_at FROM uses
    """
    with (
        psycopg.connect(fulfillment_database.superuser_url) as conn,
        pytest.raises(errors.UniqueViolation, match="uq_uses_live"),
    ):
        conn.execute(copy)


@pytest.mark.proves("G14", "G15")
@pytest.mark.parametrize(
    "change", ["voucher_id = NULL, used_at = NULL", "used_at = used_at - interval '1 day'", "refusal_facts = '{}'"]
)
async def test_how_a_use_ended_never_changes(fulfillment: Fulfillment, fulfillment_database: TestDatabase, change: str) -> None:
    [code] = await fulfillment.issue(line(1))
    await fulfillment.use(code, "N-1")
    with psycopg.connect(fulfillment_database.url) as conn, pytest.raises(errors.RestrictViolation):
        conn.execute(f"UPDATE uses SET {change}")
