-- An event may be written now, to be published later. `due_at` can't say since when it may be: a claim and a back-off
-- move it, and how long an event has been waiting is what an alarm is about.

-- NULL: from the start.
ALTER TABLE outbox ADD COLUMN not_before timestamptz;
