-- The embedded engine: queues and ledger in one file. Times are milliseconds since 1970. There is no index by token or user:
-- such an index is written all over, a page for each row, which would cost more than everything else together.

-- The queues, by a number that never changes meaning in this file.
CREATE TABLE queue (
    number INTEGER NOT NULL PRIMARY KEY,
    name   TEXT    NOT NULL UNIQUE
) STRICT;

-- What waits. Its place is the number of its queue, times 2^40, plus its sequence: a queue is one range, in order.
CREATE TABLE message (
    place INTEGER NOT NULL PRIMARY KEY,
    kind  INTEGER NOT NULL,
    body  BLOB    NOT NULL
) STRICT;

CREATE TABLE dead_letter (
    number INTEGER NOT NULL PRIMARY KEY,
    at     INTEGER NOT NULL,
    queue  TEXT    NOT NULL,
    kind   TEXT    NOT NULL,
    id     BLOB,
    reason TEXT    NOT NULL,
    detail TEXT    NOT NULL,
    body   BLOB    NOT NULL
) STRICT;

-- The end of a generation of a notification; the first wins. A day is a range of ids, since they are UUIDv7.
CREATE TABLE final (
    id            BLOB    NOT NULL,
    generation    INTEGER NOT NULL,
    at            INTEGER NOT NULL,
    submitted_at  INTEGER,
    gone_at       INTEGER,
    duration_us   INTEGER NOT NULL,
    payload_bytes INTEGER NOT NULL,
    queue         INTEGER NOT NULL,
    attempts      INTEGER NOT NULL,
    status        INTEGER NOT NULL,
    verdict       INTEGER NOT NULL,
    slot          INTEGER NOT NULL,
    possible_copy INTEGER NOT NULL,
    repeat        INTEGER NOT NULL,
    token         BLOB    NOT NULL,
    user_print    BLOB,
    collapse      BLOB,
    pool          TEXT    NOT NULL,
    cause         TEXT    NOT NULL,
    app           TEXT,
    ref           TEXT,
    sender        TEXT    NOT NULL,
    PRIMARY KEY (id, generation)
) STRICT, WITHOUT ROWID;
CREATE INDEX final_repeat ON final (at) WHERE repeat <> 0;

CREATE TABLE note (
    id            BLOB    NOT NULL,
    generation    INTEGER NOT NULL,
    at            INTEGER NOT NULL,
    until         INTEGER,
    attempt       INTEGER NOT NULL,
    status        INTEGER NOT NULL,
    kind          INTEGER NOT NULL,
    possible_copy INTEGER NOT NULL,
    pool          TEXT    NOT NULL,
    cause         TEXT    NOT NULL,
    sender        TEXT    NOT NULL,
    PRIMARY KEY (id, generation, at, kind, attempt, sender, cause)
) STRICT, WITHOUT ROWID;

-- The ids of a batch, 16 bytes each.
CREATE TABLE submitted (
    first_id BLOB    NOT NULL,
    last_id  BLOB    NOT NULL,
    at       INTEGER NOT NULL,
    pool     TEXT    NOT NULL,
    ids      BLOB    NOT NULL,
    PRIMARY KEY (first_id, last_id)
) STRICT;

-- A device token. Both times only grow; it is gone while no registration is as late as the last time it was found gone.
CREATE TABLE device (
    token         BLOB    NOT NULL PRIMARY KEY,
    slot          INTEGER NOT NULL,
    pool          TEXT    NOT NULL,
    badge         INTEGER NOT NULL DEFAULT 0,
    registered_at INTEGER,
    found_gone_at INTEGER,
    gone_cause    TEXT,
    app           TEXT,
    user_print    BLOB,
    token_sealed  BLOB
) STRICT, WITHOUT ROWID;
CREATE INDEX device_gone ON device (pool, slot)
    WHERE found_gone_at IS NOT NULL AND (registered_at IS NULL OR registered_at < found_gone_at);
