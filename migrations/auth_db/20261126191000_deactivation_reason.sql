-- Why an account is out of use is part of its state, and is told again to whoever lost it: so it is kept in the row, and not
-- in the audit trail alone, which ends.
--
-- NULL in accounts that are in use, and in those that were taken out of use by code that is older: of these the audit trail
-- says it for as long as it is kept. That code may also leave one behind in an account that it puts into use again, where
-- nothing reads it.

ALTER TABLE users
    ADD COLUMN deactivation_reason text CHECK (deactivation_reason ~ '^[a-z]+(-[a-z]+)*$');
