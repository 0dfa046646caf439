WITH claimed AS (
             INSERT INTO event_logs
                 (event_key, event_id, event_type, schema_version, source, subject, sequence, handler, event_time)
             SELECT e.event_key, e.event_id, e.event_type, e.schema_version, e.source, e.subject, e.sequence, $9,
                    e.event_time
               FROM unnest($1::uuid[], $2::text[], $3::text[], $4::int4[], $5::text[], $6::text[], $7::int8[],
                           $8::timestamptz[])
                    AS e (event_key, event_id, event_type, schema_version, source, subject, sequence, event_time)
              ORDER BY e.event_key
                 ON CONFLICT DO NOTHING
          RETURNING event_key
           )
           SELECT coalesce(array_agg(event_key), '{}') AS "keys!" FROM claimed
