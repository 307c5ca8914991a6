"""The checks of this service's own books. Each answers (subject, detail) of what is wrong, and nothing when all is well.

A check reads the keys from `:low` to `:high` of what it walks along; both sides of a comparison name them, else it reads all.
"""

from services.redemption.points.store import POSTING_HASH
from shared.books import Books, Check, Walk
from shared.tasks.books import REDRIVE_CHECKS

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
    # Points are held until the pivot, posted after it, released when it never came: exactly the price, never else (G3).
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
            OR coalesce(h.posted, 0) <> CASE
                   WHEN r.state IN ('accepted', 'declined') THEN 0
                   WHEN r.state = 'cancelled' AND coalesce(h.released, 0) > 0 THEN 0  -- before the pivot
                   ELSE r.price_points END
            OR coalesce(h.released, 0) <> CASE
                   WHEN r.state = 'declined' OR (r.state = 'cancelled' AND coalesce(h.posted, 0) = 0) THEN r.price_points
                   ELSE 0 END
            OR coalesce(p.points, 0) <> coalesce(h.posted, 0))""",
    ),
    # What went back is the same by lots, by postings and by lines of documents; nothing else is left where all of it went back.
    "refunds-differ": Check(
        REDEMPTIONS,
        """
        SELECT CAST(r.id AS text), r.state || ', given back by lots ' || coalesce(h.refunded, 0) || ', by postings '
               || coalesce(p.points, 0) || ', by documents ' || coalesce(l.points, 0)
          FROM redemptions r
          LEFT JOIN (SELECT redemption_id, sum(refunded) AS refunded, sum(points) FILTER (WHERE state = 'posted') AS posted
                       FROM holds WHERE redemption_id BETWEEN :low AND :high GROUP BY redemption_id) AS h
               ON h.redemption_id = r.id
          LEFT JOIN (SELECT redemption_id, sum(points) AS points FROM postings
                      WHERE kind = 'refunded' AND redemption_id BETWEEN :low AND :high GROUP BY redemption_id)
                    AS p ON p.redemption_id = r.id
          LEFT JOIN (SELECT redemption_id, sum(points) AS points FROM return_lines
                      WHERE redemption_id BETWEEN :low AND :high GROUP BY redemption_id) AS l ON l.redemption_id = r.id
         WHERE r.id BETWEEN :low AND :high AND (
               coalesce(h.refunded, 0) <> coalesce(p.points, 0) OR coalesce(h.refunded, 0) <> coalesce(l.points, 0)
            OR (r.state IN ('cancelled', 'returned') AND coalesce(h.refunded, 0) <> coalesce(h.posted, 0)))""",
    ),
    # A document that gave back says of what.
    "return-without-lines": Check(
        REDEMPTIONS,
        """
        SELECT CAST(d.redemption_id AS text), 'the return ' || d.id || ' (' || d.kind || ') gave back, and has no line'
          FROM returns d
         WHERE d.redemption_id BETWEEN :low AND :high AND d.state = 'refunded'
           AND NOT EXISTS (SELECT FROM return_lines l WHERE l.return_id = d.id)""",
    ),
    # A line comes back whole or in part, never twice.
    "returned-too-much": Check(
        REDEMPTIONS,
        """
        SELECT CAST(n.redemption_id AS text), 'of line ' || n.number || ' there were ' || n.quantity || ', back came '
               || coalesce(l.quantity, 0)
          FROM redemption_lines n
          LEFT JOIN (SELECT redemption_id, number, sum(quantity) AS quantity, sum(points) AS points FROM return_lines
                      WHERE redemption_id BETWEEN :low AND :high GROUP BY redemption_id, number) AS l
               ON l.redemption_id = n.redemption_id AND l.number = n.number
         WHERE n.redemption_id BETWEEN :low AND :high
           AND (l.quantity > n.quantity OR l.points <> l.quantity * n.unit_points)""",
    ),
    # Somebody waits for the answer to a cancellation exactly as long as the redemption says that it is being cancelled.
    "cancellation-undecided": Check(
        REDEMPTIONS,
        """
        SELECT CAST(r.id AS text), r.state || ', and ' || count(d.id) || ' cancellations that nobody decided'
          FROM redemptions r LEFT JOIN returns d ON d.redemption_id = r.id AND d.state = 'requested'
         WHERE r.id BETWEEN :low AND :high
         GROUP BY r.id, r.state HAVING count(d.id) <> CASE WHEN r.state = 'cancelling' THEN 1 ELSE 0 END""",
    ),
    # Goods have a way to the customer, and nothing else has.
    "goods-without-delivery": Check(
        REDEMPTIONS,
        """
        SELECT CAST(r.id AS text), CASE WHEN g.goods THEN 'goods, and no way to the customer' ELSE 'a delivery of nothing' END
          FROM redemptions r
          LEFT JOIN (SELECT redemption_id, bool_or(coalesce(reward ->> 'kind', '') = 'goods') AS goods FROM redemption_lines
                      WHERE redemption_id BETWEEN :low AND :high GROUP BY redemption_id) AS g ON g.redemption_id = r.id
          LEFT JOIN redemption_deliveries d ON d.redemption_id = r.id
         WHERE r.id BETWEEN :low AND :high AND coalesce(g.goods, false) <> (d.redemption_id IS NOT NULL)""",
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
         WHERE r.id BETWEEN :low AND :high AND r.state IN ('accepted', 'confirmed', 'delivering', 'cancelling') AND NOT EXISTS (
               SELECT FROM tasks t WHERE t.ref = r.id AND t.state <> 'done'
                  AND t.kind = CASE r.state WHEN 'accepted' THEN 'drive' WHEN 'confirmed' THEN 'fulfil'
                                            WHEN 'delivering' THEN 'watch' ELSE 'cancel' END)""",
    ),
    # A personal limit's counter is what the lines that took from it say.
    "limit-drifted": Check(
        CUSTOMERS,
        """
        SELECT coalesce(c.customer_id, l.customer_id) || ' ' || coalesce(c.limit_key, l.limit_key),
               'counted ' || coalesce(c.taken, 0) || ', redeemed ' || coalesce(l.taken, 0)
          FROM (SELECT customer_id, limit_key, taken FROM limit_counters WHERE customer_id BETWEEN :low AND :high) AS c
          FULL JOIN (
               SELECT r.customer_id, k.limit_key, sum(n.quantity - coalesce(b.quantity, 0)) AS taken
                 FROM redemptions r JOIN redemption_lines n ON n.redemption_id = r.id
                      CROSS JOIN LATERAL jsonb_array_elements_text(n.limit_keys) AS k(limit_key)
                      LEFT JOIN (SELECT l.redemption_id, l.number, sum(l.quantity) AS quantity
                                   FROM return_lines l JOIN returns d ON d.id = l.return_id AND d.kind = 'cancellation'
                                        JOIN redemptions o ON o.id = l.redemption_id
                                  WHERE o.customer_id BETWEEN :low AND :high GROUP BY l.redemption_id, l.number) AS b
                           ON b.redemption_id = n.redemption_id AND b.number = n.number
                WHERE r.state NOT IN ('declined', 'cancelled') AND r.customer_id BETWEEN :low AND :high
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

BOOKS = Books({**REDRIVE_CHECKS, **CHECKS})
