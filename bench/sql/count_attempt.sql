WITH counted AS (
               INSERT INTO rate_limits AS l (key, count, last_at) VALUES ($1, 1, $2)
               ON CONFLICT (key) DO UPDATE
                 SET count = CASE WHEN l.last_at < $3 AND coalesce(l.locked_until <> 'infinity', true) THEN 1 ELSE l.count + 1 END,
                     last_at = $2,
                     locked_until = CASE
                         WHEN l.last_at < $3 AND coalesce(l.locked_until <> 'infinity', true) THEN NULL
                         WHEN l.count + 1 >= $5 THEN 'infinity'
                         WHEN l.count + 1 >= $4
                         THEN $2 + least($6::float8 * power(2, l.count + 1 - $4), $7::float8) * interval '1 second'
                     END
               WHERE l.locked_until IS NULL OR l.locked_until <= $2
               RETURNING count)
           SELECT EXISTS (SELECT FROM counted) AS "is_counted!", u.id AS "id?", u.password_hash AS "password_hash?",
                  u.status = 'active' AS "is_active?", u.email_verified_at IS NOT NULL AS "is_verified!"
             FROM (VALUES (1)) AS always LEFT JOIN users AS u ON u.email = $8
