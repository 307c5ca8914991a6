"""No code anywhere in plain: not in a dump of the database, nor in a column, nor in a log."""

import logging
import os
import shutil
import subprocess
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
import structlog
from psycopg import sql

from deploy.local.binaries import programs
from services.fulfillment.vouchers.codes import normalise
from shared.logs import configure_logs
from tests.support.fulfillment import Fulfillment, line, wish
from tests.support.postgres import TestDatabase

pytestmark = pytest.mark.anyio

CODES = 1_000 if os.environ.get("HUANGOU_SOAK") == "1" else 100


@pytest.fixture
def logs(capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture) -> Iterator[Callable[[], str]]:
    """Everything logged so far: the lines as in production, and the events before anything was blanked in them."""
    root, configured = logging.getLogger(), structlog.get_config()
    before, level = root.handlers[:], root.level
    configure_logs("DEBUG", service="fulfillment")
    structlog.configure(**{**structlog.get_config(), "cache_logger_on_first_use": False})  # later tests shall have their own
    yield lambda: capsys.readouterr().err + caplog.text
    structlog.configure(**configured)
    root.handlers[:] = before
    root.setLevel(level)


def dump_of(database: TestDatabase) -> str:
    """Everything that the database holds, as text; binary columns in hexadecimal."""
    bundled = programs() / "pg_dump"
    program = bundled if bundled.exists() else Path(shutil.which("pg_dump") or "pg_dump")
    return subprocess.run([program, "--inserts", database.superuser_url], capture_output=True, check=True, text=True).stdout


def forms_of(code: str) -> set[str]:
    """How a code could stand somewhere: as shown, as kept, lower case, and each of them in hexadecimal."""
    plain = {code, normalise(code)}
    plain |= {text.lower() for text in plain}
    return plain | {text.encode().hex() for text in plain}


@pytest.mark.proves("G12", "X6")
async def test_none_of_the_codes_is_found_in_the_database_or_the_logs(
    fulfillment: Fulfillment, fulfillment_database: TestDatabase, logs: Callable[[], str]
) -> None:
    for start in range(0, CODES, 50):
        await fulfillment.accept(wish(line(1, min(50, CODES - start))))
    safe = fulfillment.parts.requests._safe
    with psycopg.connect(fulfillment_database.superuser_url) as conn:
        sealed = conn.execute("SELECT id, code_sealed FROM vouchers").fetchall()
    codes = [safe.open(one, bytes(value)) for one, value in sealed]
    assert len(codes) == CODES
    await _let_everything_happen(fulfillment, fulfillment_database, codes)
    logged = logs()
    assert "request_failed" in logged  # the failure was logged
    places = {"dump": dump_of(fulfillment_database), "columns": columns_of(fulfillment_database), "logs": logged}
    assert {where: found_in(text, codes) for where, text in places.items()} == {key: [] for key in places}
    with psycopg.connect(fulfillment_database.superuser_url) as conn:  # the look finds what is there
        conn.execute("UPDATE uses SET till_reference = %s WHERE request_number = 'N-0'", [normalise(codes[3]).lower()])
    assert found_in(dump_of(fulfillment_database), codes) == found_in(columns_of(fulfillment_database), codes) == [codes[3]]


def found_in(text: str, codes: list[str]) -> list[str]:
    return [code for code in codes if any(form in text for form in forms_of(code))]


async def _let_everything_happen(fulfillment: Fulfillment, database: TestDatabase, codes: list[str]) -> None:
    """Every route that sees a code, every refusal, a failure inside the database among them."""
    for number, code in enumerate(codes[:10]):
        await fulfillment.verify(code)
        await fulfillment.use(code, f"N-{number}")
        await fulfillment.use(code, f"M-{number}")
        await fulfillment.use(code, f"O-{number}", merchant="M002")
        await fulfillment.reverse(f"N-{number}")
        await fulfillment.use(code, f"N-{number}")
        await fulfillment.use(code[:-1], f"P-{number}", code_again=code)
    for voucher in (await fulfillment.wallet())[:5]:
        await fulfillment.get(f"/v1/vouchers/{voucher['id']}/code", fulfillment.issuer.customer())
        await fulfillment.get(f"/v1/vouchers/{uuid.uuid4()}/code", fulfillment.issuer.customer())
    with psycopg.connect(database.superuser_url) as conn:
        conn.execute("ALTER TABLE uses ADD CONSTRAINT nothing_works CHECK (request_number NOT LIKE 'X-%')")
    assert (await fulfillment.use(codes[20], "X-1")).status_code == 500


def columns_of(database: TestDatabase) -> str:
    """Every row of every table, cast to text."""
    with psycopg.connect(database.superuser_url) as conn:
        tables = conn.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
        found = []
        for (table,) in tables:
            query = sql.SQL("SELECT CAST(t.* AS text) FROM {} t").format(sql.Identifier(table))
            found += [row[0] for row in conn.execute(query)]
    return "\n".join(found)
