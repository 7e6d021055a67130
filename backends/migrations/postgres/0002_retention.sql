-- Drops the partitions of the days before `first`; says how many tables went. Whoever may call it, today and yesterday stay: senders
-- keep the retention, and none of them may clear the ledger.
CREATE OR REPLACE FUNCTION drop_days_before(first int4) RETURNS int8 LANGUAGE plpgsql AS $$
DECLARE
    part text;
    dropped int8 := 0;
BEGIN
    IF date '1970-01-01' + first > (now() AT TIME ZONE 'UTC')::date - 1 THEN
        RAISE EXCEPTION 'yesterday and today stay in the ledger' USING ERRCODE = 'insufficient_privilege';
    END IF;
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
