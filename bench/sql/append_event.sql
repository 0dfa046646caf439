INSERT INTO outbox (event_id, event_type, schema_version, source, subject, envelope, not_before, due_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, greatest($7, now()))
