SELECT w.product_id, w.added_at, w.price_when_added_minor, w.currency AS currency_when_added, p.sku AS "sku?",
                      p.name AS "name?", p.price_minor AS "price_minor?", p.currency AS "currency?", p.status AS "status?"
                 FROM wishlist_items w LEFT JOIN products p ON p.product_id = w.product_id
                WHERE w.user_id = $1 AND ($2::timestamptz IS NULL OR (w.added_at, w.product_id) < ($2, $3::uuid))
                ORDER BY w.added_at DESC, w.product_id DESC
                LIMIT $4
