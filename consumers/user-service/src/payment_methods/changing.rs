use service::http::IfMatch;
use uuid::Uuid;

use super::{NewPaymentMethod, PaymentMethod, PaymentMethodEdit, has_expired};
use crate::{
    Refusal, Store,
    idempotency::{Attempt, Made},
    limits::PAYMENT_METHODS,
    profile::Caller,
    writing::Writing,
};

/// Adds what a user pays with, once for each attempt, however often it is made. What stands for a card is kept once, whoever
/// shows it.
pub async fn add(store: &Store, caller: Caller, attempt: &Attempt, new: NewPaymentMethod) -> Result<Made, Refusal> {
    let mut connection = store.pool.acquire().await?;
    let mut writing = store.begin(&mut connection, caller).await?;
    if let Some(made) = writing.earlier(attempt).await? {
        return Ok(made);
    }
    if has_expired(new.exp_year, new.exp_month, writing.now()) {
        return Err(Refusal::Expired);
    }
    let user = writing.user();
    let kept = sqlx::query_scalar!(r#"SELECT count(*) AS "kept!" FROM payment_methods WHERE user_id = $1"#, user);
    if kept.fetch_one(writing.connection()).await? >= i64::from(PAYMENT_METHODS) {
        return Err(Refusal::TooMany(PAYMENT_METHODS));
    }
    let (id, now) = (writing.new_id(), writing.now());
    if new.is_default {
        take_default_from_others(&mut writing, id).await?;
    }
    let inserted = sqlx::query!(
        "INSERT INTO payment_methods
                (id, user_id, provider, provider_token, brand, last4, exp_month, exp_year, is_default, created_at, updated_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $10)
         ON CONFLICT (provider, provider_token) DO NOTHING",
        id,
        user,
        new.provider.as_str(),
        new.provider_token.as_str(),
        new.brand.as_str(),
        new.last4.as_str(),
        new.exp_month,
        new.exp_year,
        new.is_default,
        now,
    )
    .execute(writing.connection())
    .await?;
    if inserted.rows_affected() == 0 {
        return Err(Refusal::TokenKept);
    }
    let method = PaymentMethod::own(&mut writing, id).await?;
    let made = Made {
        location: format!("/v1/me/payment-methods/{id}"),
        etag: method.tag().to_string(),
        body: serde_json::to_string(&method)?,
    };
    writing.keep(attempt, &made).await?;
    writing.commit().await?;
    Ok(made)
}

pub async fn change(
    store: &Store,
    caller: Caller,
    id: Uuid,
    seen: &IfMatch,
    edit: PaymentMethodEdit,
) -> Result<PaymentMethod, Refusal> {
    let mut connection = store.pool.acquire().await?;
    let mut writing = store.begin(&mut connection, caller).await?;
    let before = PaymentMethod::own(&mut writing, id).await?;
    if !seen.holds_for(before.tag()) {
        return Err(Refusal::Outdated);
    }
    let mut method = before.clone();
    method.exp_month = edit.exp_month.unwrap_or(before.exp_month);
    method.exp_year = edit.exp_year.unwrap_or(before.exp_year);
    method.is_default = edit.is_default.unwrap_or(before.is_default);
    if method == before {
        return Ok(method);
    }
    let expires_otherwise = (method.exp_year, method.exp_month) != (before.exp_year, before.exp_month);
    if expires_otherwise && has_expired(method.exp_year, method.exp_month, writing.now()) {
        return Err(Refusal::Expired);
    }
    method.version += 1;
    method.updated_at = writing.now();
    if method.is_default {
        take_default_from_others(&mut writing, id).await?;
    }
    sqlx::query!(
        "UPDATE payment_methods
            SET exp_month = $2, exp_year = $3, is_default = $4, updated_at = $5, version = $6
          WHERE id = $1",
        id,
        method.exp_month,
        method.exp_year,
        method.is_default,
        method.updated_at,
        method.version,
    )
    .execute(writing.connection())
    .await?;
    writing.commit().await?;
    Ok(method)
}

/// Where the default goes, no other becomes it.
pub async fn remove(store: &Store, caller: Caller, id: Uuid, seen: &IfMatch) -> Result<(), Refusal> {
    let mut connection = store.pool.acquire().await?;
    let mut writing = store.begin(&mut connection, caller).await?;
    let method = PaymentMethod::own(&mut writing, id).await?;
    if !seen.holds_for(method.tag()) {
        return Err(Refusal::Outdated);
    }
    sqlx::query!("DELETE FROM payment_methods WHERE id = $1", id).execute(writing.connection()).await?;
    writing.commit().await
}

/// Before this one is the default: there are never two.
async fn take_default_from_others(writing: &mut Writing<'_>, id: Uuid) -> Result<(), Refusal> {
    let (user, now) = (writing.user(), writing.now());
    sqlx::query!(
        "UPDATE payment_methods SET is_default = false, version = version + 1, updated_at = $3
          WHERE user_id = $1 AND is_default AND id <> $2",
        user,
        id,
        now
    )
    .execute(writing.connection())
    .await?;
    Ok(())
}
