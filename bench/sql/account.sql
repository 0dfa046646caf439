WITH created AS (
                   INSERT INTO users (id, email, password_hash, display_name, locale, sequence, created_at, updated_at)
                   VALUES ($1, $2, $3, $4, $5, $6, $7, $7)
                   ON CONFLICT (email) DO NOTHING
                   RETURNING id, min_token_version),
               granted AS (INSERT INTO user_roles (user_id, role, granted_at) SELECT id, $8, $7 FROM created)
               SELECT min_token_version AS "min_token_version!" FROM created
