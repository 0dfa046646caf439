use service::postgres::Pool;
use uuid::Uuid;

use super::Address;
use crate::{Refusal, Store};

/// As it is now, since whoever changes it has to have seen that.
pub async fn find(store: &Store, user: Uuid, id: Uuid) -> Result<Option<Address>, Refusal> {
    let row = sqlx::query_as!(
        Address,
        "SELECT id, recipient, line1, line2, city, region, postal_code, country, phone, is_default_shipping,
                is_default_billing, created_at, updated_at, version
           FROM addresses WHERE id = $1 AND user_id = $2",
        id,
        user
    );
    Ok(row.fetch_optional(&store.pool).await?)
}

/// Newest first, at most `limit`, added before `before`.
pub async fn list(store: &Store, user: Uuid, before: Option<Uuid>, limit: u16) -> Result<Vec<Address>, Refusal> {
    let page = move |pool: Pool| async move {
        sqlx::query_as!(
            Address,
            "SELECT id, recipient, line1, line2, city, region, postal_code, country, phone, is_default_shipping,
                    is_default_billing, created_at, updated_at, version
               FROM addresses WHERE user_id = $1 AND ($2::uuid IS NULL OR id < $2) ORDER BY id DESC LIMIT $3",
            user,
            before,
            i64::from(limit)
        )
        .fetch_all(&pool)
        .await
    };
    store.list(page).await
}
