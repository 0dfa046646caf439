//! Accounts and sessions that a run needs, put into `auth_db` directly: to register them would take a hash for each.

use anyhow::Context;
use argon2::{Algorithm, Argon2, Params, PasswordHasher, Version};
use schemas::{Clock, Sequence, event_id};
use sqlx::PgPool;
use time::Duration;
use uuid::Uuid;

use super::tokens::Token;

#[derive(Debug, Clone)]
pub struct Account {
    pub id: Uuid,
    pub email: String,
}

/// A session with a refresh token that was not used yet.
#[derive(Debug, Clone)]
pub struct Session {
    pub id: Uuid,
    pub account: Uuid,
    pub token: Token,
}

/// Of every account here.
pub const PASSWORD: &str = "correct horse battery staple";

/// As auth-service hashes, with its parameters.
pub fn argon2() -> anyhow::Result<Argon2<'static>> {
    let params = Params::new(19_456, 2, 1, None).ok().context("the parameters of Argon2id")?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

/// So many, all different. `name` is in their addresses.
pub async fn make(pool: &PgPool, name: &str, count: usize, verified: bool) -> anyhow::Result<Vec<Account>> {
    let hash = argon2()?.hash_password(PASSWORD.as_bytes()).ok().context("could not hash a password")?.to_string();
    let now = Clock::system().now();
    let accounts: Vec<_> =
        (0..count).map(|number| Account { id: event_id(now), email: format!("{name}-{number}@example.org") }).collect();
    let ids: Vec<_> = accounts.iter().map(|account| account.id).collect();
    let emails: Vec<_> = accounts.iter().map(|account| account.email.clone()).collect();
    let mut tx = pool.begin().await?;
    sqlx::query(
        "INSERT INTO users (id, email, password_hash, sequence, created_at, updated_at, email_verified_at)
         SELECT id, email, $3, $4, $5, $5, $6 FROM unnest($1::uuid[], $2::text[]) AS a (id, email)",
    )
    .bind(&ids)
    .bind(&emails)
    .bind(&hash)
    .bind(Sequence::after(None, now).get())
    .bind(now)
    .bind(verified.then_some(now))
    .execute(&mut *tx)
    .await?;
    grant(&mut tx, &ids, "user").await?;
    tx.commit().await?;
    Ok(accounts)
}

/// What [`make`] stored for it.
pub async fn stored_hash(pool: &PgPool, account: &Account) -> Result<String, sqlx::Error> {
    sqlx::query_scalar("SELECT password_hash FROM users WHERE id = $1").bind(account.id).fetch_one(pool).await
}

async fn grant(tx: &mut sqlx::PgTransaction<'_>, accounts: &[Uuid], role: &str) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO user_roles (user_id, role, granted_at) SELECT id, $2, now() FROM unnest($1::uuid[]) AS a (id)",
    )
    .bind(accounts)
    .bind(role)
    .execute(&mut **tx)
    .await
    .map(drop)
}

pub async fn make_administrator(pool: &PgPool, account: &Account) -> anyhow::Result<()> {
    let mut tx = pool.begin().await?;
    grant(&mut tx, &[account.id], "admin").await?;
    Ok(tx.commit().await?)
}

/// One for each of these.
pub async fn open_sessions(pool: &PgPool, accounts: &[Account], prefix: &str) -> anyhow::Result<Vec<Session>> {
    let now = Clock::system().now();
    let session = |account: &Account| Session { id: event_id(now), account: account.id, token: Token::new(prefix) };
    let sessions: Vec<_> = accounts.iter().map(session).collect();
    let ids: Vec<_> = sessions.iter().map(|session| session.id).collect();
    let owners: Vec<_> = sessions.iter().map(|session| session.account).collect();
    let hashes: Vec<_> = sessions.iter().map(|session| session.token.hash.clone()).collect();
    let mut tx = pool.begin().await?;
    sqlx::query(
        "INSERT INTO sessions (id, user_id, authenticated_at, last_used_at, expires_at, ip, user_agent)
         SELECT id, user_id, $3, $3, $4, '198.18.0.1', 'bench' FROM unnest($1::uuid[], $2::uuid[]) AS s (id, user_id)",
    )
    .bind(&ids)
    .bind(&owners)
    .bind(now)
    .bind(now + Duration::days(30))
    .execute(&mut *tx)
    .await?;
    sqlx::query(
        "INSERT INTO refresh_tokens (token_hash, family_id, generation, created_at, expires_at)
         SELECT hash, id, 0, $3, $4 FROM unnest($1::bytea[], $2::uuid[]) AS t (hash, id)",
    )
    .bind(&hashes)
    .bind(&ids)
    .bind(now)
    .bind(now + Duration::days(14))
    .execute(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(sessions)
}

/// The token of a mail for each of these, as if the mail had been sent.
pub async fn ask_for_verification(pool: &PgPool, accounts: &[Account], prefix: &str) -> anyhow::Result<Vec<Token>> {
    let now = Clock::system().now();
    let tokens: Vec<_> = accounts.iter().map(|_| Token::new(prefix)).collect();
    let requests: Vec<_> = accounts.iter().map(|_| event_id(now)).collect();
    let hashes: Vec<_> = tokens.iter().map(|token| token.hash.clone()).collect();
    let owners: Vec<_> = accounts.iter().map(|account| account.id).collect();
    let emails: Vec<_> = accounts.iter().map(|account| account.email.clone()).collect();
    sqlx::query(
        "INSERT INTO email_verification_tokens (token_hash, request_id, user_id, email, created_at, expires_at)
         SELECT hash, request, owner, email, $5, $6
           FROM unnest($1::bytea[], $2::uuid[], $3::uuid[], $4::text[]) AS t (hash, request, owner, email)",
    )
    .bind(&hashes)
    .bind(&requests)
    .bind(&owners)
    .bind(&emails)
    .bind(now)
    .bind(now + Duration::days(1))
    .execute(pool)
    .await?;
    Ok(tokens)
}
