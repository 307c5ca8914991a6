"""Damage to fulfillment's books: vouchers, uses, and what was handed out to nobody."""

from tests.integration.reconciliation.damage import damage

DAMAGES = [
    damage(
        "a confirmed redemption without a fulfillment, which was handed out",
        "fulfillment",
        "DELETE FROM vouchers WHERE fulfillment_id = '{fulfilled}'",
        "DELETE FROM voucher_promises WHERE fulfillment_id = '{fulfilled}'",
        "DELETE FROM fulfillment_lines WHERE fulfillment_id = '{fulfilled}'",
        "DELETE FROM fulfillments WHERE id = '{fulfilled}'",
        found={"redemption-without-fulfillment": "{fulfilled}"},
    ),
    damage(
        "a voucher used twice",
        "fulfillment",
        "DROP INDEX uq_uses_live",
        "INSERT INTO uses SELECT gen_random_uuid(), merchant, 'T02', request_number, state, fingerprint, till_reference, "
        "voucher_id, refusal, refusal_facts, recorded_at, used_at, reversed_at FROM uses WHERE id = '{use}'",
        found={"voucher-used-twice": "voucher:{voucher}"},
    ),
    damage(
        "a use deleted",
        "fulfillment",
        "DELETE FROM uses WHERE id = '{use}'",
        found={"voucher-used-without-use": "voucher:{voucher}"},
    ),
    damage(
        "a used voucher made good again",
        "fulfillment",
        "UPDATE vouchers SET state = 'issued', used_at = NULL WHERE id = '{voucher}'",
        found={"use-of-unused-voucher": "use:{use}"},
    ),
    damage(
        "a use whose number was taken and that was never decided",
        "fulfillment",
        "INSERT INTO uses (id, merchant, terminal, request_number, state, fingerprint, recorded_at) "
        "VALUES ('{unknown}', 'M001', 'T01', 'left-behind', 'asked', sha256('x'), now())",
        found={"use-undecided": "use:{unknown}"},
    ),
    damage(
        "a use moved to another merchant",
        "fulfillment",
        "UPDATE uses SET merchant = 'M999' WHERE id = '{use}'",
        found={"use-by-foreign-merchant": "use:{use}"},
    ),
    damage(
        "a voucher deleted",
        "fulfillment",
        "DELETE FROM vouchers WHERE id = '{unused_voucher}'",
        found={"fulfillment-vouchers": "fulfillment:{fulfilled}"},
    ),
    damage(
        "the lines of a fulfillment deleted",
        "fulfillment",
        "DELETE FROM vouchers WHERE fulfillment_id = '{fulfilled}'",
        "DELETE FROM fulfillment_lines WHERE fulfillment_id = '{fulfilled}'",
        found={"fulfillment-without-lines": "fulfillment:{fulfilled}"},
    ),
    damage(
        "a fulfillment that nobody redeemed",
        "fulfillment",
        "INSERT INTO fulfillments (id, state, version, changed_at) VALUES ('{unknown}', 'cancelled', 1, now())",
        found={"fulfillment-without-redemption": "{unknown}"},
    ),
]
