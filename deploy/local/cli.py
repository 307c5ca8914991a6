"""The `huangou` command: the suite on this machine, started, migrated and asked for tokens."""

import asyncio
import subprocess
import sys
from typing import Annotated

import typer

from deploy.local import operating, playing
from deploy.local.control import ask_to_restart, listening
from deploy.local.demo.run import play
from deploy.local.failure import CannotStart
from deploy.local.folders import locked, require_free_disk
from deploy.local.here import said_in_a_sentence, state_here, suite_here
from deploy.local.suite import CHECKOUT, Suite
from deploy.local.supervisor import Supervisor
from deploy.local.tokens import obtain_token
from deploy.postgres.provision import SERVICES

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    help="The points-redemption suite on one machine.",
    epilog="Exit codes: 0 done; 1 refused, failed or something found, with the reason; 2 the command line is wrong.",
)


@app.command()
@said_in_a_sentence
def up() -> None:
    """Start everything and run until Ctrl-C; data stays."""
    asyncio.run(run_until_told(suite_here()))


async def run_until_told(suite: Suite) -> None:
    """Start the suite, say where it is, and stop it when told to."""
    require_free_disk(suite.state)
    server = suite.postgres()
    with locked(suite.state):
        try:
            async with (
                Supervisor(suite.stages(server), suite.state, folder=CHECKOUT) as supervisor,
                listening(supervisor, suite.state),
            ):
                supervisor.report("everything is ready")
                typer.echo(where_it_is(suite))
                await supervisor.until_told()
        finally:
            server.close()


@app.command()
@said_in_a_sentence
def restart(
    programs: Annotated[
        list[str] | None, typer.Argument(help='Which, such as catalog or "catalog worker"; all without one.')
    ] = None,
) -> None:
    """Restart programs of the running suite one after the other; no request is lost meanwhile."""

    async def ask() -> None:
        async for sentence in ask_to_restart(state_here(), programs or []):
            typer.echo(sentence)

    asyncio.run(ask())


@app.command()
@said_in_a_sentence
def demo() -> None:
    """Play a story from the workbook to the till on a suite of its own; exit code 1 when a number is not the expected one."""
    play(state_here() / "demo")


def where_it_is(suite: Suite) -> str:
    """Addresses, how to get a token, where the logs are and how to stop."""
    ports = suite.ports
    addresses = [f"  {service:<12} {ports.url(ports.api(service))}" for service in SERVICES]
    return "\n".join(
        (
            "",
            f"  {'console':<12} {suite.console}   the desk; in a browser, sign in as agent-1, branch-1, supervisor-1, ...",
            *addresses,
            f"  {'identity':<12} {ports.url(ports.identity)}   the sandbox's; sign in as anybody",
            f"  {'courier':<12} {ports.url(ports.courier)}   the sandbox's",
            f"  {'messages':<12} {ports.url(ports.notifications)}   the sandbox's gateway to telephones",
            f"  {'postgresql':<12} 127.0.0.1:{ports.postgres}",
            "",
            "  a token:     .venv/bin/huangou token customer-00001     (or agent-1, till:M001:T01, operations, ...)",
            "  sample data: .venv/bin/huangou import samples/autumn-campaign.xlsx --publish",
            f"  logs:        {suite.state / 'logs'}",
            "  stop:        Ctrl-C; the data stays",
            "",
        )
    )


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


app.command("import")(operating.import_workbook)
app.command("export")(operating.export_workbook)
app.command("feed")(operating.feed)
app.command("reconcile")(operating.reconcile)
app.command("tasks")(operating.tasks)
app.add_typer(playing.app, name="sandbox")


async def _provision_and_migrate(suite: Suite) -> None:
    typer.echo(await suite.provision())
    typer.echo(await suite.migrate())


def _is_up(suite: Suite) -> bool:
    """Whether another process holds this state, so that its server can be used."""
    try:
        with locked(suite.state):
            return False
    except CannotStart:
        return True


if __name__ == "__main__":
    app()
