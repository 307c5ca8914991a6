-- All that fulfillment writes for one use of a voucher at a till, in one function and one commit.
-- benchmarks/rows.py checks that it leaves the same rows as the service. It runs in a copy of fulfillment's database.

CREATE SCHEMA bench;

-- More vouchers than were issued: copies of them under ids and codes of their own, which nobody can know.
INSERT INTO vouchers (id, fulfillment_id, line_number, unit_number, customer_id, owner_issuer, owner_subject, code_hmac,
                      code_sealed, state, issued_at, expires_at, changed_at)
SELECT uuidv7(), fulfillment_id, line_number, unit_number + 1000 * copy, customer_id, owner_issuer, owner_subject,
       sha256(convert_to(id || ' ' || copy, 'UTF8')), code_sealed, state, issued_at, expires_at, changed_at
  FROM generate_series(1, :copies) AS copy, (SELECT * FROM vouchers WHERE state = 'issued' ORDER BY id LIMIT 4000) AS issued;

-- What a till holds in its hand.
CREATE TABLE bench.codes AS SELECT CAST(row_number() OVER (ORDER BY id) AS int) AS number, code_hmac FROM vouchers
 WHERE state = 'issued';
ALTER TABLE bench.codes ADD PRIMARY KEY (number);
CREATE TABLE bench.tills AS
SELECT CAST(row_number() OVER (ORDER BY merchant_code, code) AS int) AS number, merchant_code AS merchant, code AS terminal
  FROM terminals;
ALTER TABLE bench.tills ADD PRIMARY KEY (number);
CREATE SEQUENCE bench.next_code;
ANALYZE vouchers;
ANALYZE bench.codes;
ANALYZE bench.tills;

CREATE FUNCTION bench.use(till_number int, code_number int DEFAULT CAST(nextval('bench.next_code') AS int)) RETURNS uuid
LANGUAGE plpgsql AS $$
DECLARE
    till bench.tills; hmac bytea; voucher vouchers; promise voucher_promises; moment timestamptz := clock_timestamp();
    new_use uuid := uuidv7(); number text := CAST(new_use AS text); actor text; facts jsonb;
BEGIN
    SELECT * INTO STRICT till FROM bench.tills b WHERE b.number = till_number;
    SELECT code_hmac INTO STRICT hmac FROM bench.codes c WHERE c.number = code_number;
    PERFORM FROM terminals t JOIN merchants m ON m.code = t.merchant_code
      WHERE t.merchant_code = till.merchant AND t.code = till.terminal AND m.accepts_vouchers
        AND CAST(moment AT TIME ZONE 'Asia/Shanghai' AS date) BETWEEN m.contract_from AND m.contract_until;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'till not admitted';
    END IF;
    SELECT * INTO STRICT voucher FROM vouchers WHERE code_hmac = hmac FOR NO KEY UPDATE;
    SELECT * INTO STRICT promise FROM voucher_promises
     WHERE fulfillment_id = voucher.fulfillment_id AND line_number = voucher.line_number;
    moment := clock_timestamp();
    IF voucher.state <> 'issued' OR voucher.expires_at <= moment OR NOT promise.merchants ? till.merchant THEN
        RAISE EXCEPTION 'cannot be used';
    END IF;
    UPDATE vouchers SET state = 'used', used_at = moment, changed_at = moment WHERE id = voucher.id;
    -- As `asked` first and then `live`: the table lets nobody begin as `live`.
    INSERT INTO uses (id, merchant, terminal, request_number, state, fingerprint, recorded_at)
    VALUES (new_use, till.merchant, till.terminal, number, 'asked', sha256(hmac), moment);
    UPDATE uses SET state = 'live', voucher_id = voucher.id, used_at = moment WHERE id = new_use;
    actor := 'merchant:till:' || till.merchant || ':' || till.terminal;
    facts := jsonb_build_object('state', 'live', 'merchant', till.merchant, 'terminal', till.terminal, 'number', number);
    INSERT INTO audit_entries (at, action, subject, actor, channel, reason, before, after)
    VALUES (moment, 'use.made', 'use:' || new_use, actor, substr(actor, 10), 'used at the till', NULL,
            facts || jsonb_build_object('voucher', voucher.id)),
           (moment, 'voucher.used', 'voucher:' || voucher.id, actor, substr(actor, 10), 'used at the till',
            jsonb_build_object('state', 'issued'),
            jsonb_build_object('state', 'used', 'use', new_use, 'merchant', till.merchant, 'terminal', till.terminal));
    RETURN new_use;
END $$;
