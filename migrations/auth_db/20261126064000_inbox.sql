-- The inbox of auth-service, which consumes as well, and who works on its queue.
-- The same tables in every consumer's database: tests/applying/inboxes.rs compares them.

-- The inbox. event_logs holds applied events only: a row for a failed one would make its replay a silent no-op.
--
-- Partitioned by week on the inbox key (a UUID v7), with no default partition: one would block making new weeks, and
-- would let an event whose week was dropped be claimed, and so applied, a second time.

CREATE TABLE event_logs (
    event_key      uuid        NOT NULL,
    event_id       text        NOT NULL,
    event_type     text        NOT NULL,
    schema_version integer     NOT NULL,
    source         text        NOT NULL,
    subject        text,
    sequence       bigint,
    handler        text        NOT NULL,
    event_time     timestamptz NOT NULL,
    applied_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    -- Deliveries of this event that were recognised as copies and ignored.
    redeliveries   integer     NOT NULL DEFAULT 0,
    PRIMARY KEY (event_key)
) PARTITION BY RANGE (event_key);

CREATE INDEX event_logs_subject ON event_logs (subject);

-- One row per failed attempt, written apart from the transaction that was rolled back. It holds no row data.

CREATE TABLE event_failures (
    failure_id    uuid        NOT NULL,
    -- NULL where the message could not be read far enough to have one.
    event_key     uuid,
    event_id      text,
    event_type    text,
    message_id    text        NOT NULL,
    queue         text        NOT NULL,
    handler       text,
    attempt       integer     NOT NULL CHECK (attempt > 0),
    class         text        NOT NULL CHECK (class IN ('retry', 'reject', 'unclassified')),
    reason        text        NOT NULL,
    message       text        NOT NULL,
    causes        text[]      NOT NULL,
    fingerprint   text        NOT NULL,
    worker        text        NOT NULL,
    version       text        NOT NULL,
    trace_id      text,
    receive_count integer     NOT NULL,
    dead_lettered boolean     NOT NULL,
    failed_at     timestamptz NOT NULL,
    PRIMARY KEY (failure_id)
) PARTITION BY RANGE (failure_id);

CREATE INDEX event_failures_event ON event_failures (event_key);
CREATE INDEX event_failures_fingerprint ON event_failures (fingerprint);

-- Who works on this database's queues: a row for each worker, which it writes every few seconds and takes away when it
-- stops. One that was killed leaves a row that grows old; others remove it after a day.

CREATE TABLE workers (
    -- Host and process.
    worker              text             NOT NULL,
    consumer            text             NOT NULL,
    queue               text             NOT NULL,
    version             text             NOT NULL,
    state               text             NOT NULL CHECK (state IN ('working', 'holding')),
    in_flight           integer          NOT NULL,
    started_at          timestamptz      NOT NULL,
    seen_at             timestamptz      NOT NULL,
    last_poll_at        timestamptz,
    received_per_second double precision NOT NULL,
    applied_per_second  double precision NOT NULL,
    failed_per_second   double precision NOT NULL,
    PRIMARY KEY (worker, consumer)
);
