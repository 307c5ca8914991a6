"""The states of everything that has them, drawn from the tables of arrows in the code."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from services.catalog.campaigns.domain import PUBLISHABLE, CampaignState
from services.catalog.reservations import domain as reservations
from services.fulfillment.fulfillments import domain as fulfillments
from services.fulfillment.parcels import domain as parcels
from services.fulfillment.tills import domain as uses
from services.fulfillment.vouchers import domain as vouchers
from services.redemption.redemptions import domain as redemptions
from shared.tasks import tables as tasks

NEW = "(new)"
LINE = re.compile(r"^ +(\(new\)|\w+) +-> +(\w+) +(.+)$", re.MULTILINE)

HEAD = """# States

Generated from the code by `python -m docs.generate`; a test compares. Nothing else happens to any of these: the code
raises. For redemptions, reservations, fulfillments, parcels, vouchers and uses the database refuses too.
"""


@dataclass(frozen=True)
class Arrow:
    """From one state to another, and why."""

    source: str
    target: str
    why: str = ""
    does: str = ""


def states_document() -> str:
    """The whole of docs/states.md."""
    return "\n".join([HEAD, *(_chapter(*chapter) for chapter in _chapters())])


def _chapters() -> Iterator[tuple[str, str, Sequence[Arrow]]]:
    yield "Redemption", "`confirmed` is the pivot: from there on only forward.", list(_redemption())
    yield "Reservation", "Stock, quota and budget that the catalog keeps for one redemption.", list(_reservation())
    yield (
        "Fulfillment",
        "What is handed out for one redemption: `issued` when it is e-vouchers alone, else as its parcels stand together. A "
        "cancellation that comes first is a fulfillment that begins as `cancelled`.",
        list(_pairs(fulfillments.ARROWS, "issued", "under_way", "cancelled")),
    )
    yield (
        "Parcel",
        "What goes by courier (`dispatching`, `dispatched`, …) or to a branch (`in_transfer`, `ready`, …). Whether it can "
        "still be cancelled is decided between the two arrows out of `preparing`.",
        list(_pairs(parcels.ARROWS, "preparing")),
    )
    yield "Voucher", "`used` to `issued` is a use that was reversed.", list(_pairs(vouchers.ARROWS, "issued"))
    yield (
        "Use",
        "One request of one till. A reversal that comes before its use is a use that begins as `reversed`.",
        [*_pairs(uses.ARROWS, "live", "refused", "reversed")],
    )
    yield (
        "Campaign",
        "Today a version is put in force from any of these; `submitted` and `ended` campaigns are refused.",
        [
            Arrow(state.value, CampaignState.LIVE.value, "a version is published")
            for state in CampaignState
            if state in PUBLISHABLE
        ],
    )
    yield "Task", "Work that a service wrote down for itself.", [Arrow(NEW, "ready"), *_told(tasks.__doc__)]


def _redemption() -> Iterator[Arrow]:
    yield Arrow(NEW, redemptions.State.ACCEPTED.value, "a customer redeems")
    for (source, event), (target, commands) in redemptions.ARROWS.items():
        does = ", ".join(command.value.replace("_", " ") for command in commands)
        yield Arrow(source.value, target.value, event.value.replace("_", " "), does)


def _reservation() -> Iterator[Arrow]:
    """With the words of the module's docstring, which must tell of the same arrows as its table."""
    told = list(_told(reservations.__doc__))
    known = {(source.value, target.value) for source, targets in reservations.ARROWS.items() for target in targets}
    if {(a.source, a.target) for a in told if a.source != NEW} != known:
        raise ValueError("the docstring of reservations tells of other arrows than its table")
    return iter(told)


def _told(docstring: str | None) -> Iterator[Arrow]:
    for source, target, why in LINE.findall(docstring or ""):
        yield Arrow(source, target, why)


def _pairs(arrows: frozenset[tuple[str, str]], *beginnings: str) -> Iterator[Arrow]:
    for beginning in beginnings:
        yield Arrow(NEW, beginning)
    for source, target in sorted(arrows):
        yield Arrow(str(source), str(target))


def _chapter(name: str, says: str, arrows: Sequence[Arrow]) -> str:
    drawn = [
        f"    {'[*]' if a.source == NEW else a.source} --> {a.target}{f' : {_plain(a.why)}' if a.why else ''}" for a in arrows
    ]
    lines = [f"## {name}", "", says, "", "```mermaid", "stateDiagram-v2", *drawn, "```", ""]
    if any(a.does for a in arrows):
        lines += ["| from | what happens | to | in the same commit |", "|---|---|---|---|"]
        lines += [f"| {a.source} | {a.why} | {a.target} | {a.does} |" for a in arrows]
        lines.append("")
    return "\n".join(lines)


def _plain(why: str) -> str:
    """Mermaid ends a label at a colon or semicolon."""
    return why.replace(":", ",").replace(";", ",")
