"""The books, read straight from the three databases as their owners, so that no service is taken at its word."""

from dataclasses import dataclass

import psycopg

from deploy.local.demo.scene import Scene
from deploy.local.suite import Suite


@dataclass(frozen=True)
class Books:
    """Points, units and vouchers as the tables have them."""

    issued: int
    redeemed: int
    given_back: int
    outstanding: int
    in_lots: int
    held: int
    units_received: int
    units_taken: int
    units_handed_out: int
    vouchers: dict[str, int]


def read_books(suite: Suite) -> Books:
    """Add up the tables. Each database is read at a moment of its own."""
    with psycopg.connect(suite.database_url("redemption", "owner")) as conn:
        points = conn.execute(
            "SELECT coalesce(sum(points) FILTER (WHERE kind IN ('opening', 'earned')), 0),"
            " coalesce(sum(points) FILTER (WHERE kind = 'redeemed'), 0),"
            " coalesce(sum(points) FILTER (WHERE kind = 'refunded'), 0) FROM postings"
        ).fetchone()
        accounts = conn.execute("SELECT coalesce(sum(posted), 0), coalesce(sum(held), 0) FROM accounts").fetchone()
        lots = conn.execute("SELECT coalesce(sum(remaining), 0) FROM lots").fetchone()
    with psycopg.connect(suite.database_url("catalog", "owner")) as conn:
        units = conn.execute("SELECT sum(received), sum(held + consumed), sum(consumed) FROM stock_batches").fetchone()
    with psycopg.connect(suite.database_url("fulfillment", "owner")) as conn:
        vouchers: dict[str, int] = dict(conn.execute("SELECT state, count(*) FROM vouchers GROUP BY state").fetchall())
    assert points
    assert accounts
    assert lots
    assert units
    return Books(
        issued=int(points[0]),
        redeemed=int(points[1]),
        given_back=int(points[2]),
        outstanding=int(accounts[0]),
        held=int(accounts[1]),
        in_lots=int(lots[0]),
        units_received=int(units[0]),
        units_taken=int(units[1]),
        units_handed_out=int(units[2]),
        vouchers=vouchers,
    )


def show_books(scene: Scene, when: str, *, redeemed: int, units: int, vouchers: dict[str, int], given_back: int = 0) -> None:
    """Print the books, each number being the expected one. Raises Deviation."""
    books, teller = read_books(scene.suite), scene.teller
    issued: int = scene.kept["issued"]
    teller.expect(f"Points issued, {when}", books.issued, issued)
    teller.expect(f"Points redeemed, {when}", books.redeemed, redeemed)
    teller.expect(f"Points given back, {when}", books.given_back, given_back)
    outstanding = issued - redeemed + given_back
    teller.expect(f"Points outstanding, {when}", books.outstanding, outstanding)
    teller.expect(f"Points in lots, {when}", books.in_lots, outstanding)
    teller.expect(f"Points held, {when}", books.held, 0)
    teller.expect(f"Units taken, {when}", books.units_taken, units)
    teller.expect(f"Units handed out, {when}", books.units_handed_out, units)
    teller.expect(f"Vouchers, {when}", books.vouchers, vouchers)
    teller.line(f"{when}, read from the databases:")
    back = f"+ {given_back:,} given back" if given_back else "  "
    spent = f"- {books.redeemed:>10,} redeemed {back}"
    teller.line(f"  points    {books.issued:>12,} issued  {spent} = {books.outstanding:>12,} outstanding")
    left = books.units_received - books.units_handed_out
    teller.line(
        f"  units     {books.units_received:>12,} in all  - {books.units_handed_out:>10,} handed out  = {left:>12,} left"
    )
    said = ", ".join(f"{count} {state}" for state, count in sorted(vouchers.items())) or "none yet"
    teller.line(f"  vouchers  {sum(vouchers.values()):>12,}           ({said})")
