"""What the books say of parked tasks that ran again: each by two people, both of them on record (G41).

The database's guard holds who writes SQL to two different names in `task_redrives`. It cannot know whether they are people: the
application does, and what it lets through leaves two audit rows. So an approval that was spent is compared with them here.
"""

from shared.books import Check, Walk

REDRIVES = Walk("task_redrives")

REDRIVE_CHECKS = {
    "redrive-without-two-people": Check(
        REDRIVES,
        """
        SELECT 'task:' || r.task_id, 'asked for by ' || r.asked_by || ', agreed to by ' || r.decided_by
               || '; the audit rows do not say so'
          FROM task_redrives r
         WHERE r.id BETWEEN :low AND :high AND r.spent_at IS NOT NULL
           AND NOT EXISTS (
               SELECT FROM audit_entries asked JOIN audit_entries agreed ON agreed.subject = asked.subject
                WHERE asked.subject = 'task:' || r.task_id
                  AND asked.action = 'task.redrive_asked' AND asked.after ->> 'redrive' = CAST(r.id AS text)
                  AND asked.actor = 'staff:' || r.asked_by
                  AND agreed.action = 'task.redriven' AND agreed.after ->> 'redrive' = CAST(r.id AS text)
                  AND agreed.actor = 'staff:' || r.decided_by AND agreed.actor <> asked.actor)""",
    ),
}
