-- Every row there is has an address and a password, and none is deleted.

ALTER TABLE users VALIDATE CONSTRAINT users_deleted_is_empty;
