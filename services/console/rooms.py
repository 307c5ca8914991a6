"""The rooms of the console and who may enter them: what a role may not use is not shown to it, and refused when asked for."""

from dataclasses import dataclass

from services.console.sessions import Session

FINDING = ("agent", "supervisor", "branch")
CANCELLING = ("agent", "supervisor")
HANDING_OVER = ("branch",)
REDRIVING = ("supervisor", "administrator")
RECONCILING = ("auditor", "supervisor", "administrator")


@dataclass(frozen=True)
class Room:
    """A room: its name in the words, its address, and the roles that may enter."""

    name: str
    path: str
    roles: tuple[str, ...]


ROOMS = (
    Room("customers", "/customers", FINDING),
    Room("pickups", "/pickups", HANDING_OVER),
    Room("tasks", "/tasks", REDRIVING),
    Room("breaks", "/breaks", RECONCILING),
)


def rooms_of(session: Session) -> list[Room]:
    """Those that this agent may enter."""
    return [room for room in ROOMS if session.has_role(*room.roles)]
