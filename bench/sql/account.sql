INSERT INTO users (id, email, password_hash, sequence, created_at, updated_at)
             VALUES ($1, $2, $3, $4, $5, $5)
             ON CONFLICT (email) DO NOTHING
             RETURNING id
