//! Going on with a session: a refresh token is used once, and makes the next one (RFC 9700, 4.14.2).
//!
//! Two that come with the same token are either one client whose answer was lost or who asked twice, or a client and a
//! thief. For ten seconds, as long as the successor was not used, it is taken for the first: the answer is given again,
//! with the same successor, by whichever instance is asked. After that, or once the successor was used, it is taken for the
//! second, and the whole session ends, for both.
//!
//! The successor is not stored anywhere. It follows from the used token, which only a client has, and a salt in its row,
//! which only the database has ([`SecretToken::successor`]); so there is nothing to seal, to share between instances or to
//! lose. Rotations of one session are serialised on its account's row and its own. Invariant: that a session was ended is
//! committed, though the answer is a refusal.

use metrics::counter;
use schemas::AccountStatus;
use secrecy::SecretString;
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use super::{Bearer, IDLE_LIFE, TokenIssuer, Tokens, revoke};
use crate::{
    Failure, Origin,
    account::{Account, roles_of},
    audit::{Action, Entry},
    change::{Change, Store},
    secret_token::{Refresh, SecretToken, random_bytes},
    signing::ACCESS_TOKEN_LIFE,
};

/// How long a used token may be shown again.
pub(crate) const GRACE: Duration = Duration::seconds(10);

/// Goes on with sessions.
#[derive(Clone)]
pub struct Refreshing {
    store: Store,
    issuer: TokenIssuer,
}

/// A token that is known, and whose it is.
#[derive(Debug, Clone, Copy)]
pub struct Known {
    pub session_id: Uuid,
    owner: Uuid,
}

/// The token that was shown, and the session that it belongs to.
struct Shown {
    session_id: Uuid,
    generation: i32,
    expires_at: OffsetDateTime,
    used_at: Option<OffsetDateTime>,
    successor_salt: Option<[u8; 32]>,
    successor_used: bool,
    successor_expires_at: Option<OffsetDateTime>,
    authenticated_at: OffsetDateTime,
    session_expires_at: OffsetDateTime,
    session_revoked: bool,
}

impl Refreshing {
    pub fn new(store: Store, issuer: TokenIssuer) -> Self {
        Self { store, issuer }
    }

    /// Whose token it is, before anything is decided about it.
    pub async fn find(&self, token: &SecretString) -> Result<Option<Known>, Failure> {
        let Some(token) = SecretToken::<Refresh>::parse(token) else {
            counter!("refreshes_total", "outcome" => "malformed").increment(1);
            return Ok(None);
        };
        let known = sqlx::query_as!(
            Known,
            "SELECT s.id AS session_id, s.user_id AS owner
               FROM refresh_tokens t JOIN sessions s ON s.id = t.family_id WHERE t.token_hash = $1",
            token.hash().as_slice()
        )
        .fetch_optional(&self.store.pool)
        .await?;
        if known.is_none() {
            counter!("refreshes_total", "outcome" => "unknown").increment(1);
        }
        Ok(known)
    }

    /// `None`: the token is no good, and why is in the audit trail only.
    pub async fn refresh(
        &self,
        known: Known,
        token: &SecretString,
        origin: &Origin,
    ) -> Result<Option<Tokens>, Failure> {
        let Some(token) = SecretToken::<Refresh>::parse(token) else { return Ok(None) };
        let owner = known.owner;
        let mut connection = self.store.pool.acquire().await?;
        let mut change = self.store.begin(&mut connection, origin).await?;
        let Some(mut account) = change.lock(owner).await? else { return Ok(None) };
        let Some(shown) = lock_shown(&mut change, &token).await? else { return Ok(None) };

        let now = change.now();
        let refused = if shown.session_revoked {
            Some("session-revoked")
        } else if shown.session_expires_at <= now {
            Some("session-expired")
        } else if account.status != AccountStatus::Active {
            Some("deactivated")
        } else {
            None
        };
        if let Some(reason) = refused {
            return self.refuse(change, owner, reason).await;
        }
        let (successor, expires_at) = match (shown.used_at, shown.successor_salt) {
            (None, _) if shown.expires_at <= now => return self.refuse(change, owner, "idle-too-long").await,
            (None, _) => {
                counter!("refreshes_total", "outcome" => "rotated").increment(1);
                rotate(&mut change, &token, &shown).await?
            }
            (Some(used_at), Some(salt)) if now - used_at <= GRACE && !shown.successor_used => {
                counter!("refreshes_total", "outcome" => "replayed").increment(1);
                (token.successor(&salt), shown.successor_expires_at.unwrap_or(shown.expires_at))
            }
            (Some(_), _) => {
                end_reused(&mut change, &mut account, shown.session_id).await?;
                counter!("refresh_token_reuses_total").increment(1);
                tracing::warn!(user_id = %owner, session_id = %shown.session_id, "a refresh token was used again: its session is ended");
                return self.refuse(change, owner, "token-reused").await;
            }
        };
        let bearer = Bearer {
            user_id: owner,
            session_id: shown.session_id,
            authenticated_at: shown.authenticated_at,
            roles: roles_of(change.connection(), owner).await?,
            version: account.min_token_version,
        };
        let tokens = Tokens {
            access_token: self.issuer.access_token(&bearer, now)?,
            access_token_life: ACCESS_TOKEN_LIFE,
            refresh_token: successor.text(),
            refresh_token_expires_at: expires_at.min(shown.session_expires_at),
            session_id: shown.session_id,
        };
        change.commit().await?;
        Ok(Some(tokens))
    }

    /// What was changed until now is kept.
    async fn refuse(
        &self,
        mut change: Change<'_>,
        owner: Uuid,
        reason: &'static str,
    ) -> Result<Option<Tokens>, Failure> {
        counter!("refreshes_total", "outcome" => reason).increment(1);
        change.audit(Entry::failure(Action::Refresh, reason).about_account(owner)).await?;
        change.commit().await?;
        Ok(None)
    }
}

/// Reads the token under the lock of its session: what another rotation has done is seen.
async fn lock_shown(change: &mut Change<'_>, token: &SecretToken<Refresh>) -> Result<Option<Shown>, Failure> {
    let hash = token.hash();
    // Two statements: the second sees what was committed while the first waited.
    let session = sqlx::query!(
        r#"SELECT s.id, s.authenticated_at, s.expires_at, s.revoked_at IS NOT NULL AS "revoked!"
             FROM sessions s JOIN refresh_tokens t ON t.family_id = s.id
            WHERE t.token_hash = $1 FOR UPDATE OF s"#,
        hash.as_slice()
    )
    .fetch_optional(change.connection())
    .await?;
    let row = sqlx::query!(
        r#"SELECT t.generation, t.expires_at, t.used_at, t.successor_salt,
                  coalesce(n.used_at IS NOT NULL, false) AS "successor_used!", n.expires_at AS "successor_expires_at?"
             FROM refresh_tokens t LEFT JOIN refresh_tokens n ON n.token_hash = t.successor_hash
            WHERE t.token_hash = $1"#,
        hash.as_slice()
    )
    .fetch_optional(change.connection())
    .await?;
    let (Some(session), Some(row)) = (session, row) else { return Ok(None) };
    Ok(Some(Shown {
        session_id: session.id,
        generation: row.generation,
        expires_at: row.expires_at,
        used_at: row.used_at,
        successor_salt: row.successor_salt.and_then(|salt| salt.try_into().ok()),
        successor_used: row.successor_used,
        successor_expires_at: row.successor_expires_at,
        authenticated_at: session.authenticated_at,
        session_expires_at: session.expires_at,
        session_revoked: session.revoked,
    }))
}

/// Makes the successor, and takes away what the token before this one needed to be given this one again.
async fn rotate(
    change: &mut Change<'_>,
    token: &SecretToken<Refresh>,
    shown: &Shown,
) -> Result<(SecretToken<Refresh>, OffsetDateTime), Failure> {
    let (now, salt) = (change.now(), random_bytes::<32>()?);
    let successor = token.successor(&salt);
    let expires_at = now + IDLE_LIFE;
    sqlx::query!(
        "INSERT INTO refresh_tokens (token_hash, family_id, generation, created_at, expires_at)
         VALUES ($1, $2, $3, $4, $5)",
        successor.hash().as_slice(),
        shown.session_id,
        shown.generation + 1,
        now,
        expires_at,
    )
    .execute(change.connection())
    .await?;
    sqlx::query!(
        "UPDATE refresh_tokens
            SET used_at = CASE WHEN token_hash = $1 THEN $3 ELSE used_at END,
                successor_hash = CASE WHEN token_hash = $1 THEN $2 ELSE successor_hash END,
                successor_salt = CASE WHEN token_hash = $1 THEN $4::bytea END
          WHERE token_hash = $1 OR successor_hash = $1",
        token.hash().as_slice(),
        successor.hash().as_slice(),
        now,
        salt.as_slice(),
    )
    .execute(change.connection())
    .await?;
    sqlx::query!("UPDATE sessions SET last_used_at = $2 WHERE id = $1", shown.session_id, now)
        .execute(change.connection())
        .await?;
    Ok((successor, expires_at))
}

/// Ends the session, and refuses the access tokens that a thief may hold. The account's other sessions go on: their
/// refresh tokens get them tokens of the new version.
async fn end_reused(change: &mut Change<'_>, account: &mut Account, session: Uuid) -> Result<(), Failure> {
    revoke::end(change, account, Some(session), "token-reused").await?;
    revoke::refuse_access_tokens(change, account).await
}
