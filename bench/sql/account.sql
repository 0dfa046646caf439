INSERT INTO users (id, email, password_hash, display_name, locale, sequence, created_at, updated_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $7)
             ON CONFLICT (email) DO NOTHING
             RETURNING min_token_version
