"""The checks of this service's own books. Each answers (subject, detail) of what is wrong, and nothing when all is well.

A check reads the keys from `:low` to `:high` of what it walks along; both sides of a comparison name them, else it reads all.
"""

from services.redemption.points.store import POSTING_HASH
from shared.books import Books, Check, Walk

SIGNED = "CASE WHEN credit_account = account_id THEN points ELSE -points END"

ACCOUNTS = Walk("accounts")
LOTS = Walk("lots")
REDEMPTIONS = Walk("redemptions")
CUSTOMERS = Walk("customers")

CHECKS = {
    # A posting's hash no longer fits what stands in its row.
    "posting-edited": Check(
        ACCOUNTS,
        f"""
        SELECT account_id || ' number ' || number, 'its hash does not fit its row' FROM postings
         WHERE account_id BETWEEN :low AND :high AND hash IS DISTINCT FROM {POSTING_HASH}""",
    ),
    # Numbers run without a gap and each balance follows from the one before (P3, G1).
    "posting-chain-broken": Check(
        ACCOUNTS,
        f"""
        SELECT account_id || ' number ' || number, 'it does not follow from the posting before it'
          FROM (SELECT account_id, number, balance_after, {SIGNED} AS change,
                       row_number() OVER w AS place, lag(balance_after, 1, CAST(0 AS bigint)) OVER w AS before
                  FROM postings WHERE account_id BETWEEN :low AND :high
                WINDOW w AS (PARTITION BY account_id ORDER BY number)) AS chain
         WHERE number <> place OR balance_after <> before + change""",
    ),
    # Account = sum of its postings.
    "account-drifted": Check(
        ACCOUNTS,
        f"""
        SELECT CAST(coalesce(a.id, p.account_id) AS text), 'the account says ' || coalesce(a.posted, 0) || ' in '
               || coalesce(a.postings_count, 0) || ' postings, they say ' || coalesce(p.total, 0) || ' in '
               || coalesce(p.count, 0)
          FROM (SELECT id, posted, postings_count FROM accounts WHERE id BETWEEN :low AND :high) AS a
          FULL JOIN (SELECT account_id, sum({SIGNED}) AS total, count(*) AS count
                       FROM postings WHERE account_id BETWEEN :low AND :high GROUP BY account_id) AS p ON p.account_id = a.id
         WHERE a.id IS NULL OR a.posted <> coalesce(p.total, 0) OR a.postings_count <> coalesce(p.count, 0)""",
    ),
    # Lot = sum of the postings that touched it.
    "lot-drifted": Check(
        ACCOUNTS,
        f"""
        SELECT CAST(l.id AS text), 'the lot says ' || l.remaining || ', its postings ' || coalesce(p.total, 0)
          FROM lots l LEFT JOIN (SELECT account_id, lot_id, sum({SIGNED}) AS total FROM postings
                                  WHERE account_id BETWEEN :low AND :high GROUP BY account_id, lot_id) AS p
               ON p.lot_id = l.id AND p.account_id = l.account_id
         WHERE l.account_id BETWEEN :low AND :high AND l.remaining <> coalesce(p.total, 0)""",
    ),
    # Account = sum of its lots, held included (P4).
    "account-and-lots-differ": Check(
        ACCOUNTS,
        """
        SELECT CAST(a.id AS text), 'account ' || a.posted || ' held ' || a.held || ', lots ' || coalesce(l.remaining, 0)
               || ' held ' || coalesce(l.held, 0)
          FROM accounts a LEFT JOIN (SELECT account_id, sum(remaining) AS remaining, sum(held) AS held
                                       FROM lots WHERE account_id BETWEEN :low AND :high GROUP BY account_id) AS l
               ON l.account_id = a.id
         WHERE a.id BETWEEN :low AND :high AND (a.posted <> coalesce(l.remaining, 0) OR a.held <> coalesce(l.held, 0))""",
    ),
    # What a lot holds is what redemptions hold of it.
    "lot-and-holds-differ": Check(
        LOTS,
        """
        SELECT CAST(l.id AS text), 'the lot holds ' || l.held || ', redemptions hold ' || coalesce(h.points, 0)
          FROM lots l LEFT JOIN (SELECT lot_id, sum(points) AS points FROM holds
                                  WHERE state = 'held' AND lot_id BETWEEN :low AND :high GROUP BY lot_id) AS h
               ON h.lot_id = l.id
         WHERE l.id BETWEEN :low AND :high AND l.held <> coalesce(h.points, 0)""",
    ),
    # Points are held until the pivot, posted after it, released when declined: exactly the price, never anything else (G3).
    "redemption-and-points-differ": Check(
        REDEMPTIONS,
        """
        SELECT CAST(r.id AS text), r.state || ' for ' || r.price_points || ', held ' || coalesce(h.held, 0) || ' posted '
               || coalesce(h.posted, 0) || ' released ' || coalesce(h.released, 0) || ', postings ' || coalesce(p.points, 0)
          FROM redemptions r
          LEFT JOIN (SELECT redemption_id, sum(points) FILTER (WHERE state = 'held') AS held,
                            sum(points) FILTER (WHERE state = 'posted') AS posted,
                            sum(points) FILTER (WHERE state = 'released') AS released
                       FROM holds WHERE redemption_id BETWEEN :low AND :high GROUP BY redemption_id) AS h
               ON h.redemption_id = r.id
          LEFT JOIN (SELECT redemption_id, sum(points) AS points FROM postings
                      WHERE kind = 'redeemed' AND redemption_id BETWEEN :low AND :high GROUP BY redemption_id)
                    AS p ON p.redemption_id = r.id
         WHERE r.id BETWEEN :low AND :high AND (
               coalesce(h.held, 0) <> CASE WHEN r.state = 'accepted' THEN r.price_points ELSE 0 END
            OR coalesce(h.posted, 0) <> CASE WHEN r.state IN ('accepted', 'declined') THEN 0 ELSE r.price_points END
            OR coalesce(h.released, 0) <> CASE WHEN r.state = 'declined' THEN r.price_points ELSE 0 END
            OR coalesce(p.points, 0) <> coalesce(h.posted, 0))""",
    ),
    "redemption-and-lines-differ": Check(
        REDEMPTIONS,
        """
        SELECT CAST(r.id AS text), 'the price is ' || r.price_points || ', its lines make ' || coalesce(l.points, 0)
          FROM redemptions r
          LEFT JOIN (SELECT redemption_id, sum(quantity * unit_points) AS points FROM redemption_lines
                      WHERE redemption_id BETWEEN :low AND :high GROUP BY redemption_id) AS l ON l.redemption_id = r.id
         WHERE r.id BETWEEN :low AND :high AND r.price_points <> coalesce(l.points, 0)""",
    ),
    # Every live redemption has a task that carries it on, or one that waits for a person (G19).
    "redemption-without-task": Check(
        REDEMPTIONS,
        """
        SELECT CAST(r.id AS text), r.state || ', and nothing carries it on' FROM redemptions r
         WHERE r.id BETWEEN :low AND :high AND r.state IN ('accepted', 'confirmed') AND NOT EXISTS (
               SELECT FROM tasks t WHERE t.ref = r.id AND t.state <> 'done'
                  AND t.kind = CASE WHEN r.state = 'accepted' THEN 'drive' ELSE 'fulfil' END)""",
    ),
    # A personal limit's counter is what the lines that took from it say.
    "limit-drifted": Check(
        CUSTOMERS,
        """
        SELECT coalesce(c.customer_id, l.customer_id) || ' ' || coalesce(c.limit_key, l.limit_key),
               'counted ' || coalesce(c.taken, 0) || ', redeemed ' || coalesce(l.taken, 0)
          FROM (SELECT customer_id, limit_key, taken FROM limit_counters WHERE customer_id BETWEEN :low AND :high) AS c
          FULL JOIN (
               SELECT r.customer_id, k.limit_key, sum(n.quantity) AS taken
                 FROM redemptions r JOIN redemption_lines n ON n.redemption_id = r.id
                      CROSS JOIN LATERAL jsonb_array_elements_text(n.limit_keys) AS k(limit_key)
                WHERE r.state <> 'declined' AND r.customer_id BETWEEN :low AND :high
                GROUP BY r.customer_id, k.limit_key) AS l
            ON l.customer_id = c.customer_id AND l.limit_key = c.limit_key
         WHERE coalesce(c.taken, 0) <> coalesce(l.taken, 0)""",
    ),
    "timeline-with-a-gap": Check(
        REDEMPTIONS,
        """
        SELECT CAST(r.id AS text), 'it should have ' || r.events_count || ' entries, it has ' || coalesce(e.count, 0)
          FROM redemptions r
          LEFT JOIN (SELECT redemption_id, count(*) AS count, max(number) AS last FROM redemption_events
                      WHERE redemption_id BETWEEN :low AND :high GROUP BY redemption_id) AS e ON e.redemption_id = r.id
         WHERE r.id BETWEEN :low AND :high
           AND (r.events_count <> coalesce(e.count, 0) OR r.events_count <> coalesce(e.last, 0))""",
    ),
}

BOOKS = Books(CHECKS)
