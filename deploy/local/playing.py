"""Commands that play the outside world of the sandbox: what happens to parcels, what telephones got, what goes wrong."""

from enum import StrEnum
from typing import Annotated, Any

import httpx
import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from deploy.local.failure import CannotStart
from deploy.local.here import said_in_a_sentence, suite_here
from deploy.local.tokens import PLAIN

ANSWER_SECONDS_MAX = 10.0

app = typer.Typer(no_args_is_help=True, help="Play the courier and the telephones of the sandbox.")


class Happening(StrEnum):
    """What can happen to a parcel."""

    PICKED_UP = "picked_up"
    IN_TRANSIT = "in_transit"
    OUT_FOR_DELIVERY = "out_for_delivery"
    DELIVERED = "delivered"
    DELIVERY_FAILED = "delivery_failed"
    RETURNED = "returned"
    LOST = "lost"


class Part(StrEnum):
    """Who can be made to fail."""

    COURIER = "courier"
    NOTIFICATIONS = "notifications"


class Mode(StrEnum):
    """What becomes of requests."""

    NONE = "none"
    SLOW = "slow"
    FAIL = "fail"
    LOSE_ANSWER = "lose_answer"
    ANSWER_TWICE = "answer_twice"


class Webhooks(StrEnum):
    """What becomes of the courier's webhooks."""

    NONE = "none"
    DOUBLED = "doubled"
    LATE = "late"
    SHUFFLED = "shuffled"
    LOST = "lost"


@app.command()
@said_in_a_sentence
def parcels() -> None:
    """Show the courier's parcels: tracking number, our reference, how often it was asked for, what happened last."""
    rows = []
    for parcel in _ask("courier", "GET", "parcels")["items"]:
        last = parcel["events"][-1]["kind"] if parcel["events"] else ""
        rows.append((parcel["tracking_number"], parcel["reference"], parcel["asked"], last))
    _table(("tracking number", "parcel", "asked", "last"), rows)


@app.command()
@said_in_a_sentence
def event(
    tracking_number: Annotated[str, typer.Argument(help="As `huangou sandbox parcels` shows it.")],
    kind: Annotated[Happening, typer.Argument(help="What happens.")],
) -> None:
    """Let something happen to a parcel; the courier tells of it as it is told to, see `faults`."""
    done = _ask("courier", "POST", f"parcels/{tracking_number}/events", {"kind": kind.value})
    typer.echo(f"{done['tracking_number']}: {done['kind']} is event {done['sequence']}, at {done['place'] or 'no place'}.")


@app.command()
@said_in_a_sentence
def messages(to: Annotated[str | None, typer.Option(help="Only those to this telephone.")] = None) -> None:
    """Show what was sent to telephones."""
    found = _ask("notifications", "GET", "messages" if to is None else f"messages?{httpx.QueryParams({'to': to})}")["items"]
    _table(("to", "language", "kind", "text"), [(m["to"], m["language"], m["kind"], m["text"]) for m in found])


@app.command()
@said_in_a_sentence
def faults(
    part: Annotated[Part, typer.Argument(help="Whose faults.")],
    mode: Annotated[Mode | None, typer.Option(help="What becomes of requests from now on.")] = None,
    seconds: Annotated[float | None, typer.Option(help="How long slow answers and late webhooks take.", min=0, max=60)] = None,
    times: Annotated[int | None, typer.Option(help="For how many requests; else until it is changed.", min=1)] = None,
    webhooks: Annotated[Webhooks | None, typer.Option(help="What becomes of the courier's webhooks.")] = None,
) -> None:
    """Switch faults on or off, and show those that are on."""
    asked = {"mode": mode, "seconds": seconds, "times": times, "webhooks": webhooks}
    wanted = {name: value for name, value in asked.items() if value is not None}
    on = _ask(part.value, "PUT", "faults", wanted) if wanted else _ask(part.value, "GET", "faults")
    typer.echo(", ".join(f"{name}: {'all' if value is None else value}" for name, value in on.items()))


def _ask(part: str, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
    suite = suite_here()
    headers = {"Authorization": f"Bearer {suite.secrets.sandbox_key}"}
    try:
        answer = httpx.request(
            method,
            f"{suite.url(part)}/sandbox/{path}",
            headers=headers,
            json=body,
            timeout=ANSWER_SECONDS_MAX,
            trust_env=False,
            verify=PLAIN,
        )
    except httpx.HTTPError as error:
        raise CannotStart(f"The sandbox's {part} does not answer; run `make up` first.") from error
    if answer.is_error:
        raise CannotStart(f"The sandbox's {part} refuses: {answer.json().get('title', answer.status_code)}.")
    found: dict[str, Any] = answer.json()
    return found


def _table(columns: tuple[str, ...], rows: list[tuple[Any, ...]]) -> None:
    table = Table(*columns)
    for row in rows:
        table.add_row(*(Text(str(value)) for value in row))
    Console().print(table)
