"""This checkout's own suite as the commands see it, and failures that a person reads as one sentence."""

import os
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import ParamSpec

import typer

from deploy.local.failure import CannotStart
from deploy.local.folders import make_folder
from deploy.local.installation import load_installation
from deploy.local.suite import CHECKOUT, Ports, Suite

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


def state_here() -> Path:
    """Where this checkout keeps its data: `.huangou`, or the folder that HUANGOU_STATE names."""
    return make_folder(Path(os.environ.get("HUANGOU_STATE", CHECKOUT / ".huangou")).resolve(), 0o700)


def suite_here() -> Suite:
    """The suite of this checkout; HUANGOU_STATE and HUANGOU_PORT_BASE name another folder of state and other ports."""
    base = os.environ.get("HUANGOU_PORT_BASE", "8100")
    if not base.isdecimal() or not 1024 <= int(base) <= 65_000:
        raise CannotStart("HUANGOU_PORT_BASE is a number from 1024 to 65000.")
    state = state_here()
    return Suite(state, Ports(int(base)), load_installation(state))
