-- Every row there is has an address, a password and a version, and none is deleted.

ALTER TABLE users
    VALIDATE CONSTRAINT users_deleted_is_empty,
    VALIDATE CONSTRAINT users_min_token_version_positive;
