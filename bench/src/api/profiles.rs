//! What users read of themselves at user-service, and what the bare handler runs for it.

use schemas::{Clock, Sequence, event_id};
use sqlx::PgPool;
use uuid::Uuid;

use super::{
    accounts::Account,
    bare::{
        Statement, Step,
        Value::{Long, NoTime, NoUuid, Uuid as Id},
    },
    client::{Ask, CLIENTS, Script},
    endpoints::{Pair, Reader, bare_readers, statement},
    sql,
};

/// On each wishlist. A page may have as many.
pub const WISHES: i64 = 200;

/// Profiles as their events would make them, each with a full page of wishes.
pub async fn make(pool: &PgPool, accounts: &[Account]) -> anyhow::Result<()> {
    let now = Clock::system().now();
    let ids: Vec<_> = accounts.iter().map(|account| account.id).collect();
    let emails: Vec<_> = accounts.iter().map(|account| account.email.clone()).collect();
    let products: Vec<Uuid> = (0..WISHES).map(|_| event_id(now)).collect();
    let mut tx = pool.begin().await?;
    sqlx::query(
        "INSERT INTO user_profiles (user_id, email, email_verified, email_sequence, roles, roles_sequence, registered_at)
         SELECT id, email, true, $3, '{user}', $3, $4 FROM unnest($1::uuid[], $2::text[]) AS a (id, email)",
    )
    .bind(&ids)
    .bind(&emails)
    .bind(Sequence::after(None, now).get())
    .bind(now)
    .execute(&mut *tx)
    .await?;
    sqlx::query(
        "INSERT INTO products (product_id, sku, name, price_minor, currency, status, sequence)
         SELECT id, 'TEA-' || number, 'Darjeeling First Flush No. ' || number, number, 'EUR', 'available', 1
           FROM unnest($1::uuid[]) WITH ORDINALITY AS p (id, number)",
    )
    .bind(&products)
    .execute(&mut *tx)
    .await?;
    sqlx::query(
        "INSERT INTO wishlist_items (user_id, product_id, price_when_added_minor, currency)
         SELECT a.id, p.id, 1999, 'EUR' FROM unnest($1::uuid[]) AS a (id), unnest($2::uuid[]) AS p (id)",
    )
    .bind(&ids)
    .bind(&products)
    .execute(&mut *tx)
    .await?;
    Ok(tx.commit().await?)
}

pub fn profile(readers: &[Reader]) -> Pair {
    read("profile", "/v1/me/profile", readers, vec![])
}

pub fn wishlist(readers: &[Reader]) -> Pair {
    let page = vec![Id(readers[0].account.id), NoTime, NoUuid, Long(WISHES)];
    let page = statement(sql::WISHLIST, page, WISHES.unsigned_abs());
    read("wishlist-200", "/v1/me/wishlist?limit=200", readers, vec![page])
}

/// Whoever reads anything is let in by their profile.
fn read(name: &'static str, path: &str, readers: &[Reader], more: Vec<Statement>) -> Pair {
    let profile = statement(sql::PROFILE, vec![Id(readers[0].account.id)], 1);
    let steps = std::iter::once(profile).chain(more).map(Step::Alone).collect();
    let asks = readers.iter().map(|reader| Ask::get(path).by(&reader.signed_in.access_token));
    let ours = asks.cycle().take(CLIENTS).map(Script::same).collect();
    Pair { name, ours, bare: bare_readers(name), steps }
}
