"""Looks into the databases as the superuser may, over connections that outlive neither a crash nor the test."""

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

import psycopg

from tests.support.postgres import TestDatabase


class Looks:
    """One connection a service, opened again when it was cut."""

    def __init__(self, databases: Mapping[str, TestDatabase]) -> None:
        self._databases = databases
        self._connections: dict[str, psycopg.Connection[Any]] = {}

    def rows(self, service: str, query: str, *values: Any) -> list[Any]:
        """What a query answers."""
        return self._execute(service, query, values).fetchall()

    def change(self, service: str, statement: str, *values: Any) -> None:
        """Carry out a statement, in a commit of its own."""
        self._execute(service, statement, values)

    def close(self) -> None:
        """Let go."""
        for conn in self._connections.values():
            conn.close()

    def _execute(self, service: str, statement: str, values: tuple[Any, ...]) -> psycopg.Cursor[Any]:
        for attempt in (1, 2):
            conn = self._connections.get(service)
            if conn is None:
                url = self._databases[service].superuser_url
                conn = self._connections[service] = psycopg.connect(url, autocommit=True)
            try:
                return conn.execute(statement.encode(), values)
            except psycopg.OperationalError:
                self._connections.pop(service).close()
                if attempt == 2:
                    raise
        raise AssertionError("the loop returns or raises")


@contextlib.contextmanager
def looking(databases: Mapping[str, TestDatabase]) -> Iterator[Looks]:
    """Looks that are closed at the end."""
    looks = Looks(databases)
    try:
        yield looks
    finally:
        looks.close()
