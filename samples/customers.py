"""Makes the sample customers, their opening balances and a file of earned points: `python -m samples.customers`.

Two thousand made-up customers in groups; every number follows from the table below, so a story that is told with them can be
checked by hand. Lots expire so many days after the day of the cut-over, which `--day` moves: a trial next spring then has
lots that expire soon as well.
"""

import argparse
import csv
import io
from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import NamedTuple

FOLDER = Path(__file__).parent
CUT_OVER_ON = date(2026, 11, 23)
CUSTOMERS = 2_000

Lots = tuple[tuple[int, int], ...]
"""(points, days from the cut-over to the lot's last day), in any order."""


class Group(NamedTuple):
    """Customers by number, both ends included; the n-th of them has the n-th pattern of lots, over and over."""

    first: int
    last: int
    what: str
    patterns: tuple[Lots, ...]


GROUPS = (
    Group(1, 1, "four lots, with the earned one; two of them expire soon",
          (((1_200, 20), (2_500, 60), (30_000, 400)),)),
    Group(2, 2, "too few points for a cup of coffee",
          (((1_000, 200),),)),
    Group(3, 100, "everyday balances",
          (((6_000, 15),), ((2_000, 80), (8_000, 380)), ((15_000, 250),), ((900, 29), (900, 89), (9_000, 700)))),
    Group(101, 300, "savers: 100,000 points, of which 40,000 expire within a month",
          (((40_000, 25), (60_000, 500)),)),
    Group(301, 500, "shoppers: 12,000 points, of which 3,000 expire within ninety days",
          (((3_000, 45), (9_000, 300)),)),
    Group(501, 1_900, "everybody else, from one lot to six",
          (((5_000, 365),),
           ((1_500, 30), (4_500, 395)),
           ((12_000, 180),),
           ((800, 7), (1_600, 37), (2_400, 67), (3_200, 97)),
           ((25_000, 540),),
           ((300, 1), (300, 90), (7_000, 730)),
           ((1_000, 31), (1_000, 61), (1_000, 91), (1_000, 121), (1_000, 151), (1_000, 181)))),
    Group(1_901, 2_000, "no points yet",
          ((),)),
)  # fmt: skip

EARNED: tuple[tuple[int, int, int, int], ...] = (
    (1, 1, 1, 500),
    (501, 1_900, 2, 250),
)
"""(first, last, every so manieth, points) of the file of earned points; they expire two years after the cut-over."""
EARNED_DAYS = 730

TIERS = ("classic", "classic", "classic", "classic", "silver", "silver", "gold", "classic", "silver", "platinum")
NAMES = (("zh_hans", "样例客户{number:04}"), ("zh_hant", "範例客戶{number:04}"), ("en", "Sample Customer {number:04}"))

PHONES = ("+442079460000", "+441134960000")
"""First numbers of two ranges of a thousand that the British regulator keeps for films and plays: they reach nobody.

China sets no such range aside, and any other valid number may be somebody's.
"""


def customer_number(number: int) -> str:
    """`C000001`."""
    return f"C{number:06}"


def customers_file() -> str:
    """The feed of customers."""
    rows = []
    for number in range(1, CUSTOMERS + 1):
        language, name = NAMES[0] if number == 1 else NAMES[number % len(NAMES)]
        block, within = divmod(number - 1, 1_000)
        phone = f"+{int(PHONES[block]) + within}"
        tier = TIERS[number % len(TIERS)]
        rows.append((customer_number(number), f"customer-{number:05}", name.format(number=number), phone, tier, language))
    return _csv(("customer_number", "subject", "name", "phone", "tier", "language"), rows)


def opening_balances_file(day: date) -> str:
    """The feed of opening balances, with its control line."""
    return _points_file(
        (number, points, day + timedelta(days=days), f"OPEN-{customer_number(number)}-{part}")
        for group in GROUPS
        for number in range(group.first, group.last + 1)
        for part, (points, days) in enumerate(group.patterns[(number - group.first) % len(group.patterns)], start=1)
    )


def earned_points_file(day: date) -> str:
    """The feed of earned points, with its control line."""
    return _points_file(
        (number, points, day + timedelta(days=EARNED_DAYS), f"EARN-{day:%Y%m}-{customer_number(number)}")
        for first, last, step, points in EARNED
        for number in range(first, last + 1, step)
    )


def sample_files(day: date = CUT_OVER_ON) -> dict[str, str]:
    """Every file by its name."""
    return {
        "customers.csv": customers_file(),
        "opening-balances.csv": opening_balances_file(day),
        "earned-points.csv": earned_points_file(day),
    }


def _points_file(lots: Iterator[tuple[int, int, date, str]]) -> str:
    rows = [(customer_number(number), points, last_day.isoformat(), reference) for number, points, last_day, reference in lots]
    total = ("#total", len(rows), sum(row[1] for row in rows))
    return _csv(("customer_number", "points", "expires_on", "reference"), [*rows, total])


def _csv(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return out.getvalue()


def main() -> None:
    """Write the files beside this one, or where `--into` says."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--day", type=date.fromisoformat, default=CUT_OVER_ON, help="the day of the cut-over, YYYY-MM-DD")
    parser.add_argument("--into", type=Path, default=FOLDER, help="the folder to write to")
    asked = parser.parse_args()
    for name, content in sample_files(asked.day).items():
        (asked.into / name).write_text(content, encoding="utf-8")
        print(name)


if __name__ == "__main__":
    main()
