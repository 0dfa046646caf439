INSERT INTO user_roles (user_id, role, granted_at) VALUES ($1, $2, $3)
