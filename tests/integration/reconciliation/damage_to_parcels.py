"""Damage to fulfillment's books of goods: parcels, what is in them, their timelines, what carriers said, notices."""

from tests.integration.reconciliation.damage import damage

DAMAGES = [
    damage(
        "one of two rewards taken out of a parcel",
        "fulfillment",
        "DELETE FROM parcel_lines WHERE parcel_id = '{sent_parcel}' AND line_number = 2",
        found={"fulfillment-goods": "fulfillment:{sent}"},
    ),
    damage(
        "all that was in a parcel deleted",
        "fulfillment",
        "DELETE FROM parcel_lines WHERE parcel_id = '{sent_parcel}'",
        found={"fulfillment-goods": "fulfillment:{sent}", "parcel-without-lines": "parcel:{sent_parcel}"},
    ),
    damage(
        "a parcel of nothing beside the one there is",
        "fulfillment",
        "INSERT INTO parcels (id, fulfillment_id, way, state, version, customer_id, owner_issuer, owner_subject, "
        "contact_sealed, address_sealed, accepted_at, state_at, changed_at) "
        "SELECT '{unknown}', fulfillment_id, 'courier', 'cancelled', 1, customer_id, owner_issuer, owner_subject, "
        "contact_sealed, 'x', accepted_at, state_at, changed_at FROM parcels WHERE id = '{ready_parcel}'",
        "INSERT INTO parcel_events (parcel_id, number, kind, state, at, recorded_at, actor, facts) "
        "VALUES ('{unknown}', 1, 'cancelled', 'cancelled', now(), now(), 'x', '{{}}')",
        found={"parcel-without-lines": "parcel:{unknown}"},
    ),
    damage(
        "the goods of a redemption that is on its way deleted",
        "fulfillment",
        "DELETE FROM parcel_events WHERE parcel_id = '{prepared_parcel}'",
        "DELETE FROM parcel_lines WHERE parcel_id = '{prepared_parcel}'",
        "DELETE FROM parcels WHERE id = '{prepared_parcel}'",
        "DELETE FROM fulfillment_lines WHERE fulfillment_id = '{prepared}'",
        "DELETE FROM fulfillments WHERE id = '{prepared}'",
        found={"redemption-without-fulfillment": "{prepared}"},
    ),
    damage(
        "a fulfillment said to be completed while its parcel is on its way",
        "fulfillment",
        "UPDATE fulfillments SET state = 'completed' WHERE id = '{sent}'",
        found={"fulfillment-and-parcels-differ": "fulfillment:{sent}"},
    ),
    damage(
        "a fulfillment said to be on its way whose parcel came back",
        "fulfillment",
        "UPDATE fulfillments SET state = 'under_way' WHERE id = '{came_back}'",
        found={
            "fulfillment-and-parcels-differ": "fulfillment:{came_back}",
            "redemption-and-fulfillment-differ": "{came_back}",
        },
    ),
    damage(
        "a cancelled fulfillment said to be completed",
        "fulfillment",
        "UPDATE fulfillments SET state = 'completed' WHERE id = '{cancelled}'",
        found={
            "fulfillment-and-parcels-differ": "fulfillment:{cancelled}",
            "fulfillment-without-redemption": "{cancelled}",
        },
    ),
    damage(
        "a change of which redemption was never told",
        "fulfillment",
        "UPDATE fulfillments SET reported_version = 1 WHERE id = '{ready}'",
        found={"fulfillment-unreported": "fulfillment:{ready}"},
    ),
    damage(
        "an event of a parcel deleted",
        "fulfillment",
        "DELETE FROM parcel_events WHERE parcel_id = '{sent_parcel}' AND number = 2",
        found={"parcel-timeline-with-a-gap": "parcel:{sent_parcel}"},
    ),
    damage(
        "a parcel made to be elsewhere than its timeline says",
        "fulfillment",
        "UPDATE parcels SET state = 'delivered' WHERE id = '{sent_parcel}'",
        "UPDATE fulfillments SET state = 'completed' WHERE id = '{sent}'",
        found={"parcel-timeline-with-a-gap": "parcel:{sent_parcel}"},
    ),
    damage(
        "a parcel that was cancelled and left",
        "fulfillment",
        "UPDATE parcel_events SET state = 'cancelled' WHERE parcel_id = '{sent_parcel}' AND number = 1",
        found={"parcel-cancelled-and-sent": "parcel:{sent_parcel}"},
    ),
    damage(
        "the code of a parcel at a branch deleted",
        "fulfillment",
        "ALTER TABLE parcels DROP CONSTRAINT ck_parcels_code_whole",
        "UPDATE parcels SET code_sealed = NULL WHERE id = '{ready_parcel}'",
        found={"parcel-ready-without-code": "parcel:{ready_parcel}"},
    ),
    damage(
        "a parcel sent to a branch that there is not",
        "fulfillment",
        "UPDATE parcels SET branch = 'B777' WHERE id = '{ready_parcel}'",
        found={"parcel-at-unknown-branch": "parcel:{ready_parcel}"},
    ),
    damage(
        "the task that sends a parcel off deleted",
        "fulfillment",
        "DELETE FROM tasks WHERE ref = '{prepared_parcel}'",
        found={"parcel-without-dispatch": "parcel:{prepared_parcel}"},
    ),
    damage(
        "a parcel that left for its branch nine days ago and did not arrive",
        "fulfillment",
        "UPDATE parcel_events SET state = 'in_transfer' WHERE number = 3 AND parcel_id = '{ready_parcel}'",
        "UPDATE parcels SET state = 'in_transfer', code_hmac = NULL, code_sealed = NULL, ready_until = NULL, "
        "expected_on = current_date - 9 WHERE id = '{ready_parcel}'",
        found={"parcel-not-arrived": "parcel:{ready_parcel}"},
    ),
    damage(
        "a parcel that its carrier has not taken for a day",
        "fulfillment",
        "UPDATE parcel_events SET state = 'dispatching' WHERE parcel_id = '{prepared_parcel}'",
        "UPDATE parcels SET state = 'dispatching', state_at = state_at - interval '25 hours' WHERE id = '{prepared_parcel}'",
        found={"parcel-not-booked": "parcel:{prepared_parcel}"},
    ),
    damage(
        "a parcel that came back, and after that its carrier told that it was lost",
        "fulfillment",
        "INSERT INTO parcel_events (parcel_id, number, kind, state, at, recorded_at, actor, facts, sequence) "
        "SELECT id, version + 1, 'lost', state, now(), now(), 'x', '{{}}', carrier_sequence + 1 "
        "FROM parcels WHERE id = '{returned_parcel}'",
        "UPDATE parcels SET version = version + 1 WHERE id = '{returned_parcel}'",
        found={"carrier-contradicts": "parcel:{returned_parcel}"},
    ),
    damage(
        "the task that asks a carrier deleted",
        "fulfillment",
        "DELETE FROM tasks WHERE ref = '{sent_parcel}' AND kind = 'follow_parcel'",
        found={"parcel-not-followed": "parcel:{sent_parcel}"},
    ),
    damage(
        "what a carrier said hours ago, and its parcel never heard",
        "fulfillment",
        "UPDATE carrier_events SET applied_at = NULL, received_at = received_at - interval '4 hours' "
        "WHERE tracking_number = '{tracking_number}'",
        found={"carrier-event-unheard": "parcel:{returned_parcel}"},
    ),
    damage(
        "a notice that nothing sends",
        "fulfillment",
        "UPDATE notices SET state = 'pending', language = NULL, reference = NULL WHERE id = '{notice}'",
        found={"notice-unsent": "notice:{notice}"},
    ),
    # What follows from goods in the neighbours' books.
    damage(
        "a redemption on its way that nothing watches",
        "redemption",
        "DELETE FROM tasks WHERE ref = '{sent}' AND kind = 'watch'",
        found={"redemption-without-task": "{sent}"},
    ),
    damage(
        "the way of goods to the customer deleted",
        "redemption",
        "DELETE FROM redemption_deliveries WHERE redemption_id = '{prepared}'",
        found={"goods-without-delivery": "{prepared}"},
    ),
    damage(
        "a return document forgotten",
        "redemption",
        "DELETE FROM return_lines WHERE redemption_id = '{came_back}'",
        "DELETE FROM returns WHERE redemption_id = '{came_back}'",
        found={"refunds-differ": "{came_back}", "catalog/returns-differ": "{came_back}"},
    ),
]
