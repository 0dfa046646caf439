-- A profile follows everything that auth-service says of its account.
--
-- Each group of columns that an event sets is a register of its own: whoever is newer by the group's version wins, in
-- whatever order they come. NULL is what no event has said yet, also for rows that are older than this migration.
--
-- An erased user's row is the tombstone: nothing in it tells of a person, and no version in it is behind the deletion's.

ALTER TABLE user_profiles
    -- Beside email, by email_sequence.
    ADD COLUMN email_verified boolean,
    -- By roles_sequence: the whole set.
    ADD COLUMN roles text[],
    ADD COLUMN roles_sequence bigint NOT NULL DEFAULT 0,
    -- Beside status, by status_sequence.
    ADD COLUMN deactivation_reason text,
    ADD COLUMN status_sequence bigint NOT NULL DEFAULT 0,
    -- Access tokens of a lower version are refused. It only ever rises, so it needs no version.
    ADD COLUMN min_token_version bigint NOT NULL DEFAULT 1,
    -- Seeded by the event that says when the user registered, until the user writes one, or none.
    ADD COLUMN display_name text,
    ADD COLUMN display_name_edited boolean NOT NULL DEFAULT false,
    -- The user's version in the events that this service sends.
    ADD COLUMN sequence bigint NOT NULL DEFAULT 0,
    ADD CONSTRAINT user_profiles_erased_is_empty CHECK (
        status <> 'deleted'
        OR (num_nonnulls(email, email_verified, roles, deactivation_reason, registered_at, display_name) = 0
            AND NOT display_name_edited)
    ) NOT VALID;
