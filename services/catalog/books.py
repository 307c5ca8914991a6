"""The catalog's books: batches, quotas and budgets against the movements and reservations that explain them.

A check reads the keys from `:low` to `:high` of what it walks along. A counter that everybody draws on is explained by a great
many rows, so those walks begin with one key at a time.
"""

from services.catalog.campaigns.domain import REWARD_COST_LINE
from shared.books import Books, Check, Walk
from shared.tasks.books import REDRIVE_CHECKS

RESERVATIONS = Walk("reservations")
BATCHES = Walk("stock_batches", first=1, most=500)
QUOTAS = Walk("quotas", "offer_id", first=1, most=500)
BUDGETS = Walk("budget_lines", "campaign_code", first=1, most=100, of_text=True)

CHECKS = {
    "batch-movements": Check(
        BATCHES,
        """
        SELECT b.campaign_code || '/' || b.code AS subject,
               format('received %s held %s consumed %s; movements say %s %s %s', b.received, b.held, b.consumed,
                      m.received, m.held, m.consumed) AS detail
          FROM stock_batches b
          CROSS JOIN LATERAL (
               SELECT coalesce(sum(CASE kind WHEN 'received' THEN quantity WHEN 'withdrawn' THEN -quantity END), 0) AS received,
                      coalesce(sum(CASE WHEN kind = 'held' THEN quantity
                                        WHEN kind IN ('released', 'consumed', 'given_back', 'lost') THEN -quantity END), 0)
                          AS held,
                      coalesce(sum(CASE WHEN kind IN ('consumed', 'lost') THEN quantity
                                        WHEN kind = 'returned' THEN -quantity END), 0) AS consumed
                 FROM stock_movements WHERE batch_id = b.id) m
         WHERE b.id BETWEEN :low AND :high
           AND (b.received, b.held, b.consumed) IS DISTINCT FROM (m.received, m.held, m.consumed)""",
    ),
    "batch-draws": Check(
        BATCHES,
        """
        SELECT b.campaign_code || '/' || b.code AS subject,
               format('held %s consumed %s; reservations say %s %s', b.held, b.consumed, d.held, d.consumed) AS detail
          FROM stock_batches b
          CROSS JOIN LATERAL (
               SELECT coalesce(sum(d.quantity - d.returned) FILTER (WHERE r.state = 'held'), 0) AS held,
                      coalesce(sum(CASE r.state WHEN 'consumed' THEN d.quantity ELSE d.returned END - d.restocked), 0)
                          AS consumed
                 FROM reservation_draws d JOIN reservations r ON r.id = d.reservation_id WHERE d.batch_id = b.id) d
         WHERE b.id BETWEEN :low AND :high AND (b.held, b.consumed) IS DISTINCT FROM (d.held, d.consumed)""",
    ),
    "draw-movements": Check(
        RESERVATIONS,
        """
        SELECT coalesce(d.reservation_id, m.reservation_id)::text AS subject,
               format('line %s drew %s of a batch; its movement says %s', coalesce(d.line, m.line),
                      coalesce(d.quantity, 0), coalesce(m.quantity, 0)) AS detail
          FROM (SELECT reservation_id, line, batch_id, quantity FROM reservation_draws
                 WHERE reservation_id BETWEEN :low AND :high) d
          FULL JOIN (SELECT reservation_id, line, batch_id, quantity FROM stock_movements
                      WHERE kind = 'held' AND reservation_id BETWEEN :low AND :high) m
            ON m.reservation_id = d.reservation_id AND m.line = d.line AND m.batch_id = d.batch_id
         WHERE d.quantity IS DISTINCT FROM m.quantity""",
    ),
    "line-draws": Check(
        RESERVATIONS,
        """
        SELECT l.reservation_id::text AS subject,
               format('line %s asks for %s, drew %s', l.number, l.quantity, coalesce(d.quantity, 0)) AS detail
          FROM reservation_lines l
          LEFT JOIN (SELECT reservation_id, line, sum(quantity) AS quantity FROM reservation_draws
                      WHERE reservation_id BETWEEN :low AND :high GROUP BY reservation_id, line) d
               ON d.reservation_id = l.reservation_id AND d.line = l.number
         WHERE l.reservation_id BETWEEN :low AND :high AND l.quantity <> coalesce(d.quantity, 0)""",
    ),
    "line-returns": Check(
        RESERVATIONS,
        """
        SELECT l.reservation_id::text AS subject,
               format('line %s says %s came back, %s with their places; documents say %s and %s', l.number, l.returned,
                      l.places_returned, coalesce(d.returned, 0), coalesce(d.places, 0)) AS detail
          FROM reservation_lines l
          LEFT JOIN (SELECT x.reservation_id, x.line, sum(x.quantity) AS returned,
                            sum(x.quantity) FILTER (WHERE r.gives_back = 'stock_and_places') AS places
                       FROM reservation_return_lines x
                       JOIN reservation_returns r ON r.id = x.return_id AND r.reservation_id = x.reservation_id
                      WHERE x.reservation_id BETWEEN :low AND :high GROUP BY x.reservation_id, x.line) d
               ON d.reservation_id = l.reservation_id AND d.line = l.number
         WHERE l.reservation_id BETWEEN :low AND :high
           AND (l.returned, l.places_returned) IS DISTINCT FROM (coalesce(d.returned, 0), coalesce(d.places, 0))""",
    ),
    "line-draw-returns": Check(
        RESERVATIONS,
        """
        SELECT l.reservation_id::text AS subject,
               format('line %s says %s came back, its draws %s; %s of them are in stock again, documents say %s', l.number,
                      l.returned, coalesce(d.returned, 0), coalesce(d.restocked, 0), coalesce(x.restocked, 0)) AS detail
          FROM reservation_lines l
          LEFT JOIN (SELECT reservation_id, line, sum(returned) AS returned, sum(restocked) AS restocked
                       FROM reservation_draws WHERE reservation_id BETWEEN :low AND :high GROUP BY reservation_id, line) d
               ON d.reservation_id = l.reservation_id AND d.line = l.number
          LEFT JOIN (SELECT x.reservation_id, x.line, sum(x.quantity) AS restocked
                       FROM reservation_return_lines x JOIN reservation_returns r ON r.id = x.return_id
                      WHERE r.gives_back <> 'nothing' AND x.reservation_id BETWEEN :low AND :high
                      GROUP BY x.reservation_id, x.line) x
               ON x.reservation_id = l.reservation_id AND x.line = l.number
         WHERE l.reservation_id BETWEEN :low AND :high
           AND (coalesce(d.returned, 0), coalesce(d.restocked, 0)) IS DISTINCT FROM (l.returned, coalesce(x.restocked, 0))""",
    ),
    "draw-returns": Check(
        RESERVATIONS,
        """
        SELECT d.reservation_id::text AS subject,
               format('line %s gave %s back to a batch; its movements say %s', d.line, d.restocked, coalesce(m.quantity, 0))
                   AS detail
          FROM reservation_draws d
          LEFT JOIN (SELECT reservation_id, line, batch_id, sum(quantity) AS quantity FROM stock_movements
                      WHERE kind IN ('given_back', 'returned') AND reservation_id BETWEEN :low AND :high
                      GROUP BY reservation_id, line, batch_id) m
            ON m.reservation_id = d.reservation_id AND m.line = d.line AND m.batch_id = d.batch_id
         WHERE d.reservation_id BETWEEN :low AND :high AND d.restocked <> coalesce(m.quantity, 0)""",
    ),
    "header-lines": Check(
        RESERVATIONS,
        """
        SELECT r.id::text AS subject, format('is %s with %s lines', r.state, coalesce(l.count, 0)) AS detail
          FROM reservations r
          LEFT JOIN (SELECT reservation_id, count(*) AS count FROM reservation_lines
                      WHERE reservation_id BETWEEN :low AND :high GROUP BY reservation_id) l ON l.reservation_id = r.id
         WHERE r.id BETWEEN :low AND :high
           AND ((r.state IN ('held', 'consumed') AND l.count IS NULL)
             OR ((r.state = 'refused' OR r.fingerprint IS NULL) AND l.count IS NOT NULL))""",
    ),
    "quota": Check(
        QUOTAS,
        """
        SELECT q.offer_id::text AS subject,
               format('total %s day %s; reservations say %s %s', q.total_taken, q.day_taken, t.total, t.day) AS detail
          FROM quotas q
          CROSS JOIN LATERAL (
               SELECT coalesce(sum(places), 0) AS total, coalesce(sum(places) FILTER (WHERE counted_on = q.day_on), 0) AS day
                 FROM (SELECT CASE WHEN r.state IN ('held', 'consumed') THEN l.quantity ELSE l.returned END - l.places_returned
                              AS places, l.counted_on
                         FROM reservation_lines l JOIN reservations r ON r.id = l.reservation_id
                        WHERE l.offer_id = q.offer_id) p) t
         WHERE q.offer_id BETWEEN :low AND :high AND (q.total_taken, q.day_taken) IS DISTINCT FROM (t.total, t.day)""",
    ),
    "budget": Check(
        BUDGETS,
        f"""
        SELECT b.campaign_code || '/' || b.line AS subject,
               format('committed %s spent %s; reservations say %s %s', b.committed_minor, b.spent_minor, t.committed, t.spent)
                   AS detail
          FROM budget_lines b
          CROSS JOIN LATERAL (
               SELECT coalesce(sum(l.cost_minor / l.quantity * (l.quantity - l.returned)) FILTER (WHERE r.state = 'held'), 0)
                          AS committed,
                      coalesce(sum(l.cost_minor / l.quantity * (CASE r.state WHEN 'consumed' THEN l.quantity ELSE l.returned END
                                   - l.places_returned)), 0) AS spent
                 FROM reservations r JOIN reservation_lines l ON l.reservation_id = r.id
                WHERE r.campaign_code = b.campaign_code) t
         WHERE b.campaign_code BETWEEN :low AND :high AND b.line = '{REWARD_COST_LINE}'
           AND (b.committed_minor, b.spent_minor) IS DISTINCT FROM (t.committed, t.spent)""",
    ),
}

BOOKS = Books({**REDRIVE_CHECKS, **CHECKS})
