SELECT user_id, status, deactivation_reason, status_sequence, email, email_verified, email_sequence, roles,
                    roles_sequence, min_token_version, registered_at, display_name, display_name_edited, edit_version,
                    created_at, updated_at
               FROM user_profiles WHERE user_id = $1
