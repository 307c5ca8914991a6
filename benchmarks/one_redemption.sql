-- All that redemption writes for one redemption of one line, in one function and one commit: what PostgreSQL alone can do.
-- benchmarks/rows.py checks that it leaves the same rows as the service. It runs in a copy of redemption's database.

CREATE SCHEMA bench;

-- What the service knows from memory: who calls, and what the offers are.
CREATE TABLE bench.callers AS
SELECT CAST(substr(c.subject, 10) AS int) AS number, c.id AS customer_id, a.id AS account_id, 'customer:' || c.subject AS actor
  FROM customers c JOIN accounts a ON a.customer_id = c.id;
ALTER TABLE bench.callers ADD PRIMARY KEY (number);

CREATE TABLE bench.offers (
    number int PRIMARY KEY, campaign text, offer_id uuid, offer_version int, unit_points bigint, per_customer int, per_day int,
    code text, names jsonb
);
ANALYZE bench.callers;

CREATE FUNCTION bench.redeem(caller_number int, offer_number int) RETURNS uuid LANGUAGE plpgsql AS $$
DECLARE
    caller bench.callers; offer bench.offers; account accounts; lot lots;
    redemption uuid := uuidv7(); moment timestamptz; today date; taken_points bigint; missing bigint; counters text[];
    subject text := 'redemption:' || redemption;
BEGIN
    SELECT * INTO STRICT caller FROM bench.callers WHERE number = caller_number;
    SELECT * INTO STRICT offer FROM bench.offers WHERE number = offer_number;
    SELECT * INTO STRICT account FROM accounts WHERE id = caller.account_id FOR NO KEY UPDATE;
    moment := clock_timestamp();
    today := CAST(moment AT TIME ZONE 'Asia/Shanghai' AS date);
    IF account.state NOT IN ('active', 'no_earn') THEN
        RAISE EXCEPTION 'may not redeem';
    END IF;
    counters := ARRAY['offer:' || offer.offer_id, 'offer:' || offer.offer_id || ':' || today];
    INSERT INTO limit_counters (customer_id, limit_key, taken)
    SELECT caller.customer_id, key, 1 FROM unnest(counters) AS key ORDER BY key
        ON CONFLICT (customer_id, limit_key) DO UPDATE SET taken = limit_counters.taken + 1
     WHERE limit_counters.taken < CASE WHEN excluded.limit_key = counters[1] THEN offer.per_customer ELSE offer.per_day END;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'limit reached';
    END IF;
    INSERT INTO redemptions (id, customer_id, account_id, campaign, mode, state, price_points, accepted_at, accepted_on,
                             deadline_at, changed_at, events_count, actor, channel)
    VALUES (redemption, caller.customer_id, caller.account_id, offer.campaign, 'points', 'confirmed', offer.unit_points, moment,
            today, moment + interval '60 seconds', moment, 2, caller.actor, 'mobile-app');
    INSERT INTO redemption_lines (redemption_id, number, offer_id, offer_version, reward, quantity, unit_points, limit_keys)
    VALUES (redemption, 1, offer.offer_id, offer.offer_version, jsonb_build_object('code', offer.code, 'names', offer.names), 1,
            offer.unit_points, to_jsonb(counters));
    missing := offer.unit_points;
    FOR lot IN SELECT * FROM lots WHERE account_id = caller.account_id AND is_open AND expires_on >= today AND remaining > held
                ORDER BY expires_on, earned_at, id
    LOOP
        taken_points := least(missing, lot.remaining - lot.held);
        INSERT INTO holds (redemption_id, lot_id, account_id, points, state)
        VALUES (redemption, lot.id, caller.account_id, taken_points, 'posted');
        UPDATE lots SET remaining = remaining - taken_points, is_open = (remaining > taken_points) WHERE id = lot.id;
        account.postings_count := account.postings_count + 1;
        account.posted := account.posted - taken_points;
        INSERT INTO postings (account_id, number, at, kind, debit_account, credit_account, points, lot_id, redemption_id, reason,
                              balance_after, hash)
        SELECT account_id, number, at, kind, debit_account, credit_account, points, lot_id, redemption_id, reason, balance_after,
               sha256(convert_to(concat_ws('|', account_id, number, extract(epoch FROM at) * 1000000, kind, debit_account,
                   credit_account, points, lot_id, coalesce(CAST(redemption_id AS text), ''), reason, balance_after, ''), 'UTF8'))
          FROM (SELECT caller.account_id, account.postings_count, greatest(moment, account.last_posting_at), 'redeemed',
                       caller.account_id, house.id, taken_points, lot.id, redemption, '', account.posted
                  FROM house_accounts house WHERE house.code = 'redeemed')
               AS posting(account_id, number, at, kind, debit_account, credit_account, points, lot_id, redemption_id, reason,
                          balance_after);
        missing := missing - taken_points;
        EXIT WHEN missing = 0;
    END LOOP;
    IF missing > 0 THEN
        RAISE EXCEPTION 'insufficient points';
    END IF;
    UPDATE accounts SET posted = account.posted, postings_count = account.postings_count,
           last_posting_at = greatest(moment, account.last_posting_at) WHERE id = caller.account_id;
    INSERT INTO redemption_events (redemption_id, number, at, kind, actor, facts)
    VALUES (redemption, 1, moment, 'accepted', caller.actor, jsonb_build_object('points', offer.unit_points)),
           (redemption, 2, moment, 'confirmed', caller.actor,
            jsonb_build_object('points', offer.unit_points, 'reasons', jsonb_build_array()));
    INSERT INTO audit_entries (at, action, subject, actor, channel, reason, before, after)
    VALUES (moment, 'redemption.accepted', subject, caller.actor, 'mobile-app', '', NULL,
            jsonb_build_object('points', offer.unit_points, 'campaign', offer.campaign)),
           (moment, 'redemption.confirmed', subject, caller.actor, 'mobile-app', '', jsonb_build_object('state', 'accepted'),
            jsonb_build_object('state', 'confirmed', 'reasons', jsonb_build_array()));
    INSERT INTO tasks (id, kind, ref, dedupe_key, payload, state, run_at, token)
    VALUES (uuidv7(), 'drive', redemption, CAST(redemption AS text), '{}', 'done', moment, 1),
           (uuidv7(), 'fulfil', redemption, CAST(redemption AS text), '{}', 'ready', moment, 0);
    INSERT INTO idempotency_keys (key, fingerprint, resource_id, status, body, location, created_at)
    VALUES (sha256(convert_to(subject, 'UTF8')), sha256(convert_to(caller.actor, 'UTF8')), redemption, 201,
            convert_to(format('{"id":"%s","customer_id":"%s","mode":"points","state":"confirmed","state_words":"Redeemed, about to '
                'be handed out","cancellable":true,"campaign":"%s","price_points":%s,"lines":[{"number":1,"offer_id":"%s",'
                '"offer_version":%s,"reward":{"code":"%s","name":"%s"},"quantity":1,"unit_points":%s,"points":%s}],'
                '"accepted_at":"%s","changed_at":"%s"}', redemption, caller.customer_id, offer.campaign, offer.unit_points,
                offer.offer_id, offer.offer_version, offer.code, offer.names ->> 'en', offer.unit_points, offer.unit_points,
                moment, moment), 'UTF8'),
            '/v1/redemptions/' || redemption, moment);
    RETURN redemption;
END $$;
