-- What an account needs to be signed into, changed and erased.
--
-- An erased account keeps its row, with nothing in it that tells of a person: its sequence goes on where it was, and
-- what refers to its id stays whole.

ALTER TABLE users
    ALTER COLUMN email DROP NOT NULL,
    ALTER COLUMN password_hash DROP NOT NULL,
    -- NULL: nobody has shown yet that the address is theirs.
    ADD COLUMN email_verified_at timestamptz,
    ADD COLUMN display_name text,
    -- The language that the person was seen to prefer when they registered.
    ADD COLUMN locale text,
    -- Access tokens carry the version they were made at; those below this one are refused.
    ADD COLUMN min_token_version bigint NOT NULL DEFAULT 1,
    ADD CONSTRAINT users_min_token_version_positive CHECK (min_token_version > 0) NOT VALID,
    ADD CONSTRAINT users_deleted_is_empty CHECK (
        CASE WHEN status = 'deleted'
             THEN num_nonnulls(email, password_hash, email_verified_at, display_name, locale) = 0
             ELSE num_nulls(email, password_hash) = 0
        END
    ) NOT VALID;
