UPDATE sessions SET revoked_at = $3, revoked_reason = $4
          WHERE user_id = $1 AND ($2::uuid IS NULL OR id = $2) AND revoked_at IS NULL AND expires_at > $3
