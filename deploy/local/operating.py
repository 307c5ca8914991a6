"""Commands that speak to the running suite: workbooks, feeds, reconciling, tasks."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from deploy.local.branches import read_branches
from deploy.local.failure import CannotStart
from deploy.local.here import said_in_a_sentence, suite_here
from deploy.local.speaking import OPERATIONS, Refused, Speaker
from deploy.postgres.provision import SERVICES

T = TypeVar("T")


class FeedKind(StrEnum):
    """The feeds that the bank's systems send."""

    CUSTOMERS = "customers"
    OPENING_BALANCES = "opening-balances"
    EARNED_POINTS = "earned-points"
    BRANCHES = "branches"


@said_in_a_sentence
def import_workbook(
    file: Annotated[Path, typer.Argument(help="The workbook, an xlsx file.")],
    *,
    publish: Annotated[bool, typer.Option("--publish", help="Put the version in force at once.")] = False,
) -> None:
    """Load a campaign workbook as a new version; errors are listed by sheet, row and column, and then nothing is loaded."""
    content = _read(file)
    try:
        loaded = _ask(lambda speaker: speaker.load_workbook(content))
    except Refused as refused:
        rows = [(e.get("sheet"), e.get("row"), e.get("column"), e["detail"]) for e in refused.errors]
        _table(("sheet", "row", "column", "what is wrong"), rows)
        raise
    name = f"{loaded['campaign']} version {loaded['version']}"
    typer.echo(f"{name} is loaded." if loaded["created"] else f"{name} has this content already.")
    if publish:
        _ask(lambda speaker: speaker.publish(loaded["campaign"], loaded["version"]))
        typer.echo(f"{name} is in force.")


@said_in_a_sentence
def export_workbook(
    campaign: Annotated[str, typer.Argument(help="The campaign's code, such as AUTUMN-2026.")],
    version: Annotated[int, typer.Argument(help="Which version.", min=1)],
    file: Annotated[Path, typer.Argument(help="Where to write the workbook; what is there is replaced.")],
) -> None:
    """Write a campaign version's workbook to a file."""
    path = f"/v1/campaigns/{campaign}/versions/{version}/workbook"
    answer = _ask(lambda speaker: speaker.call("GET", "catalog", path, who=OPERATIONS))
    try:
        file.write_bytes(answer.content)
    except OSError as error:
        raise CannotStart(f"{file} cannot be written: {error.strerror}.") from error
    typer.echo(f"{file} holds {campaign} version {version}.")


@said_in_a_sentence
def feed(
    kind: Annotated[FeedKind, typer.Argument(help="What the file holds.")],
    file: Annotated[Path, typer.Argument(help="A CSV file; its name is its identity, so one name is taken in once.")],
) -> None:
    """Hand in a feed file; prints its receipt, or every error by line, and then nothing of it was taken in."""
    content = _read(file)
    if kind is FeedKind.BRANCHES:
        _hand_in_branches(file, content)
        return
    try:
        receipt, again = _ask(lambda speaker: speaker.feed(kind.value, file.name, content))
    except Refused as refused:
        _table(("line", "column", "what is wrong"), [(e.get("line"), e.get("column"), e["detail"]) for e in refused.errors])
        raise
    before = "was taken in before" if again else "is taken in"
    counts = ", ".join(f"{receipt[name]:,} {name}" for name in ("lines", "new", "changed", "unchanged"))
    typer.echo(f"{receipt['name']} {before}: {counts}; {receipt['points']:,} points.")


def _hand_in_branches(file: Path, content: bytes) -> None:
    """Branches are written by their codes, as often as one likes; those that the file does not name stay as they are."""
    items = read_branches(content)
    try:
        done = _ask(lambda speaker: speaker.write_branches(items))
    except Refused as refused:
        _table(("field", "what is wrong"), [(error.get("field"), error["detail"]) for error in refused.errors])
        raise
    counts = f"{done['taken']:,} taken"
    typer.echo(f"{file.name} is taken in: {counts}.")


@said_in_a_sentence
def reconcile() -> None:
    """Compare the books of the three services; exit code 1 and a table when something does not fit."""
    report = _ask(lambda speaker: speaker.reconcile())
    compared = ", ".join(f"{report[name]:,} {name}" for name in ("redemptions", "reservations", "fulfillments"))
    breaks = report["breaks"]
    if breaks:
        _table(("service", "kind", "subject", "detail"), [tuple(b.values()) for b in breaks])
        raise CannotStart(f"Compared {compared}; breaks found: {len(breaks)}.")
    typer.echo(f"Compared {compared}: everything fits.")


@said_in_a_sentence
def tasks() -> None:
    """Show the tasks of the three services: how many, the oldest due, what is parked and why, and who asks to run it again."""

    async def read(speaker: Speaker) -> dict[str, Any]:
        path = "/internal/v1/tasks"
        return {service: (await speaker.call("GET", service, path, who=OPERATIONS)).json() for service in SERVICES}

    found = _ask(read)
    counts = [
        (
            service,
            c["kind"],
            c["state"],
            f"{c['count']:,}",
            f"{c['oldest_due_seconds']:.0f} s ago" if c["oldest_due_at"] else "",
        )
        for service, view in found.items()
        for c in view["counts"]
    ]
    parked = [
        (service, p["id"], p["kind"], p["ref"], p["parked_at"], p["last_error"], _redrive_in_words(p["redrive"]))
        for service, view in found.items()
        for p in view["parked"]
    ]
    counts += [(service, "none", "", "0", "") for service, view in found.items() if not view["counts"]]
    _table(("service", "kind", "state", "tasks", "oldest due"), sorted(counts))
    if parked:
        _table(("service", "parked", "kind", "about", "since", "last error", "run again"), parked)
    else:
        typer.echo("Nothing is parked.")


def _redrive_in_words(redrive: dict[str, Any] | None) -> str:
    if redrive is None:
        return "nobody asked"
    return f"{redrive['asked_by']} asks until {redrive['expires_at']}: {redrive['reason']}"


def _ask(question: Callable[[Speaker], Awaitable[T]]) -> T:
    async def asked() -> T:
        async with Speaker(suite_here()) as speaker:
            return await question(speaker)

    return asyncio.run(asked())


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise CannotStart(f"{file} cannot be read: {error.strerror}.") from error


def _table(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    table = Table(*columns)
    for row in rows:
        table.add_row(*(Text("" if value is None else str(value)) for value in row))
    Console().print(table)
