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
