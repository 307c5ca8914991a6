"""What the suite guarantees, and which tests show it: prints build/proves.json and writes docs/guarantees.md from it.

`python -m tests.support.guarantees` after a whole test run; `--check` writes nothing and fails when the file is not up to date.
"""

import argparse
import json
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).parents[2]
REPORT = ROOT / "build" / "proves.json"
PAGE = ROOT / "docs" / "guarantees.md"

# A number is listed here once some test proves it. The sentence says what is shown, and no more.
PROMISES: Mapping[str, tuple[str, str]] = {
    "G1": (
        "Points only move",
        "Every change of a balance is a posting from one account to another, so nothing appears or vanishes. Postings"
        " are never updated or deleted: the service has no right to, and a correction is a posting of its own.",
    ),
    "G2": (
        "Never overspent",
        "However many requests race for the same points, no more is redeemed than there is. What is held for one"
        " redemption cannot be used for another.",
    ),
    "G3": (
        "Held, then taken or given back, once",
        "Points held for a redemption are either posted or released, exactly once, and never more than was held.",
    ),
    "G6": (
        "The points that expire first go first",
        "Points are taken from the lot that expires earliest, always in the same order. Released points go back to"
        " the lots that they came from; if a lot has expired meanwhile, they get the campaign's period of grace.",
    ),
    "G7": (
        "Not more than was taken goes back",
        "A redemption's refunds never exceed what it took, by line and by lot, however many documents, reports and"
        " requests come at once. What is refunded here are points; cash is not taken yet.",
    ),
    "G8": (
        "The books are compared",
        "Reconciliation reads all three services, names each kind of damage that it knows when it is planted, and"
        " finds nothing in a healthy system, at rest or under load.",
    ),
    "G9": (
        "Never oversold",
        "However many customers race for the last units, no more is reserved than is in stock, within quota and within budget.",
    ),
    "G10": (
        "A release that comes first is remembered",
        "Releasing a reservation that has not arrived leaves a mark in its own row, so that the late reservation"
        " takes nothing. The same holds for a fulfillment that was cancelled before it came.",
    ),
    "G11": (
        "A reservation belongs to a redemption",
        "Stock is held until its redemption consumes or releases it; doing either again changes nothing. Stock held"
        " for a redemption that has ended is reported.",
    ),
    "G12": (
        "Voucher codes cannot be guessed and are not lying about",
        "A code has fifteen random symbols of thirty-two and one check symbol. It is found by a keyed hash and sealed"
        " at rest; it stands in no table, log or answer but the one that shows it to its owner.",
    ),
    "G13": (
        "A till learns nothing of vouchers that are not its own",
        "An unknown code, a mistyped one and another merchant's are all answered with the same bytes.",
    ),
    "G14": (
        "A voucher is used once",
        "However many tills use a code at the same moment, on however many processes, one of them succeeds.",
    ),
    "G15": (
        "A lost answer at the till is safe",
        "The same request number brings the original answer. A reversal gives the voucher back within its window, and"
        " a reversal that arrives before its use stops that use for good.",
    ),
    "G17": (
        "Guessing pickup codes comes to an end",
        "Wrong pickup codes are counted by person and by branch: after a few the counter has to wait, also after a"
        " restart and at every process. Voucher codes at tills are watched by an alert and not limited yet.",
    ),
    "G18": (
        "Cancelled or sent, never both",
        "A cancellation and a dispatch of the same goods, at once, have one winner, decided in the parcel's row:"
        " either nothing leaves and everything is given back, or it was too late and nothing is.",
    ),
    "G19": (
        "Everything ends by itself",
        "Work that was written down is done or set aside for a person, whatever is killed, paused or cut off"
        " meanwhile; nobody has to step in.",
    ),
    "G20": (
        "Only the arrows that are drawn",
        "A redemption goes from state to state along the listed arrows alone. The code and the database hold the same list.",
    ),
    "G21": (
        "After the point of no return only forward",
        "Once the points are posted a redemption is carried on until it is handed out, however long a neighbour is away;"
        " nothing turns it back by itself.",
    ),
    "G22": (
        "What may have happened is undone too",
        "When a redemption ends before its point of no return, a step whose outcome is not known is undone like one"
        " that succeeded.",
    ),
    "G25": (
        "Poison is set aside",
        "A task that kills its process is parked after five claims, with its last error, and takes no other task with"
        " it. A clean failure is tried again later, without end, and resets the count.",
    ),
    "G26": (
        "A write that moves value needs a key",
        "Without an Idempotency-Key, with two of them, or with one that is not 1 to 255 printable characters, such a"
        " request is refused and does nothing. The quoted and the bare form are the same key.",
    ),
    "G27": (
        "The same request gets the same answer",
        "Sending a request again under its key brings the same status and the same bytes, a refusal too, and has no"
        " further effect. An error of ours is never kept: the next try goes through.",
    ),
    "G28": (
        "A key means one request",
        "Another body or query under a known key is refused. While the first request is still at work, the second is"
        " told to come back; a key whose holder died is free again.",
    ),
    "G29": (
        "A key is its owner's",
        "The same key of another customer, client or route neither replays nor collides. Fifty equal requests at once"
        " have one effect.",
    ),
    "G30": (
        "kill -9 loses and doubles nothing",
        "Processes are killed, paused past their lease and cut off from the database while they work. A worker that"
        " lost its lease commits nothing. Controls without this fence show the damage in the same loop.",
    ),
    "G33": (
        "Every wait ends",
        "Connecting takes at most one second, a call five, a statement five, a lock two. Nothing is sent over the"
        " network while a transaction is open. Deadlocks are tried again three times at most. Without a free"
        " connection the caller is told within about a second.",
    ),
    "G34": (
        "Doubled, late and out of order is all the same",
        "What carriers and fulfillment tell counts once, by its id and its version. Whatever the order, the end and"
        " the timeline are the same; what belongs to nothing known waits; what nobody signed is refused.",
    ),
    "G35": (
        "One clock decides",
        "Limits and days are counted by the database's clock, read once a command, in the bank's time zone.",
    ),
    "G36": (
        "Restarted without anybody noticing",
        "Each process says that it is going, answers what is on its way, and its successor is ready first: a restart"
        " of everything at two hundred requests a second fails none and loses no task, on one machine and in"
        " containers.",
    ),
    "G37": (
        "A pooler may stand in between",
        "The services work through PgBouncer in transaction mode without prepared statements: nothing of theirs outlives a"
        " transaction.",
    ),
    "G38": (
        "Only tokens of ours, and not for long",
        "A token is signed with EdDSA, ES256 or PS256 by the bank's identity provider, for this audience, for ten minutes at"
        " most, and has an id of its own; anything else is refused on every route. What was checked is remembered for a minute"
        " and forgotten when the provider changes its keys, which needs no restart. While the provider is away its last keys"
        " serve for an hour, then nobody is let in. Tokens are not bound to their sender; decision 0012 says what stands"
        " instead.",
    ),
    "G39": (
        "Somebody else's is like absent",
        "Another customer's, merchant's or till's object is answered exactly like one that does not exist.",
    ),
    "G40": (
        "Every route says who may call it",
        "A route that does not say stops the start. A caller without the scope or role is refused, whatever else they may do.",
    ),
    "G41": (
        "Two people",
        "A parked task runs again when one person asked and another one agreed, within a day, to the task as it was. People"
        " are told apart by who they are and not by how they signed in. SQL of the service's own role does not get around it.",
    ),
    "G42": (
        "Input is read strictly",
        "Unknown fields, keys that appear twice, NUL, broken UTF-8, deep nesting, fractions and numbers beyond 2^53"
        " are refused. A body ends at 64 KiB or at its route's stated limit, a page at a hundred entries, and cursors"
        " are signed.",
    ),
    "G46": (
        "A change and its audit row are one commit",
        "When the audit row cannot be written the change is undone. The service can add audit rows and neither change"
        " nor delete them.",
    ),
    "G48": (
        "Shown masked, logged not at all",
        "Staff who look for a caller see name and number masked, and in full for a reason, one customer at a time; each look"
        " is on record. A customer with a name of their own goes through every route: name, number, voucher codes and tokens"
        " stand in no log of the three services, trace, metric, task, audit row, table, problem or address of a call.",
    ),
    "G49": (
        "Personal data is sealed",
        "Contact data is encrypted under a key of the customer's own and bound to its place, so a value that was"
        " moved or changed does not open; old keys open until they are withdrawn.",
    ),
    "G53": (
        "It can be seen",
        "Ages by state, the oldest due task, parked tasks, breaks, lost leases and refused codes are metrics, and for"
        " each thing that must not happen there is an alert, with a test in which it fires. Being alive asks no"
        " database; being ready asks for database, schema and keys.",
    ),
}


def _sentence(name: str) -> str:
    """A test's name in words; a state machine is run under its class's name."""
    words = name.removesuffix("::runTest").rpartition("::")[2].removeprefix("test_")
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", words).replace("_", " ")


def main(arguments: Sequence[str] | None = None) -> int:
    """Print and write, or check. Answers the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="fail when docs/guarantees.md is not up to date")
    check = parser.parse_args(arguments).check
    if not REPORT.exists():
        sys.stderr.write("Nothing is proven yet: run the tests first (make test).\n")
        return 2
    proofs: dict[str, list[str]] = json.loads(REPORT.read_text(encoding="utf-8"))
    for number, tests in proofs.items():
        print(number)
        for test in folded(tests):
            print(f"    {test}")
    silent = [number for number in proofs if number.startswith("G") and number not in PROMISES]
    if silent:
        sys.stderr.write(f"Proven, but not said in words in {Path(__file__).name}: {', '.join(silent)}\n")
        return 1
    page = page_of(proofs)
    if check:
        same = PAGE.exists() and PAGE.read_text(encoding="utf-8") == page
        if not same:
            sys.stderr.write("docs/guarantees.md is not what the last test run proves: run make proves.\n")
        return 0 if same else 1
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(page, encoding="utf-8")
    print(f"\nWritten: {PAGE.relative_to(ROOT)}")
    return 0


def folded(tests: Sequence[str]) -> list[str]:
    """Each test once, however many cases it has."""
    return list(dict.fromkeys(re.sub(r"\[.*\]$", "", test, flags=re.DOTALL) for test in tests))


def page_of(proofs: Mapping[str, Sequence[str]]) -> str:
    """The page: what each promise says, and the sentences of its tests by file."""
    lines = [
        "# What is guaranteed",
        "",
        "Generated by `make proves` from the tests that passed in the last run. Edit the tests and",
        "`tests/support/guarantees.py`, not this page. A promise without a test is not listed.",
        "",
    ]
    for number, (title, sentence) in PROMISES.items():
        if number not in proofs:
            continue
        lines += [f"## {number} {title}", "", sentence, ""]
        files: dict[str, list[str]] = {}
        for test in folded(proofs[number]):
            path, _, name = test.partition("::")
            files.setdefault(path, []).append(_sentence(name))
        for path, names in files.items():
            lines += [f"- `{path}`", *[f"  - {name}" for name in names]]
        lines.append("")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
