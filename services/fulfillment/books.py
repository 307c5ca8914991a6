"""Fulfillment's books: vouchers against their uses, fulfillments against what they hand out, parcels against their past.

A check reads the keys from `:low` to `:high` of what it walks along; both sides of a comparison name them, else it reads all.
"""

from shared.books import Books, Check, Walk
from shared.tasks.books import REDRIVE_CHECKS

VOUCHERS = Walk("vouchers")
USES = Walk("uses")
FULFILLMENTS = Walk("fulfillments")
PARCELS = Walk("parcels")
NOTICES = Walk("notices")
ENDED = "('delivered', 'collected', 'returned', 'lost', 'cancelled')"

CHECKS = {
    "voucher-used-twice": Check(
        VOUCHERS,
        """
        SELECT 'voucher:' || voucher_id AS subject, format('has %s live uses', count(*)) AS detail
          FROM uses WHERE voucher_id BETWEEN :low AND :high AND state = 'live' GROUP BY voucher_id HAVING count(*) > 1""",
    ),
    "voucher-used-without-use": Check(
        VOUCHERS,
        """
        SELECT 'voucher:' || v.id AS subject, 'is used, and no use is live' AS detail
          FROM vouchers v
         WHERE v.id BETWEEN :low AND :high AND v.state = 'used'
           AND NOT EXISTS (SELECT 1 FROM uses u WHERE u.voucher_id = v.id AND u.state = 'live')""",
    ),
    "use-of-unused-voucher": Check(
        USES,
        """
        SELECT 'use:' || u.id AS subject, format('is live, and its voucher %s is %s', v.id, v.state) AS detail
          FROM uses u JOIN vouchers v ON v.id = u.voucher_id
         WHERE u.id BETWEEN :low AND :high AND u.state = 'live' AND v.state <> 'used'""",
    ),
    "use-undecided": Check(
        USES,
        """
        SELECT 'use:' || id AS subject, 'was left undecided' AS detail
          FROM uses WHERE id BETWEEN :low AND :high AND state = 'asked'""",
    ),
    "use-by-foreign-merchant": Check(
        USES,
        """
        SELECT 'use:' || u.id AS subject, format('merchant %s does not accept voucher %s', u.merchant, v.id) AS detail
          FROM uses u
          JOIN vouchers v ON v.id = u.voucher_id
          JOIN voucher_promises p ON p.fulfillment_id = v.fulfillment_id AND p.line_number = v.line_number
         WHERE u.id BETWEEN :low AND :high AND u.state = 'live' AND NOT jsonb_exists(p.merchants, u.merchant)""",
    ),
    "fulfillment-vouchers": Check(
        FULFILLMENTS,
        """
        SELECT 'fulfillment:' || l.fulfillment_id AS subject,
               format('line %s asks for %s, has %s vouchers', l.number, l.quantity, coalesce(v.units, 0)) AS detail
          FROM fulfillment_lines l
          LEFT JOIN (SELECT fulfillment_id, line_number, count(*) AS units FROM vouchers
                      WHERE fulfillment_id BETWEEN :low AND :high GROUP BY fulfillment_id, line_number) v
               ON v.fulfillment_id = l.fulfillment_id AND v.line_number = l.number
         WHERE l.fulfillment_id BETWEEN :low AND :high
           AND CASE l.kind WHEN 'e_voucher' THEN l.quantity ELSE 0 END <> coalesce(v.units, 0)""",
    ),
    "fulfillment-without-lines": Check(
        FULFILLMENTS,
        """
        SELECT 'fulfillment:' || f.id AS subject, format('is %s without a line', f.state) AS detail
          FROM fulfillments f
         WHERE f.id BETWEEN :low AND :high AND f.fingerprint IS NOT NULL
           AND NOT EXISTS (SELECT 1 FROM fulfillment_lines l WHERE l.fulfillment_id = f.id)""",
    ),
    "fulfillment-goods": Check(
        FULFILLMENTS,
        """
        SELECT 'fulfillment:' || l.fulfillment_id AS subject, format('line %s is in no parcel', l.number) AS detail
          FROM fulfillment_lines l
         WHERE l.fulfillment_id BETWEEN :low AND :high AND l.kind = 'goods'
           AND NOT EXISTS (SELECT 1 FROM parcel_lines x JOIN parcels p ON p.id = x.parcel_id
                            WHERE x.fulfillment_id = l.fulfillment_id AND x.line_number = l.number
                              AND p.fulfillment_id = l.fulfillment_id)""",
    ),
    "fulfillment-and-parcels-differ": Check(
        FULFILLMENTS,
        f"""
        SELECT 'fulfillment:' || f.id AS subject, format('is %s, and its parcels are %s', f.state, p.states) AS detail
          FROM fulfillments f
          JOIN (SELECT fulfillment_id, string_agg(state, ', ' ORDER BY id) AS states, bool_or(state NOT IN {ENDED}) AS live,
                       bool_or(state IN ('delivered', 'collected')) AS well, bool_and(state = 'cancelled') AS stopped
                  FROM parcels WHERE fulfillment_id BETWEEN :low AND :high GROUP BY fulfillment_id) p
               ON p.fulfillment_id = f.id
         WHERE f.id BETWEEN :low AND :high
           AND f.state <> CASE
               WHEN p.live THEN 'under_way'
               WHEN p.well OR EXISTS (SELECT 1 FROM fulfillment_lines l
                                       WHERE l.fulfillment_id = f.id AND l.kind = 'e_voucher') THEN 'completed'
               WHEN p.stopped THEN 'cancelled' ELSE 'returned' END""",
    ),
    "fulfillment-unreported": Check(
        FULFILLMENTS,
        """
        SELECT 'fulfillment:' || f.id AS subject,
               format('version %s, redemption knows %s, and nothing tells it', f.version, f.reported_version) AS detail
          FROM fulfillments f
         WHERE f.id BETWEEN :low AND :high AND f.version > f.reported_version
           AND NOT EXISTS (SELECT 1 FROM tasks t WHERE t.ref = f.id AND t.kind = 'report' AND t.state <> 'done')""",
    ),
    "parcel-without-lines": Check(
        PARCELS,
        """
        SELECT 'parcel:' || p.id AS subject, format('is %s with nothing in it', p.state) AS detail
          FROM parcels p
         WHERE p.id BETWEEN :low AND :high AND NOT EXISTS (SELECT 1 FROM parcel_lines x WHERE x.parcel_id = p.id)""",
    ),
    "parcel-timeline-with-a-gap": Check(
        PARCELS,
        """
        SELECT 'parcel:' || p.id AS subject,
               format('version %s is %s, its %s events end at %s', p.version, p.state, coalesce(e.events, 0), e.state) AS detail
          FROM parcels p
          LEFT JOIN (SELECT parcel_id, count(*) AS events, max(number) AS last,
                            (array_agg(state ORDER BY number DESC))[1] AS state
                       FROM parcel_events WHERE parcel_id BETWEEN :low AND :high GROUP BY parcel_id) e ON e.parcel_id = p.id
         WHERE p.id BETWEEN :low AND :high
           AND (e.events, e.last, e.state) IS DISTINCT FROM (p.version::bigint, p.version, p.state)""",
    ),
    "parcel-cancelled-and-sent": Check(
        PARCELS,
        """
        SELECT 'parcel:' || parcel_id AS subject, 'was cancelled, and left all the same' AS detail
          FROM parcel_events
         WHERE parcel_id BETWEEN :low AND :high
         GROUP BY parcel_id
        HAVING bool_or(state = 'cancelled')
           AND (bool_or(state IN ('dispatched', 'in_transfer'))
                OR bool_or(state = 'dispatching') AND NOT bool_or(kind = 'refused'))
        UNION ALL
        SELECT 'parcel:' || p.id, 'was cancelled, and its carrier tells of it under ' || min(e.tracking_number)
          FROM parcels p JOIN carrier_events e ON e.reference = p.id::text AND e.applied_at IS NULL
         WHERE p.id BETWEEN :low AND :high AND p.state = 'cancelled' GROUP BY p.id""",
    ),
    "parcel-ready-without-code": Check(
        PARCELS,
        """
        SELECT 'parcel:' || id AS subject, 'lies ready, and nobody can collect it' AS detail
          FROM parcels WHERE id BETWEEN :low AND :high AND state = 'ready' AND (code_hmac IS NULL OR code_sealed IS NULL)""",
    ),
    "parcel-at-unknown-branch": Check(
        PARCELS,
        """
        SELECT 'parcel:' || p.id AS subject, format('goes to branch %s, which nobody knows', p.branch) AS detail
          FROM parcels p
         WHERE p.id BETWEEN :low AND :high AND p.branch IS NOT NULL
           AND NOT EXISTS (SELECT 1 FROM branches b WHERE b.code = p.branch)""",
    ),
    "parcel-without-dispatch": Check(
        PARCELS,
        """
        SELECT 'parcel:' || p.id AS subject, format('is %s, and nothing sends it on its way', p.state) AS detail
          FROM parcels p
         WHERE p.id BETWEEN :low AND :high AND p.state IN ('preparing', 'dispatching')
           AND NOT EXISTS (SELECT 1 FROM tasks t WHERE t.ref = p.id AND t.kind = 'dispatch' AND t.state <> 'done')""",
    ),
    "parcel-not-arrived": Check(
        PARCELS,
        """
        SELECT 'parcel:' || id AS subject, format('was expected at %s by %s, and did not come', branch, expected_on) AS detail
          FROM parcels
         WHERE id BETWEEN :low AND :high AND state = 'in_transfer'
           AND expected_on + 7 < (statement_timestamp() AT TIME ZONE 'UTC')::date""",
    ),
    "parcel-not-booked": Check(
        PARCELS,
        """
        SELECT 'parcel:' || id AS subject, format('its carrier has not taken it since %s', state_at) AS detail
          FROM parcels
         WHERE id BETWEEN :low AND :high AND state = 'dispatching' AND state_at < statement_timestamp() - interval '1 day'""",
    ),
    "parcel-not-followed": Check(
        PARCELS,
        """
        SELECT 'parcel:' || p.id AS subject, format('is %s, and nobody asks its carrier', p.state) AS detail
          FROM parcels p
         WHERE p.id BETWEEN :low AND :high AND p.state IN ('dispatched', 'failed')
           AND NOT EXISTS (SELECT 1 FROM tasks t WHERE t.ref = p.id AND t.kind = 'follow_parcel' AND t.state <> 'done')""",
    ),
    "carrier-contradicts": Check(
        PARCELS,
        """
        SELECT 'parcel:' || p.id AS subject,
               format('is %s, and after that its carrier told of %s', p.state,
                      string_agg(e.kind, ', ' ORDER BY e.sequence)) AS detail
          FROM parcels p
          JOIN parcel_events e ON e.parcel_id = p.id AND e.sequence > p.carrier_sequence
         WHERE p.id BETWEEN :low AND :high AND p.state IN ('delivered', 'returned', 'lost')
           AND e.kind IN ('delivered', 'delivery_failed', 'returned', 'lost') AND e.kind <> p.state
           AND e.recorded_at > statement_timestamp() - interval '30 days'
         GROUP BY p.id""",
    ),
    "carrier-event-unheard": Check(
        PARCELS,
        """
        SELECT 'parcel:' || p.id AS subject,
               format('its carrier told of %s since %s, and it has not heard of it',
                      string_agg(e.kind, ', ' ORDER BY e.sequence), min(e.received_at)) AS detail
          FROM parcels p
          JOIN carrier_events e ON e.carrier = p.carrier AND e.tracking_number = p.tracking_number
         WHERE p.id BETWEEN :low AND :high
           AND e.applied_at IS NULL AND (e.contradicted_at IS NULL OR e.confirmed_at IS NOT NULL)
           AND e.received_at < statement_timestamp() - interval '3 hours'
         GROUP BY p.id""",
    ),
    "notice-unsent": Check(
        NOTICES,
        """
        SELECT 'notice:' || n.id AS subject, 'waits, and nothing sends it' AS detail
          FROM notices n
         WHERE n.id BETWEEN :low AND :high AND n.state = 'pending'
           AND NOT EXISTS (SELECT 1 FROM tasks t WHERE t.ref = n.id AND t.kind = 'notify' AND t.state <> 'done')""",
    ),
}

BOOKS = Books({**REDRIVE_CHECKS, **CHECKS})
