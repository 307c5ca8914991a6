"""Fulfillment's books: vouchers against their uses, and fulfillments against their vouchers."""

from shared.books import Books

BOOKS = Books(
    {
        "voucher-used-twice": """
        SELECT 'voucher:' || voucher_id AS subject, format('has %s live uses', count(*)) AS detail
          FROM uses WHERE state = 'live' GROUP BY voucher_id HAVING count(*) > 1
    """,
        "voucher-used-without-use": """
        SELECT 'voucher:' || v.id AS subject, 'is used, and no use is live' AS detail
          FROM vouchers v
         WHERE v.state = 'used' AND NOT EXISTS (SELECT 1 FROM uses u WHERE u.voucher_id = v.id AND u.state = 'live')
    """,
        "use-of-unused-voucher": """
        SELECT 'use:' || u.id AS subject, format('is live, and its voucher %s is %s', v.id, v.state) AS detail
          FROM uses u JOIN vouchers v ON v.id = u.voucher_id
         WHERE u.state = 'live' AND v.state <> 'used'
    """,
        "use-undecided": """
        SELECT 'use:' || id AS subject, 'was left undecided' AS detail FROM uses WHERE state = 'asked'
    """,
        "use-by-foreign-merchant": """
        SELECT 'use:' || u.id AS subject, format('merchant %s does not accept voucher %s', u.merchant, v.id) AS detail
          FROM uses u
          JOIN vouchers v ON v.id = u.voucher_id
          JOIN voucher_promises p ON p.fulfillment_id = v.fulfillment_id AND p.line_number = v.line_number
         WHERE u.state = 'live' AND NOT jsonb_exists(p.merchants, u.merchant)
    """,
        "fulfillment-vouchers": """
        SELECT 'fulfillment:' || l.fulfillment_id AS subject,
               format('line %s asks for %s, has %s vouchers', l.number, l.quantity, v.units) AS detail
          FROM fulfillment_lines l
          CROSS JOIN LATERAL (SELECT count(*) AS units FROM vouchers
                               WHERE fulfillment_id = l.fulfillment_id AND line_number = l.number) v
         WHERE l.quantity <> v.units
    """,
        "fulfillment-without-lines": """
        SELECT 'fulfillment:' || f.id AS subject, format('is %s without a line', f.state) AS detail
          FROM fulfillments f
         WHERE f.fingerprint IS NOT NULL
           AND NOT EXISTS (SELECT 1 FROM fulfillment_lines l WHERE l.fulfillment_id = f.id)
    """,
    }
)
