"""Damage to redemption's books: points, redemptions, limits, refunds, timelines."""

from services.redemption.points.store import POSTING_HASH
from tests.integration.reconciliation.damage import damage

FITTING_HASH = f"UPDATE postings SET hash = {POSTING_HASH} WHERE account_id = '{{account}}' AND number = {{last}}"
JUST_NOW = "UPDATE redemptions SET changed_at = now()"
LONG_AGO = "UPDATE redemptions SET changed_at = changed_at - interval '2 minutes'"

DAMAGES = [
    damage(
        "a posting's reason edited",
        "redemption",
        "UPDATE postings SET reason = 'a gift' WHERE account_id = '{account}' AND number = 1",
        found={"posting-edited": "{account} number 1"},
    ),
    damage(
        "a posting's points edited",
        "redemption",
        "UPDATE postings SET points = points - 1 WHERE account_id = '{account}' AND number = {spent}",
        found={
            "posting-edited": "{account} number {spent}",
            "posting-chain-broken": "{account} number {spent}",
            "account-drifted": "{account}",
            "lot-drifted": "{lot}",
            "redemption-and-points-differ": "{used}",
        },
    ),
    damage(
        "a lot's remainder edited",
        "redemption",
        "UPDATE lots SET remaining = remaining - 1 WHERE id = '{lot}'",
        found={"lot-drifted": "{lot}", "account-and-lots-differ": "{account}"},
    ),
    damage(
        "a confirmed redemption without a fulfillment, for which nothing asks",
        "redemption",
        "UPDATE tasks SET state = 'done' WHERE ref = '{confirmed}' AND kind = 'fulfil'",
        found={"redemption-without-task": "{confirmed}", "fulfillment/redemption-without-fulfillment": "{confirmed}"},
    ),
    damage(
        "a live redemption without a task",
        "redemption",
        "DELETE FROM tasks WHERE ref = '{accepted}'",
        found={"redemption-without-task": "{accepted}"},
    ),
    damage(
        "a live redemption whose task is done",
        "redemption",
        "UPDATE tasks SET state = 'done' WHERE ref = '{accepted}'",
        found={"redemption-without-task": "{accepted}"},
    ),
    damage(
        "a personal limit drifted",
        "redemption",
        "UPDATE limit_counters SET taken = taken - 1 WHERE customer_id = '{customer}'",
        found={"limit-drifted": "{customer} offer:{offer}"},
    ),
    damage(
        "a personal limit forgotten",
        "redemption",
        "DELETE FROM limit_counters WHERE customer_id = '{customer}'",
        found={"limit-drifted": "{customer} offer:{offer}"},
    ),
    damage(
        "a posting's balance edited, its hash made to fit",
        "redemption",
        "UPDATE postings SET balance_after = balance_after + 1 WHERE account_id = '{account}' AND number = {last}",
        FITTING_HASH,
        found={"posting-chain-broken": "{account} number {last}"},
    ),
    damage(
        "an account's count of postings edited",
        "redemption",
        "UPDATE accounts SET postings_count = postings_count + 1 WHERE id = '{account}'",
        found={"account-drifted": "{account}"},
    ),
    damage(
        "an account's last posting deleted",
        "redemption",
        "DELETE FROM postings WHERE account_id = '{account}' AND number = {last}",
        found={"account-drifted": "{account}", "lot-drifted": "{lot}", "redemption-and-points-differ": "{fulfilled}"},
    ),
    damage(
        "an account's held points edited",
        "redemption",
        "UPDATE accounts SET held = held + 1 WHERE id = '{account}'",
        found={"account-and-lots-differ": "{account}"},
    ),
    damage(
        "held points that no redemption holds",
        "redemption",
        "UPDATE lots SET held = held + 1 WHERE id = '{lot}'",
        "UPDATE accounts SET held = held + 1 WHERE id = '{account}'",
        found={"lot-and-holds-differ": "{lot}"},
    ),
    damage(
        "points of a confirmed redemption given back",
        "redemption",
        "UPDATE holds SET state = 'released' WHERE redemption_id = '{confirmed}'",
        found={"redemption-and-points-differ": "{confirmed}"},
    ),
    damage(
        "a line's price edited",
        "redemption",
        "UPDATE redemption_lines SET unit_points = unit_points + 1 WHERE redemption_id = '{declined}'",
        found={"redemption-and-lines-differ": "{declined}"},
    ),
    damage(
        "points noted as given back that never were",
        "redemption",
        "UPDATE holds SET refunded = 1 WHERE redemption_id = '{fulfilled}'",
        found={"refunds-differ": "{fulfilled}"},
    ),
    damage(
        "more units returned than were redeemed",
        "redemption",
        "INSERT INTO returns (id, redemption_id, kind, state, reason, actor, channel, requested_at, decided_at) VALUES "
        "('{unknown}', '{fulfilled}', 'lost', 'refunded', '', 'x', 'x', now(), now())",
        "INSERT INTO return_lines (return_id, number, redemption_id, quantity, points) VALUES "
        "('{unknown}', 1, '{fulfilled}', 99, 1)",
        found={
            "returned-too-much": "{fulfilled}",
            "refunds-differ": "{fulfilled}",
            "catalog/returns-differ": "{fulfilled}",
        },
    ),
    damage(
        "a document that gave back and has no line",
        "redemption",
        "INSERT INTO returns (id, redemption_id, kind, state, reason, actor, channel, requested_at, decided_at) VALUES "
        "('{unknown}', '{fulfilled}', 'lost', 'refunded', '', 'x', 'x', now(), now())",
        found={"return-without-lines": "{fulfilled}"},
    ),
    damage(
        "fulfilled, and at fulfillment everything came back",
        "redemption",
        "UPDATE redemptions SET state = 'fulfilled' WHERE id = '{came_back}'",
        found={"fulfillment/redemption-and-fulfillment-differ": "{came_back}"},
    ),
    damage(
        "returned, and at fulfillment it is under way",
        "redemption",
        "UPDATE redemptions SET state = 'returned' WHERE id = '{ready}'",
        found={"fulfillment/redemption-and-fulfillment-differ": "{ready}", "refunds-differ": "{ready}"},
    ),
    damage(
        "a cancellation of which the redemption knows nothing",
        "redemption",
        "INSERT INTO returns (id, redemption_id, kind, state, reason, actor, channel, requested_at) VALUES "
        "('{unknown}', '{fulfilled}', 'cancellation', 'requested', '', 'x', 'x', now())",
        found={"cancellation-undecided": "{fulfilled}"},
    ),
    damage(
        "goods without a way to the customer",
        "redemption",
        "UPDATE redemption_lines SET reward = reward || '{{\"kind\": \"goods\"}}' WHERE redemption_id = '{fulfilled}'",
        found={"goods-without-delivery": "{fulfilled}"},
    ),
    damage(
        "an entry of a timeline deleted",
        "redemption",
        "DELETE FROM redemption_events WHERE redemption_id = '{fulfilled}' AND number = 2",
        found={"timeline-with-a-gap": "{fulfilled}"},
    ),
    damage(
        "handed out long ago, and nothing consumes what is held",
        "redemption",
        "DELETE FROM tasks WHERE ref = '{handed_out}' AND kind = 'consume'",
        LONG_AGO,
        found={"catalog/reservation-not-consumed": "{handed_out}"},
    ),
]
