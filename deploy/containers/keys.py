"""Makes the passwords and keys of a suite in containers once, and lays out for each container what it alone is told.

As a program it works on folders under /run/keys, each a volume that one kind of container mounts; run again it changes nothing.
"""

import os
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from deploy import environments
from deploy.local.installation import Installation, load_installation
from deploy.postgres.provision import SERVICES

FOLDERS = Path("/run/keys")
SANDBOX_MEMORY = Path("/var/lib/sandbox")
USER = 10001
"""Whom the images run as; PostgreSQL's own begins as root and reads the one file of its folder."""
POSTGRES = "postgres:5432"
BALANCED = {"catalog": 8101, "redemption": 8102, "fulfillment": 8103}


@dataclass(frozen=True)
class Containers:
    """Where containers reach each other: the services through the proxy, the sandbox's parts by name."""

    secrets: Installation
    issuer: str
    console: str

    def url(self, name: str) -> str:
        """The address of an API or of a part of the sandbox."""
        return f"http://proxy:{BALANCED[name]}" if name in BALANCED else f"http://{name}:8000"

    def database_url(self, service: str, kind: str) -> str:
        """The address of a service's database for one of its roles."""
        return f"postgresql://{service}_{kind}:{getattr(self.secrets.roles[service], kind)}@{POSTGRES}/{service}"

    def worker_port(self, _service: str) -> int:
        """The port of a worker's health and metrics: each has a container of its own."""
        return 8000


def environments_of(places: Containers) -> dict[str, dict[str, str]]:
    """What each kind of container is told."""
    secrets = places.secrets
    told = {service: environments.service_environment(service, places, secrets) for service in SERVICES}
    for service in SERVICES:
        told[service][f"{service.upper()}_WORKER_HOST"] = "0.0.0.0"  # noqa: S104 - a container's own network
        told[f"{service}-owner"] = {f"{service.upper()}_OWNER_DATABASE_URL": places.database_url(service, "owner")}
    passwords = {
        f"{service.upper()}_{kind.upper()}_PASSWORD": getattr(secrets.roles[service], kind)
        for service in SERVICES
        for kind in ("owner", "service")
    }
    superuser = {"PROVISION_URL": f"postgresql://postgres:{secrets.postgres_password}@{POSTGRES}/postgres"}
    return told | {
        "postgres": {"POSTGRES_PASSWORD": secrets.postgres_password},
        "provision": superuser | passwords,
        "console": environments.console_environment(places, secrets),
        "identity": environments.identity_environment(places, secrets) | {"SANDBOX_IDENTITY_HOSTS": '["identity"]'},
        "courier": environments.courier_environment(places, secrets, SANDBOX_MEMORY),
        "notifications": environments.notifications_environment(secrets, SANDBOX_MEMORY),
    }


def lay_out(folders: Path, told: Mapping[str, Mapping[str, str]], user: int) -> None:
    """Write each container's file, for its user's eyes alone."""
    for name, variables in told.items():
        file = folders / name / "environment"
        file.parent.mkdir(exist_ok=True)
        making = file.with_suffix(".making")
        making.write_text("".join(f"{variable}={shlex.quote(value)}\n" for variable, value in sorted(variables.items())))
        making.chmod(0o400)
        os.chown(making, user, user)
        making.replace(file)


def main() -> None:
    """Make what is missing."""
    secrets = load_installation(FOLDERS / "installation")
    places = Containers(secrets, os.environ["HUANGOU_ISSUER"], os.environ["HUANGOU_CONSOLE_URL"])
    lay_out(FOLDERS, environments_of(places), USER)


if __name__ == "__main__":
    main()
