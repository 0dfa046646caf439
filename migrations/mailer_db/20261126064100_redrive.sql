-- The same tables in every consumer's database: tests/applying/inboxes.rs compares them.

-- What operators did to dead letters, and what it takes to go on with it after a crash, or to undo it.
--
-- Operations and the audit are append-only. The journal, the archive and the edits hold messages or point at them; they
-- are keyed by subject, so that erasing a user takes them away, and they go when the inbox's window has passed them.

CREATE TABLE redrive_operations (
    -- A UUID v7: operations sort by when they were planned.
    operation_id uuid        PRIMARY KEY,
    verb         text        NOT NULL CHECK (verb IN ('replay', 'discard', 'edit', 'restore', 'export', 'import', 'reveal', 'native')),
    consumer     text        NOT NULL,
    queue        text        NOT NULL,
    actor        text        NOT NULL,
    reason       text        NOT NULL CHECK (reason <> ''),
    filter       jsonb       NOT NULL,
    -- How many letters were planned for what.
    plan         jsonb       NOT NULL,
    begun_at     timestamptz NOT NULL
);

CREATE TABLE redrive_audit (
    entry_id     bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    operation_id uuid        NOT NULL REFERENCES redrive_operations,
    at           timestamptz NOT NULL,
    -- NULL: of the operation itself.
    letter_id    text,
    outcome      text        NOT NULL,
    -- Never a value of the payload.
    detail       text
);

CREATE INDEX redrive_audit_operation ON redrive_audit (operation_id, entry_id);
CREATE INDEX redrive_audit_letter ON redrive_audit (letter_id) WHERE letter_id IS NOT NULL;

CREATE FUNCTION redrive_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
END $$;

CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON redrive_operations
    FOR EACH STATEMENT EXECUTE FUNCTION redrive_append_only();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON redrive_audit
    FOR EACH STATEMENT EXECUTE FUNCTION redrive_append_only();

-- A row for each letter that an operation is about to touch: planned, then sent or archived, then deleted.
CREATE TABLE redrive_journal (
    operation_id uuid        NOT NULL REFERENCES redrive_operations,
    -- The inbox key; of what is no event, its message's id.
    letter_key   text        NOT NULL,
    letter_id    text        NOT NULL,
    event_key    uuid,
    subject      text,
    action       text        NOT NULL CHECK (action IN ('replay', 'discard')),
    state        text        NOT NULL CHECK (state IN ('planned', 'sent', 'archived', 'deleted', 'skipped')),
    -- By which a later process can hand back what this one held when it was killed.
    receipts     text[]      NOT NULL,
    changed_at   timestamptz NOT NULL,
    PRIMARY KEY (operation_id, letter_key)
);

CREATE INDEX redrive_journal_letter ON redrive_journal (letter_key);
CREATE INDEX redrive_journal_subject ON redrive_journal (subject) WHERE subject IS NOT NULL;

CREATE TABLE redrive_archive (
    operation_id uuid        NOT NULL REFERENCES redrive_operations,
    letter_key   text        NOT NULL,
    letter_id    text        NOT NULL,
    subject      text,
    body         text        NOT NULL,
    attributes   jsonb       NOT NULL,
    archived_at  timestamptz NOT NULL,
    restored_at  timestamptz,
    PRIMARY KEY (operation_id, letter_key)
);

CREATE INDEX redrive_archive_subject ON redrive_archive (subject) WHERE subject IS NOT NULL;
CREATE INDEX redrive_archive_age ON redrive_archive (archived_at);

CREATE TABLE redrive_edits (
    operation_id uuid        PRIMARY KEY REFERENCES redrive_operations,
    letter_key   text        NOT NULL,
    letter_id    text        NOT NULL,
    subject      text,
    original     text        NOT NULL,
    -- RFC 6902, from the original to what was sent.
    patch        jsonb       NOT NULL,
    edited_sha256 text       NOT NULL,
    edited_at    timestamptz NOT NULL
);

CREATE INDEX redrive_edits_subject ON redrive_edits (subject) WHERE subject IS NOT NULL;
