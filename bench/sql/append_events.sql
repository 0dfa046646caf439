INSERT INTO outbox (event_id, event_type, schema_version, source, subject, envelope)
         SELECT * FROM unnest($1::uuid[], $2::text[], $3::int4[], $4::text[], $5::text[], $6::text[])
