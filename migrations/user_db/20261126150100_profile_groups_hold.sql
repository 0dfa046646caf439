-- No row there is has anything in the new columns, so the new constraint on erased rows holds, which says all that the old
-- one did.

ALTER TABLE user_profiles
    VALIDATE CONSTRAINT user_profiles_erased_is_empty,
    DROP CONSTRAINT user_profiles_deleted_is_empty;
