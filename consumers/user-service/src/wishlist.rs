//! What a user would like to have. An item is a user and a product, so it is there once, however often it is added; what is
//! told of the product is what its events said, joined as the page is read. A product of which nothing was heard yet may be on
//! the list as well.

use std::{fmt, str::FromStr};

use service::postgres::Pool;
use sqlx::PgExecutor;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::{Refusal, Store, limits::WISHES, profile::Caller};

/// An item, with what is known of its product.
pub struct Wish {
    pub product_id: Uuid,
    pub added_at: OffsetDateTime,
    pub price_when_added_minor: Option<i64>,
    pub currency_when_added: Option<String>,
    pub sku: Option<String>,
    pub name: Option<String>,
    pub price_minor: Option<i64>,
    pub currency: Option<String>,
    pub status: Option<String>,
}

/// Where a page begins: after this item. It is a place, so it is there also when the item is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    pub added_at: OffsetDateTime,
    pub product_id: Uuid,
}

#[derive(Debug, thiserror::Error)]
#[error("not valid, expected the `next` of the page before")]
pub struct NoPlace;

/// Newest first, at most `limit`. One statement, however many they are.
pub(crate) async fn list(store: &Store, user: Uuid, after: Option<Place>, limit: u16) -> Result<Vec<Wish>, Refusal> {
    let (added_at, product_id) = (after.map(|place| place.added_at), after.map(|place| place.product_id));
    let page = move |pool: Pool| async move {
        sqlx::query_as!(
            Wish,
            r#"SELECT w.product_id, w.added_at, w.price_when_added_minor, w.currency AS currency_when_added, p.sku AS "sku?",
                      p.name AS "name?", p.price_minor AS "price_minor?", p.currency AS "currency?", p.status AS "status?"
                 FROM wishlist_items w LEFT JOIN products p ON p.product_id = w.product_id
                WHERE w.user_id = $1 AND ($2::timestamptz IS NULL OR (w.added_at, w.product_id) < ($2, $3::uuid))
                ORDER BY w.added_at DESC, w.product_id DESC
                LIMIT $4"#,
            user,
            added_at,
            product_id,
            i64::from(limit)
        )
        .fetch_all(&pool)
        .await
    };
    store.list(page).await
}

/// Answers the item, and whether it is new. One that is there already stays as it was.
pub(crate) async fn add(store: &Store, caller: Caller, product: Uuid) -> Result<(Wish, bool), Refusal> {
    let mut connection = store.pool.acquire().await?;
    let mut writing = store.begin(&mut connection, caller).await?;
    let (user, now) = (writing.user(), writing.now());
    if let Some(wish) = find(writing.connection(), user, product).await? {
        return Ok((wish, false));
    }
    let kept = sqlx::query_scalar!(r#"SELECT count(*) AS "kept!" FROM wishlist_items WHERE user_id = $1"#, user);
    if kept.fetch_one(writing.connection()).await? >= i64::from(WISHES) {
        return Err(Refusal::TooMany(WISHES));
    }
    sqlx::query!(
        "INSERT INTO wishlist_items (user_id, product_id, added_at, price_when_added_minor, currency)
         SELECT $1, $2, $3, p.price_minor, p.currency
           FROM (VALUES (1)) AS one LEFT JOIN products p ON p.product_id = $2",
        user,
        product,
        now,
    )
    .execute(writing.connection())
    .await?;
    let wish = find(writing.connection(), user, product).await?.ok_or(Refusal::Stored("wish"))?;
    writing.commit().await?;
    Ok((wish, true))
}

/// One that is not there is gone already.
pub(crate) async fn remove(store: &Store, caller: Caller, product: Uuid) -> Result<(), Refusal> {
    let mut connection = store.pool.acquire().await?;
    let mut writing = store.begin(&mut connection, caller).await?;
    let user = writing.user();
    sqlx::query!("DELETE FROM wishlist_items WHERE user_id = $1 AND product_id = $2", user, product)
        .execute(writing.connection())
        .await?;
    writing.commit().await
}

async fn find(executor: impl PgExecutor<'_>, user: Uuid, product: Uuid) -> Result<Option<Wish>, Refusal> {
    let row = sqlx::query_as!(
        Wish,
        r#"SELECT w.product_id, w.added_at, w.price_when_added_minor, w.currency AS currency_when_added, p.sku AS "sku?",
                  p.name AS "name?", p.price_minor AS "price_minor?", p.currency AS "currency?", p.status AS "status?"
             FROM wishlist_items w LEFT JOIN products p ON p.product_id = w.product_id
            WHERE w.user_id = $1 AND w.product_id = $2"#,
        user,
        product
    );
    Ok(row.fetch_optional(executor).await?)
}

impl Wish {
    pub fn place(&self) -> Place {
        Place { added_at: self.added_at, product_id: self.product_id }
    }
}

/// Microseconds since 1970, and the product.
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.added_at.unix_timestamp_nanos() / 1_000, self.product_id)
    }
}

impl FromStr for Place {
    type Err = NoPlace;

    fn from_str(text: &str) -> Result<Self, NoPlace> {
        let (microseconds, product) = text.split_once('.').ok_or(NoPlace)?;
        let microseconds: i64 = microseconds.parse().map_err(|_| NoPlace)?;
        let added_at = OffsetDateTime::from_unix_timestamp_nanos(i128::from(microseconds) * 1_000);
        let product_id = product.parse().map_err(|_| NoPlace)?;
        Ok(Self { added_at: added_at.map_err(|_| NoPlace)?, product_id })
    }
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    #[test]
    fn a_place_is_read_as_it_is_written_and_nothing_else_is_one() {
        let place = Place { added_at: datetime!(2026-11-26 12:00:00.123456 UTC), product_id: Uuid::from_u128(7) };
        assert_eq!(place.to_string().parse::<Place>().unwrap(), place);
        for text in ["", "1", "1.", ".", "x.00000000-0000-0000-0000-000000000007", "9223372036854775807.7", "1.2.3"] {
            assert!(text.parse::<Place>().is_err(), "{text}");
        }
    }
}
