"""The door to PostgreSQL: one engine a process, transactions that commit before anybody is answered.

What must hold: a commit is never cancelled (G31), no network call happens inside a transaction (G33, the HTTP client asks
`in_transaction`), deadlocks are retried a few times, and nothing outlives a transaction, so that PgBouncer in transaction
mode may stand in front (G37).
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from contextvars import ContextVar
from time import perf_counter
from typing import Any, TypeVar

from psycopg import errors as pg
from sqlalchemy import MetaData, event, make_url
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from shared.arrays import ArrayDumper
from shared.errors import DomainError
from shared.metrics import OVERLOADED, POOL_WAITS

RETRIES_MAX = 3
POOL_WAIT_SECONDS = 1.0
POOL_WAIT_NOTED_SECONDS = 0.01
CONNECT_SECONDS = 2

NAMES = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}

_inside: ContextVar[bool] = ContextVar("inside_a_transaction", default=False)

T = TypeVar("T")


class Overloaded(DomainError):
    """Too many commands are waiting; try again in a moment."""


class DatabaseUnavailable(DomainError):
    """The database cannot be reached; try again in a moment."""


def new_metadata() -> MetaData:
    """A collection of tables whose constraints are named by one convention."""
    return MetaData(naming_convention=NAMES)


def in_transaction() -> bool:
    """Whether the running task holds a transaction open."""
    return _inside.get()


def is_retryable(error: BaseException) -> bool:
    """Whether the database gave up for a reason that a second try may not meet: deadlock, serialisation, lock timeout."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    return isinstance(cause, pg.DeadlockDetected | pg.SerializationFailure | pg.LockNotAvailable)


def is_lock_timeout(error: BaseException) -> bool:
    """Whether the database gave up waiting for a row that another transaction holds."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    return isinstance(cause, pg.LockNotAvailable)


def is_data_error(error: BaseException) -> bool:
    """Whether the database refused because of what was sent, so that one bad command can spoil a whole set."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    return isinstance(cause, pg.DataError | pg.IntegrityError)


def is_cut_off(error: BaseException) -> bool:
    """Whether a statement took longer than it may, which says more of the load than of what was sent."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    return isinstance(cause, pg.QueryCanceled)


def is_down(error: BaseException) -> bool:
    """Whether the database went away: no connection, shutting down, or read-only after a failover."""
    if isinstance(error, DBAPIError) and error.connection_invalidated:
        return True
    cause = error.orig if isinstance(error, DBAPIError) else error
    if isinstance(cause, pg.ReadOnlySqlTransaction | pg.OperatorIntervention):
        return not isinstance(cause, pg.QueryCanceled)
    return isinstance(cause, pg.OperationalError) and cause.sqlstate is None


class Database:
    """One database of one service."""

    def __init__(self, url: str, *, pool_size: int = 8, pgbouncer: bool = False) -> None:
        """Connect lazily. Behind PgBouncer no statement is prepared on the server."""
        arguments: dict[str, Any] = {"connect_timeout": CONNECT_SECONDS}
        if pgbouncer:
            arguments["prepare_threshold"] = None
        self.engine: AsyncEngine = create_async_engine(
            make_url(url).set(drivername="postgresql+psycopg"),
            pool_size=pool_size,
            max_overflow=0,
            pool_timeout=POOL_WAIT_SECONDS,
            hide_parameters=True,  # an error's text goes to logs; what was bound may be personal
            connect_args=arguments,
        )
        event.listen(self.engine.sync_engine, "connect", _bind_lists_as_arrays)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncConnection]:
        """Everything inside happens together: committed at the end, undone when anything raises."""
        if _inside.get():
            raise RuntimeError("a transaction is open already; pass its connection down")
        conn = await self._connect()
        token = _inside.set(True)
        try:
            await conn.begin()
            yield conn
            await _to_its_end(conn.commit())
        except BaseException as error:
            await _to_its_end(self._undo(conn, error))
            if is_down(error):
                raise DatabaseUnavailable from error
            raise
        finally:
            _inside.reset(token)
            await _to_its_end(conn.close())

    async def run(self, work: Callable[[AsyncConnection], Awaitable[T]]) -> T:
        """A transaction around `work`, tried again when another one got in the way. `work` must have no other effect."""
        for attempt in range(1, RETRIES_MAX + 1):
            try:
                async with self.transaction() as conn:
                    return await work(conn)
            except DBAPIError as error:
                if attempt == RETRIES_MAX or not is_retryable(error):
                    raise
                await asyncio.sleep(0.01 * attempt)
        raise AssertionError("the loop returns or raises")

    async def dispose(self) -> None:
        """Close every connection."""
        await self.engine.dispose()

    async def _connect(self) -> AsyncConnection:
        began = perf_counter()
        try:
            return await self.engine.connect()
        except PoolTimeout as error:
            OVERLOADED.labels("pool").inc()
            raise Overloaded from error
        except DBAPIError as error:
            raise DatabaseUnavailable from error
        finally:
            if perf_counter() - began > POOL_WAIT_NOTED_SECONDS:
                POOL_WAITS.inc()

    async def _undo(self, conn: AsyncConnection, error: BaseException) -> None:
        if is_down(error):
            await conn.invalidate()
            return
        try:
            await conn.rollback()
        except DBAPIError:
            await conn.invalidate()


def _bind_lists_as_arrays(connection: Any, _record: Any) -> None:
    connection.driver_connection.adapters.register_dumper(list, ArrayDumper)


async def _to_its_end(work: Awaitable[None]) -> None:
    """Wait for the database's answer even when the caller is cancelled meanwhile; then let the cancellation go on.

    A commit that is cut off may have happened: nobody may walk away from it without knowing.
    """
    task = asyncio.ensure_future(work)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError as error:
            if task.cancelled():
                raise
            cancelled = error
    task.result()
    if cancelled is not None:
        raise cancelled
