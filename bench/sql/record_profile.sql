WITH newest AS (
                 SELECT DISTINCT ON (user_id) user_id, email, sequence,
                        min(registered_at) OVER (PARTITION BY user_id) AS registered_at
                   FROM unnest($1::uuid[], $2::text[], $3::int8[], $4::timestamptz[])
                        AS event (user_id, email, sequence, registered_at)
                  ORDER BY user_id, sequence DESC
             ), changed AS (
                 INSERT INTO user_profiles AS profile (user_id, email, email_sequence, registered_at)
                 SELECT user_id, email, sequence, registered_at FROM newest ORDER BY user_id
                     ON CONFLICT (user_id) DO UPDATE
                    SET email = CASE WHEN excluded.email_sequence > profile.email_sequence
                                     THEN excluded.email ELSE profile.email END,
                        email_sequence = greatest(profile.email_sequence, excluded.email_sequence),
                        registered_at = least(profile.registered_at, excluded.registered_at),
                        updated_at = now()
                  WHERE profile.status <> 'deleted'
                    AND (excluded.email_sequence > profile.email_sequence
                         OR profile.registered_at IS NULL OR excluded.registered_at < profile.registered_at)
              RETURNING user_id
             )
             SELECT coalesce(array_agg(user_id), '{}') AS "users!" FROM changed
