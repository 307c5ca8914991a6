"""The real PostgreSQL, databases, roles and sandbox under the real supervisor, and the command line beside them."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import psycopg
import pytest
from joserfc import jwt
from joserfc.jwk import OKPKey

from deploy.local.failure import CannotStart
from deploy.local.folders import locked
from deploy.local.installation import load_installation
from deploy.local.processes import all_working_in, is_alive
from deploy.local.suite import Ports, Suite
from deploy.local.supervisor import Supervisor, listen
from deploy.local.tokens import obtain_token
from tests.integration.local.conftest import modes_above

pytestmark = pytest.mark.anyio

CHECKOUT = Path(__file__).parents[3]
SETUP = "deploy/local/setup.py"


def free_base() -> int:
    """A base from which the ports that are used here are free."""
    for base in range(20_000, 60_000, 100):
        ports = Ports(base)
        try:
            for port in (ports.identity, ports.postgres):
                listen(port, "a test").close()
        except CannotStart:
            continue
        return base
    raise AssertionError("no free ports")


class Machine:
    """A suite without its services, and what the supervisor said."""

    def __init__(self, state: Path) -> None:
        self.suite = Suite(state, Ports(free_base()), load_installation(state))
        self.server = self.suite.postgres()
        self.said: list[str] = []

    async def run(self) -> AsyncIterator["Machine"]:
        stages = self.suite.stages(self.server)
        with locked(self.suite.state):
            try:
                async with Supervisor(stages[:2], self.suite.state, folder=CHECKOUT, say=self.said.append):
                    yield self
            finally:
                self.server.close()

    async def until_said(self, words: str) -> None:
        async with asyncio.timeout(20):
            while not any(words in line for line in self.said):
                await asyncio.sleep(0.02)


@pytest.fixture
async def machine(closed_folder: Path) -> AsyncIterator[Machine]:
    async for machine in Machine(closed_folder / ".huangou").run():
        yield machine


def cli(machine: Machine, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "HUANGOU_STATE": str(machine.suite.state), "HUANGOU_PORT_BASE": str(machine.suite.ports.base)}
    line = [sys.executable, "-m", "deploy.local.cli", *arguments]
    return subprocess.run(line, cwd=CHECKOUT, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.proves("X2")
async def test_anybody_gets_a_token_over_http_by_the_command_line_as_well(machine: Machine) -> None:
    issuer = machine.suite.ports.url(machine.suite.ports.identity)
    people = ("customer-00001", "agent-1", "till:M001:T01", "operations", "bank-feeds")
    tokens = {who: await asyncio.to_thread(obtain_token, issuer, who, machine.suite.secrets) for who in people}
    done = await asyncio.to_thread(cli, machine, "token", "customer-00002")
    assert done.returncode == 0, done.stderr
    tokens["customer-00002"] = done.stdout.strip()
    async with httpx.AsyncClient(trust_env=False) as http:
        keys = (await http.get(f"{issuer}/jwks")).json()
    for who, token in tokens.items():
        claims = jwt.decode(token, OKPKey.import_key(keys["keys"][0]), algorithms=["Ed25519"]).claims
        assert (claims["sub"], claims["aud"], claims["iss"]) == (who, "huangou", issuer)


async def test_nobody_unknown_gets_a_token_and_the_reason_is_one_sentence(machine: Machine) -> None:
    done = await asyncio.to_thread(cli, machine, "token", "somebody")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("The sandbox knows nobody called somebody")
    assert done.stderr.count("\n") == 1


async def test_the_world_outside_is_played_by_the_command_line(machine: Machine) -> None:
    async def play(*words: str) -> tuple[int, str]:
        done = await asyncio.to_thread(cli, machine, "sandbox", *words)
        return done.returncode, done.stdout or done.stderr

    assert await play("faults", "courier", "--mode", "slow", "--times", "2", "--webhooks", "lost") == (
        0,
        "mode: slow, seconds: 1.0, times: 2, webhooks: lost\n",
    )
    assert await play("faults", "notifications") == (0, "mode: none, seconds: 1.0, times: all, webhooks: none\n")
    assert await play("event", "SX1", "delivered") == (1, "The sandbox's courier refuses: parcel-not-found.\n")
    for listing in ("parcels", "messages"):
        code, shown = await play(listing)
        assert (code, shown.count("\n") > 1) == (0, True), shown


@pytest.mark.proves("X8")
async def test_kill_9_of_postgresql_is_repaired_and_loses_no_commit(machine: Machine) -> None:
    url = machine.suite.database_url("catalog", "owner")
    with psycopg.connect(url) as conn:
        conn.execute("CREATE TABLE kept (one integer)")
    postmaster = int((machine.server.data / "postmaster.pid").read_text().splitlines()[0])
    os.kill(postmaster, signal.SIGKILL)
    await machine.until_said("postgresql is ready again")
    with psycopg.connect(url) as conn:
        assert conn.execute("SELECT count(*) FROM kept").fetchone() == (0,)


async def test_everything_is_kept_to_its_owner_and_no_secret_is_logged(closed_folder: Path) -> None:
    before = modes_above(closed_folder)
    state = closed_folder / ".huangou"
    machine = Machine(state)
    async for _ in machine.run():
        await asyncio.to_thread(
            obtain_token, machine.suite.ports.url(machine.suite.ports.identity), "agent-1", machine.suite.secrets
        )
    assert modes_above(closed_folder) == before
    for path in [state, *state.rglob("*")]:
        if path.is_relative_to(machine.server.data):
            continue
        assert path.stat().st_mode & 0o077 == 0, path
    logged = "".join(path.read_text() for path in (state / "logs").iterdir()) + "".join(machine.said)
    written = machine.suite.secrets
    values = [written.postgres_password, written.signing_key, *written.client_secrets.values()]
    values += [password for pair in written.roles.values() for password in (pair.owner, pair.service)]
    assert not any(value in logged for value in values)
    assert all_working_in(machine.server.data) == []
    assert load_installation(state) == written


async def test_without_a_running_suite_a_token_is_refused_in_a_sentence(tmp_path: Path) -> None:
    suite = Suite(tmp_path, Ports(free_base()), load_installation(tmp_path))
    with pytest.raises(CannotStart, match="run `make up` first"):
        obtain_token(suite.ports.url(suite.ports.identity), "agent-1", suite.secrets)


async def test_a_half_written_file_of_secrets_is_never_seen(tmp_path: Path) -> None:
    first = load_installation(tmp_path)
    (tmp_path / "installation.making").write_text("{")  # a kill while writing
    assert load_installation(tmp_path) == first
    assert (tmp_path / "installation.json").stat().st_mode & 0o777 == 0o600


@pytest.mark.proves("X8")
@pytest.mark.parametrize(
    ("broken", "sentence"),
    [
        ("sys.modules['ensurepip'] = None", "Python's `venv` module is missing"),
        ("sys.version_info = (3, 10, 0)", "Python 3.10 is too old"),
        ("import shutil; shutil.disk_usage = lambda path: type('Disk', (), {'free': 1024 ** 2})", "Only 1 MiB are free"),
    ],
)
async def test_a_machine_that_lacks_something_is_told_so_in_a_sentence(tmp_path: Path, broken: str, sentence: str) -> None:
    for name in ("pyproject.toml", "requirements/runtime.txt", SETUP):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes((CHECKOUT / name).read_bytes())
    run = f"runpy.run_path({str(tmp_path / SETUP)!r}, run_name='__main__')"
    script = f"import runpy, sys; {broken}; sys.argv = ['setup', 'runtime']; {run}"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith(sentence)
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / ".venv").exists()


async def test_the_supervisors_children_are_its_own(machine: Machine) -> None:
    postmaster = int((machine.server.data / "postmaster.pid").read_text().splitlines()[0])
    assert is_alive(postmaster)
    if sys.platform == "linux":
        parent = Path(f"/proc/{postmaster}/stat").read_text().rpartition(")")[2].split()[1]
        assert int(parent) == os.getpid()
