"""The `huangou` command: the suite on this machine, started, migrated and asked for tokens."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Annotated, ParamSpec

import typer

from deploy.local.failure import CannotStart
from deploy.local.folders import locked, make_folder, require_free_disk
from deploy.local.installation import load_installation
from deploy.local.suite import CHECKOUT, Ports, Suite
from deploy.local.supervisor import Supervisor
from deploy.local.tokens import obtain_token
from deploy.postgres.provision import SERVICES

app = typer.Typer(no_args_is_help=True, add_completion=False, help="The points-redemption suite on one machine.")
P = ParamSpec("P")


def said_in_a_sentence(command: Callable[P, None]) -> Callable[P, None]:
    """A command whose failures are one sentence and exit code 1, not a traceback."""

    @wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            command(*args, **kwargs)
        except CannotStart as reason:
            typer.echo(str(reason), err=True)
            raise typer.Exit(1) from None

    return run


def suite_here() -> Suite:
    """The suite of this checkout; HUANGOU_STATE and HUANGOU_PORT_BASE name another folder of state and other ports."""
    state = make_folder(Path(os.environ.get("HUANGOU_STATE", CHECKOUT / ".huangou")).resolve(), 0o700)
    base = os.environ.get("HUANGOU_PORT_BASE", "8100")
    if not base.isdecimal() or not 1024 <= int(base) <= 65_000:
        raise CannotStart("HUANGOU_PORT_BASE is a number from 1024 to 65000.")
    return Suite(state, Ports(int(base)), load_installation(state))


@app.command()
@said_in_a_sentence
def up() -> None:
    """Start everything and run until Ctrl-C."""
    asyncio.run(run_until_told(suite_here()))


async def run_until_told(suite: Suite) -> None:
    """Start the suite, say where it is, and stop it when told to."""
    require_free_disk(suite.state)
    server = suite.postgres()
    with locked(suite.state):
        try:
            async with Supervisor(suite.stages(server), suite.state, folder=CHECKOUT) as supervisor:
                supervisor.report(f"everything is ready; logs are in {suite.state / 'logs'}; Ctrl-C stops it")
                await supervisor.until_told()
        finally:
            server.close()


@app.command()
@said_in_a_sentence
def migrate() -> None:
    """Bring the three databases to this code's schema; starts PostgreSQL for it if the suite is not up."""
    asyncio.run(migrate_all(suite_here()))


async def migrate_all(suite: Suite) -> None:
    """Run every service's migrations, against the running server where there is one."""
    try:
        with locked(suite.state), suite.postgres():
            await _provision_and_migrate(suite)
    except CannotStart:
        if not _is_up(suite):
            raise
        await _provision_and_migrate(suite)


@app.command("export-openapi")
@said_in_a_sentence
def export_openapi(
    services: Annotated[list[str] | None, typer.Argument(help="Which services; all when none is named.")] = None,
) -> None:
    """Write each service's OpenAPI document from its code."""
    for service in services or SERVICES:
        if service not in SERVICES:
            raise CannotStart(f"There is no service called {service}; there are {', '.join(SERVICES)}.")
        done = subprocess.run([sys.executable, "-m", "deploy.local.openapi", service], cwd=CHECKOUT, check=False)
        if done.returncode != 0:
            raise CannotStart(f"The OpenAPI document of {service} was not written; the reason stands above.")


@app.command()
@said_in_a_sentence
def token(who: Annotated[str, typer.Argument(help="customer-00001, agent-1, till:M001:T01, operations, ...")]) -> None:
    """Print an access token of the sandbox, good for five minutes."""
    suite = suite_here()
    typer.echo(obtain_token(suite.ports.url(suite.ports.identity), who, suite.secrets))


async def _provision_and_migrate(suite: Suite) -> None:
    typer.echo(await suite.provision())
    for service in SERVICES:
        typer.echo(await suite.migrate(service))


def _is_up(suite: Suite) -> bool:
    """Whether another process holds this state, so that its server can be used."""
    try:
        with locked(suite.state):
            return False
    except CannotStart:
        return True


if __name__ == "__main__":
    app()
