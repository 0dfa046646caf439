WITH changed AS (
             INSERT INTO user_profiles AS profile
                    (user_id, email, email_verified, email_sequence, roles, roles_sequence, status, deactivation_reason,
                     status_sequence, min_token_version, registered_at, display_name)
             SELECT user_id, email, email_verified, email_sequence, string_to_array(roles, ' '), roles_sequence,
                    coalesce(status, 'active'), deactivation_reason, status_sequence,
                    greatest(min_token_version, 1), registered_at, display_name
               FROM unnest($1::uuid[], $2::text[], $3::bool[], $4::int8[], $5::text[], $6::int8[], $7::text[],
                           $8::text[], $9::int8[], $10::int8[], $11::timestamptz[], $12::text[])
                    AS change (user_id, email, email_verified, email_sequence, roles, roles_sequence, status,
                               deactivation_reason, status_sequence, min_token_version, registered_at, display_name)
              ORDER BY user_id
                 ON CONFLICT (user_id) DO UPDATE
                SET email = CASE WHEN excluded.email_sequence > profile.email_sequence
                                 THEN excluded.email ELSE profile.email END,
                    email_verified = CASE WHEN excluded.email_sequence > profile.email_sequence
                                          THEN excluded.email_verified ELSE profile.email_verified END,
                    email_sequence = greatest(profile.email_sequence, excluded.email_sequence),
                    roles = CASE WHEN excluded.roles_sequence > profile.roles_sequence
                                 THEN excluded.roles ELSE profile.roles END,
                    roles_sequence = greatest(profile.roles_sequence, excluded.roles_sequence),
                    status = CASE WHEN excluded.status_sequence > profile.status_sequence
                                  THEN excluded.status ELSE profile.status END,
                    deactivation_reason = CASE WHEN excluded.status_sequence > profile.status_sequence
                                               THEN excluded.deactivation_reason ELSE profile.deactivation_reason END,
                    status_sequence = greatest(profile.status_sequence, excluded.status_sequence),
                    min_token_version = greatest(profile.min_token_version, excluded.min_token_version),
                    display_name = CASE WHEN excluded.registered_at < coalesce(profile.registered_at, 'infinity')
                                             AND NOT profile.display_name_edited
                                        THEN excluded.display_name ELSE profile.display_name END,
                    registered_at = least(profile.registered_at, excluded.registered_at),
                    updated_at = now()
              WHERE profile.status <> 'deleted'
                AND (excluded.email_sequence > profile.email_sequence
                     OR excluded.roles_sequence > profile.roles_sequence
                     OR excluded.status_sequence > profile.status_sequence
                     OR excluded.min_token_version > profile.min_token_version
                     OR excluded.registered_at < coalesce(profile.registered_at, 'infinity'))
          RETURNING user_id
         )
         SELECT coalesce(array_agg(user_id), '{}') AS "users!" FROM changed
