-- The ledger: facts, appended, in day partitions; the day is that of the UUIDv7 in the key.

-- The end of a generation of a notification. The primary key is the promise of at most one: the first wins.
CREATE TABLE final (
    id            uuid        NOT NULL,
    at            timestamptz NOT NULL,
    submitted_at  timestamptz,
    gone_at       timestamptz,
    generation    int4        NOT NULL,
    duration_us   int4        NOT NULL,
    payload_bytes int4        NOT NULL,
    queue         int4        NOT NULL,
    attempts      int4        NOT NULL,
    status        int2        NOT NULL,
    verdict       int2        NOT NULL,
    slot          int2        NOT NULL,
    possible_copy bool        NOT NULL,
    repeat        bool        NOT NULL,
    token         bytea       NOT NULL,
    user_print    bytea,
    collapse      bytea,
    pool          text        NOT NULL,
    cause         text        NOT NULL,
    app           text,
    ref           text,
    sender        text        NOT NULL,
    PRIMARY KEY (id, generation)
) PARTITION BY RANGE (id);
CREATE INDEX final_token ON final (token);
CREATE INDEX final_user ON final (user_print) WHERE user_print IS NOT NULL;
CREATE INDEX final_ref ON final (ref) WHERE ref IS NOT NULL;
CREATE INDEX final_trouble ON final (verdict, at) WHERE verdict <> 1;
CREATE INDEX final_repeat ON final (at) WHERE repeat;
CREATE INDEX final_at ON final USING brin (at);

-- What happened on the way to a verdict.
CREATE TABLE note (
    id            uuid        NOT NULL,
    at            timestamptz NOT NULL,
    until         timestamptz,
    generation    int4        NOT NULL,
    attempt       int4        NOT NULL,
    status        int2        NOT NULL,
    kind          int2        NOT NULL,
    possible_copy bool        NOT NULL,
    pool          text        NOT NULL,
    cause         text        NOT NULL,
    sender        text        NOT NULL,
    PRIMARY KEY (id, generation, at, kind, attempt, sender, cause)
) PARTITION BY RANGE (id);
CREATE INDEX note_copy ON note (at) WHERE possible_copy;

-- The ids of a batch, so that an item that reached nobody is seen.
CREATE TABLE submitted (
    first_id uuid        NOT NULL,
    last_id  uuid        NOT NULL,
    at       timestamptz NOT NULL,
    pool     text        NOT NULL,
    ids      uuid[]      NOT NULL,
    PRIMARY KEY (first_id, last_id)
) PARTITION BY RANGE (first_id);

CREATE TABLE final_default PARTITION OF final DEFAULT;
CREATE TABLE note_default PARTITION OF note DEFAULT;
CREATE TABLE submitted_default PARTITION OF submitted DEFAULT;

-- A device token: whose it is, whether it is gone, its badge. The token itself only encrypted.
-- Both times only grow; it is gone while no registration is as late as the last time it was found gone.
CREATE TABLE device (
    token         bytea  NOT NULL PRIMARY KEY,
    registered_at timestamptz,
    found_gone_at timestamptz,
    badge         int8   NOT NULL DEFAULT 0,
    slot          int2   NOT NULL,
    pool          text   NOT NULL,
    gone_cause    text,
    app           text,
    user_print    bytea,
    token_sealed  bytea
) WITH (fillfactor = 80);
CREATE INDEX device_gone ON device (pool, slot)
    WHERE found_gone_at IS NOT NULL AND (registered_at IS NULL OR registered_at < found_gone_at);
CREATE INDEX device_user ON device (user_print) WHERE user_print IS NOT NULL;

-- Keys by which a caller may repeat a request without doing it twice.
CREATE TABLE idempotency_key (
    app        text        NOT NULL,
    key        text        NOT NULL,
    body_hash  bytea       NOT NULL,
    id         uuid        NOT NULL,
    expires_at timestamptz NOT NULL,
    PRIMARY KEY (app, key)
);
CREATE INDEX idempotency_key_expiry ON idempotency_key (expires_at);

-- The smallest UUIDv7 of a day (days since 1970-01-01).
CREATE FUNCTION day_start(day int4) RETURNS uuid LANGUAGE sql IMMUTABLE STRICT AS $$
    SELECT (lpad(to_hex(day::int8 * 86400000), 12, '0') || repeat('0', 20))::uuid
$$;

-- Makes the partitions of a day where they are missing, and moves rows of that day out of the default ones.
CREATE FUNCTION make_day(day int4) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    parent text;
    part text;
    key text;
BEGIN
    FOREACH parent IN ARRAY ARRAY['final', 'note', 'submitted'] LOOP
        part := parent || '_' || to_char(date '1970-01-01' + day, 'YYYYMMDD');
        key := CASE parent WHEN 'submitted' THEN 'first_id' ELSE 'id' END;
        -- Queries of pg_class, not to_regclass: its cache is not told what another process did while this one waited.
        CONTINUE WHEN EXISTS (SELECT FROM pg_class WHERE relname = part AND relnamespace = current_schema()::regnamespace);
        PERFORM pg_advisory_xact_lock(hashtext('skein make_day ' || current_schema()));
        CONTINUE WHEN EXISTS (SELECT FROM pg_class WHERE relname = part AND relnamespace = current_schema()::regnamespace);
        EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING ALL)', part, parent);
        EXECUTE format(
            'WITH moved AS (DELETE FROM %I WHERE %I >= day_start($1) AND %I < day_start($1 + 1) RETURNING *)
             INSERT INTO %I SELECT * FROM moved', parent || '_default', key, key, part) USING day;
        EXECUTE format('ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)',
            parent, part, day_start(day), day_start(day + 1));
    END LOOP;
END
$$;

-- Drops the partitions of the days before `first`; says how many tables went.
CREATE FUNCTION drop_days_before(first int4) RETURNS int8 LANGUAGE plpgsql AS $$
DECLARE
    part text;
    dropped int8 := 0;
BEGIN
    FOR part IN
        SELECT c.relname FROM pg_class c JOIN pg_inherits i ON i.inhrelid = c.oid
        WHERE c.relnamespace = current_schema()::regnamespace
          AND c.relkind = 'r' AND c.relname ~ '^(final|note|submitted)_[0-9]{8}$'
          AND to_date(right(c.relname, 8), 'YYYYMMDD') < date '1970-01-01' + first
    LOOP
        EXECUTE format('DROP TABLE %I', part);
        dropped := dropped + 1;
    END LOOP;
    RETURN dropped;
END
$$;
