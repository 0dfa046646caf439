SELECT id AS user_id, email AS "email!", email_verified_at IS NOT NULL AS "email_verified!", display_name,
                  status, created_at, updated_at, sequence,
                  coalesce((SELECT array_agg(role ORDER BY role) FROM user_roles WHERE user_id = id), '{}') AS "roles!"
             FROM users u
            WHERE status <> 'deleted'
              AND ($1::uuid IS NULL OR id = $1)
              AND ($2::text IS NULL OR email = $2)
              AND ($3::text IS NULL OR status = $3)
              AND ($4::text IS NULL OR EXISTS (SELECT FROM user_roles r WHERE r.user_id = u.id AND r.role = $4))
              AND ($5::uuid IS NULL OR id > $5)
            ORDER BY id
            LIMIT $6
