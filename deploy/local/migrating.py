"""Runs the migrations of all three services in one process: most of their time would go into importing the same libraries.

As a program it reads each owner's address from variables such as CATALOG_OWNER_DATABASE_URL.
"""

import os
import sys

from deploy.postgres.provision import SERVICES
from shared.migrations import head_of, upgrade


def main() -> None:
    """Bring every database to this code's schema, one after the other, and say so."""
    for service in SERVICES:
        upgrade(service, os.environ[f"{service.upper()}_OWNER_DATABASE_URL"])
        print(f"{service} at {head_of(service)}", flush=True)


if __name__ == "__main__":
    try:
        main()
    except Exception as error:  # noqa: BLE001 - whatever it is, the caller shows the last line to a person
        sys.exit(f"{type(error).__name__}: {error}".splitlines()[0])
