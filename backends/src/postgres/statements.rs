//! The statements that write. Each takes columns, and gives back one row: how many rows were inserted and, only if that is
//! not all of them, which.

macro_rules! insert_finals {
    () => {
        "INSERT INTO final (id, generation, at, submitted_at, gone_at, duration_us, payload_bytes, queue, attempts, status,
        verdict, slot, possible_copy, repeat, token, user_print, collapse, pool, cause, app, ref, sender)
    SELECT * FROM unnest($1::uuid[], $2::int4[], $3::timestamptz[], $4::timestamptz[], $5::timestamptz[], $6::int4[],
        $7::int4[], $8::int4[], $9::int4[], $10::int2[], $11::int2[], $12::int2[], $13::bool[], $14::bool[], $15::bytea[],
        $16::bytea[], $17::bytea[], $18::text[], $19::text[], $20::text[], $21::text[], $22::text[])"
    };
}

/// Finals that are all new; a unique violation if one is not. A quarter less work than asking for conflicts.
pub(super) const INSERT_NEW_FINALS: &str = insert_finals!();

/// Finals; `$23` is how many there are.
pub(super) const INSERT_FINALS: &str = concat!(
    "WITH inserted AS (",
    insert_finals!(),
    " ON CONFLICT DO NOTHING RETURNING id, generation)
SELECT count(*), CASE WHEN count(*) < $23 THEN array_agg(id) END,
    CASE WHEN count(*) < $23 THEN array_agg(generation) END
FROM inserted"
);

/// Notes.
pub(super) const INSERT_NOTES: &str = "
INSERT INTO note (id, generation, at, until, attempt, status, kind, possible_copy, pool, cause, sender)
SELECT * FROM unnest($1::uuid[], $2::int4[], $3::timestamptz[], $4::timestamptz[], $5::int4[], $6::int2[], $7::int2[],
    $8::bool[], $9::text[], $10::text[], $11::text[])
ON CONFLICT DO NOTHING
RETURNING id, generation, at, attempt, kind, sender, cause";

/// Batches: `$1..$4` one value a batch, `$5` every id, `$6` the number of its batch, from 1.
pub(super) const INSERT_SUBMITTED: &str = "
INSERT INTO submitted (first_id, last_id, pool, at, ids)
SELECT b.first_id, b.last_id, b.pool, b.at, i.ids
FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::timestamptz[]) WITH ORDINALITY AS b(first_id, last_id, pool, at, n)
JOIN (SELECT n, array_agg(id) AS ids FROM unnest($5::uuid[], $6::int8[]) AS u(id, n) GROUP BY n) i USING (n)
ON CONFLICT DO NOTHING
RETURNING first_id, last_id";

/// The finals that stand for some keys; `$3` and `$4` bound the ids.
pub(super) const STANDING: &str = "
SELECT f.id, f.generation, f.verdict, f.cause, f.status, f.at, f.attempts, f.sender, f.duration_us, f.possible_copy
FROM unnest($1::uuid[], $2::int4[]) AS a(id, generation)
JOIN final f ON f.id = a.id AND f.generation = a.generation AND f.id BETWEEN $3 AND $4";

/// Badges that are set; each token once.
pub(super) const SET_BADGES: &str = "
INSERT INTO device (token, slot, pool, badge) SELECT * FROM unnest($1::bytea[], $2::int2[], $3::text[], $4::int8[])
ON CONFLICT (token) DO UPDATE SET badge = excluded.badge";

/// Badges that grow; each token once.
pub(super) const ADD_BADGES: &str = "
INSERT INTO device (token, slot, pool, badge) SELECT * FROM unnest($1::bytea[], $2::int2[], $3::text[], $4::int8[])
ON CONFLICT (token) DO UPDATE SET badge = least(device.badge + excluded.badge, 4294967295)";

/// Tokens found gone; each once. Gives those that are gone now and were not, or not as late.
pub(super) const FIND_GONE: &str = "
WITH changed AS (
    INSERT INTO device (token, slot, pool, found_gone_at, gone_cause)
    SELECT * FROM unnest($1::bytea[], $2::int2[], $3::text[], $4::timestamptz[], $5::text[])
    ON CONFLICT (token) DO UPDATE
        SET found_gone_at = excluded.found_gone_at, gone_cause = excluded.gone_cause, pool = excluded.pool
        WHERE device.found_gone_at IS NULL OR device.found_gone_at < excluded.found_gone_at
    RETURNING token, registered_at, found_gone_at
)
SELECT token FROM changed WHERE registered_at IS NULL OR registered_at < found_gone_at";
