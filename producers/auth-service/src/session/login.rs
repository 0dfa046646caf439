//! Signing in with address and password.
//!
//! Invariant: whoever asks learns whether they got in, and nothing else. An address without an account, one that is locked,
//! not verified or deactivated, and a wrong password take the same way: one attempt counted, one hash computed, one entry
//! in the audit trail, one answer.

use metrics::counter;
use schemas::{AccountStatus, Roles};
use secrecy::{ExposeSecret, SecretString};
use sqlx::PgConnection;

use super::{Bearer, TokenIssuer, Tokens, open};
use crate::{
    EmailAddress, Failure, Origin, Password, PasswordHasher, Pseudonyms, VerificationRule,
    account::roles_from,
    audit::{Action, Entry},
    change::Store,
    lockout::{self, Attempt, Counting, Credentials, login_key},
    password::{self, hashing::Tried},
    pseudonym::Pseudonym,
    secret_token::SecretToken,
    signing::ACCESS_TOKEN_LIFE,
};

/// Signs people in.
#[derive(Clone)]
pub struct Login {
    store: Store,
    hasher: PasswordHasher,
    pseudonyms: Pseudonyms,
    issuer: TokenIssuer,
    verification: VerificationRule,
}

impl Login {
    pub fn new(
        store: Store,
        hasher: PasswordHasher,
        pseudonyms: Pseudonyms,
        issuer: TokenIssuer,
        verification: VerificationRule,
    ) -> Self {
        Self { store, hasher, pseudonyms, issuer, verification }
    }

    /// `None`: not let in, and why is in the audit trail only.
    pub async fn log_in(
        &self,
        email: &EmailAddress,
        password: Password,
        origin: &Origin,
    ) -> Result<Option<Tokens>, Failure> {
        let place = self.hasher.place()?;
        let pseudonym = self.pseudonyms.of(email);
        let mut connection = self.store.pool.acquire().await?;
        let attempt = lockout::count_attempt(&mut connection, email, pseudonym, self.store.now()).await?;
        // Hashing takes long, and others may have it meanwhile.
        connection.release();
        let tried = self.hasher.verify(&place, password.clone(), attempt.stored().cloned()).await?;
        let account = attempt.account.as_ref().map(|account| account.id);
        let reason = match self.judge(attempt, tried) {
            Err(reason) => reason,
            Ok(found) => {
                // Once for each account, after the parameters were changed.
                let rehashed = match tried {
                    Tried::RightToRehash => Some(self.hasher.hash(&place, password).await?),
                    _ => None,
                };
                // What is left to do takes no core, so whoever waits may have the place.
                drop(place);
                if let Some(tokens) = self.let_in(found, email, rehashed, origin).await? {
                    counter!("logins_total", "outcome" => "success").increment(1);
                    return Ok(Some(tokens));
                }
                "changed-meanwhile"
            }
        };
        counter!("logins_total", "outcome" => reason).increment(1);
        let mut connection = self.store.pool.acquire().await?;
        let mut change = self.store.begin(&mut connection, origin).await?;
        change.audit(Entry::failure(Action::LogIn, reason).about(account, pseudonym)).await?;
        change.commit().await?;
        Ok(None)
    }

    /// The account to let in, or why not.
    fn judge(&self, attempt: Attempt, tried: Tried) -> Result<Credentials, &'static str> {
        let is_required = self.verification == VerificationRule::Required;
        match (attempt.account, attempt.outcome, tried) {
            (_, Counting::Locked, _) => Err("locked"),
            (None, ..) => Err("unknown-address"),
            (Some(_), _, Tried::Wrong) => Err("wrong-password"),
            (Some(found), ..) if !found.is_active => Err("deactivated"),
            (Some(found), ..) if is_required && !found.is_verified => Err("not-verified"),
            (Some(found), ..) => Ok(found),
        }
    }

    /// `None` where the account is not any more what the password was compared with.
    async fn let_in(
        &self,
        found: Credentials,
        email: &EmailAddress,
        rehashed: Option<SecretString>,
        origin: &Origin,
    ) -> Result<Option<Tokens>, Failure> {
        let mut connection = self.store.pool.acquire().await?;
        let mut change = self.store.begin(&mut connection, origin).await?;
        let now = change.now();
        // Hashing took its time: a password that was reset meanwhile, because somebody knew it, must not let them in.
        let Some(account) = change.lock(found.id).await? else { return Ok(None) };
        let (is_stored, roles) = prove(change.connection(), &found, self.pseudonyms.of(email)).await?;
        if account.status != AccountStatus::Active || account.email != *email || !is_stored {
            return Ok(None);
        }
        if let Some(hash) = rehashed {
            password::store(change.connection(), found.id, &hash).await?;
        }
        let (session_id, refresh) = (change.new_event_id(), SecretToken::generate()?);
        let expires_at = open(change.connection(), found.id, session_id, &refresh, now, origin).await?;
        change.audit(Entry::success(Action::LogIn, found.id)).await?;
        let version = account.min_token_version;
        let bearer = Bearer { user_id: found.id, session_id, authenticated_at: now, roles, version };
        let tokens = Tokens {
            access_token: self.issuer.access_token(&bearer, now)?,
            access_token_life: ACCESS_TOKEN_LIFE,
            refresh_token: refresh.text(),
            refresh_token_expires_at: expires_at,
            session_id,
        };
        change.commit().await?;
        Ok(Some(tokens))
    }
}

/// Whether the account still has the hash that was compared with, and its roles as they are by now. Its row has to be locked, or
/// both may be old. Nothing is held against the address any more, as [`lockout::forgive`] has it, since that takes a way less here;
/// where the hash is another, the caller has to give the transaction up.
async fn prove(connection: &mut PgConnection, found: &Credentials, email: Pseudonym) -> Result<(bool, Roles), Failure> {
    let row = sqlx::query!(
        r#"WITH forgiven AS (DELETE FROM rate_limits WHERE key = $3)
           SELECT coalesce(password_hash = $2, false) AS "is_stored!",
                  ARRAY(SELECT role FROM user_roles WHERE user_id = $1 ORDER BY role) AS "roles!"
             FROM users WHERE id = $1"#,
        found.id,
        found.password_hash.expose_secret(),
        login_key(email),
    )
    .fetch_one(connection)
    .await?;
    Ok((row.is_stored, roles_from(row.roles)?))
}
