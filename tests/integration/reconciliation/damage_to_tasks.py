"""Damage to the record of who let a parked task run again, in each service."""

from tests.integration.reconciliation.damage import damage

_SPENT = (
    "INSERT INTO task_redrives (id, task_id, reason, fingerprint, asked_by, state, decided_by, decided_at, spent_at) VALUES "
    "('{unknown}', '{unknown}', 'x', sha256('x'), 'nobody', 'approved', 'nobody-else', now(), now())"
)
_RECORDS = (
    "INSERT INTO audit_entries (at, action, subject, actor, channel, reason, after) VALUES "
    "(now(), 'task.redrive_asked', 'task:{unknown}', 'staff:nobody', 'x', 'x', '{{\"redrive\": \"{unknown}\"}}'), "
    "(now(), 'task.redriven', 'task:{unknown}', 'staff:nobody', 'x', 'x', '{{\"redrive\": \"{unknown}\"}}')"
)

DAMAGES = [
    damage(
        f"{what} in {service}",
        service,
        *statements,
        found={"redrive-without-two-people": "task:{unknown}"},
    )
    for service in ("catalog", "redemption", "fulfillment")
    for what, statements in (
        ("a parked task that two invented people let run again", (_SPENT,)),
        ("a parked task that one person on record let run again", (_SPENT, _RECORDS)),
    )
]
