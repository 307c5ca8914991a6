"""Fulfillment's books: vouchers against their uses, and fulfillments against their vouchers.

A check reads the keys from `:low` to `:high` of what it walks along; both sides of a comparison name them, else it reads all.
"""

from shared.books import Books, Check, Walk

VOUCHERS = Walk("vouchers")
USES = Walk("uses")
FULFILLMENTS = Walk("fulfillments")

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
         WHERE l.fulfillment_id BETWEEN :low AND :high AND l.quantity <> coalesce(v.units, 0)""",
    ),
    "fulfillment-without-lines": Check(
        FULFILLMENTS,
        """
        SELECT 'fulfillment:' || f.id AS subject, format('is %s without a line', f.state) AS detail
          FROM fulfillments f
         WHERE f.id BETWEEN :low AND :high AND f.fingerprint IS NOT NULL
           AND NOT EXISTS (SELECT 1 FROM fulfillment_lines l WHERE l.fulfillment_id = f.id)""",
    ),
}

BOOKS = Books(CHECKS)
