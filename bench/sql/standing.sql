SELECT u.sequence, u.min_token_version, s.authenticated_at,
                  EXISTS (SELECT FROM user_roles r WHERE r.user_id = u.id AND r.role = 'admin') AS "is_administrator!"
             FROM users u JOIN sessions s ON s.user_id = u.id
            WHERE u.id = $1 AND u.status = 'active' AND s.id = $2 AND s.revoked_at IS NULL AND s.expires_at > $3
