-- The transactional outbox, as every database of a producer has it: see auth_db.

CREATE TABLE outbox (
    event_id       uuid        NOT NULL,
    event_type     text        NOT NULL,
    schema_version integer     NOT NULL,
    source         text        NOT NULL,
    subject        text        NOT NULL,
    -- The CloudEvent exactly as it goes on the wire; NULL a day after publication.
    envelope       text,
    status         text        NOT NULL DEFAULT 'pending' CHECK (status IN ('pending', 'published', 'failed')),
    attempts       integer     NOT NULL DEFAULT 0,
    -- When a relay may claim the row. A claim moves it to the end of the lease; a failure to the end of the back-off.
    due_at         timestamptz NOT NULL DEFAULT now(),
    lease_token    uuid,
    last_error     text,
    created_at     timestamptz NOT NULL DEFAULT now(),
    published_at   timestamptz,
    -- NULL: may be published from the start.
    not_before     timestamptz,
    PRIMARY KEY (event_id),
    CONSTRAINT outbox_unpublished_keeps_envelope CHECK (envelope IS NOT NULL OR status = 'published'),
    CONSTRAINT outbox_published_has_time CHECK ((status = 'published') = (published_at IS NOT NULL))
) PARTITION BY RANGE (event_id);

CREATE INDEX outbox_pending ON outbox (due_at, event_id) WHERE status = 'pending';
CREATE INDEX outbox_failed ON outbox (event_id) WHERE status = 'failed';
CREATE INDEX outbox_published_envelopes ON outbox (published_at) WHERE status = 'published' AND envelope IS NOT NULL;
