//! Signing in with address and password.
//!
//! Invariant: whoever asks learns whether they got in, and nothing else. An address without an account, one that is locked,
//! not verified or deactivated, and a wrong password take the same way: one attempt counted, one hash computed, one entry
//! in the audit trail, one answer.

use metrics::counter;
use schemas::{Roles, TokenVersion, event_id};
use secrecy::{ExposeSecret, SecretString};
use service::postgres::Pool;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{Bearer, IDLE_LIFE, SESSION_LIFE, TokenIssuer, Tokens};
use crate::{
    EmailAddress, Failure, Origin, Password, PasswordHasher, Pseudonyms, VerificationRule,
    account::{roles_from, token_version},
    audit::{Action, Entry},
    change::Store,
    lockout::{self, Attempt, Counting, Credentials, login_key},
    password::{self, hashing::Tried},
    pseudonym::Pseudonym,
    secret_token::{Refresh, SecretToken},
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
        let attempt = lockout::count_attempt(&self.store.pool, email, pseudonym, self.store.now()).await?;
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
        self.store.audit(Entry::failure(Action::LogIn, reason).about(account, pseudonym), origin).await?;
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
        let (now, token) = (self.store.now(), SecretToken::generate()?);
        let session = NewSession { id: event_id(now), now, token: &token };
        let opened = loop {
            match session.open(&self.store.pool, &found, email, self.pseudonyms.of(email), origin).await? {
                Opening::Opened(opened) => break opened,
                Opening::Waited => {}
                Opening::OtherAccount => return Ok(None),
            }
        };
        if let Some(hash) = rehashed {
            password::rehash(&self.store.pool, &found, &hash).await?;
        }
        let Opened { roles, version } = opened;
        let bearer = Bearer { user_id: found.id, session_id: session.id, authenticated_at: now, roles, version };
        Ok(Some(Tokens {
            access_token: self.issuer.access_token(&bearer, now)?,
            access_token_life: ACCESS_TOKEN_LIFE,
            refresh_token: token.text(),
            refresh_token_expires_at: session.idle_until(),
            session_id: session.id,
        }))
    }
}

/// A session that is to be, and its first refresh token.
struct NewSession<'a> {
    id: Uuid,
    now: OffsetDateTime,
    token: &'a SecretToken<Refresh>,
}

/// What an access token says of the account, as it is when the session is opened.
struct Opened {
    roles: Roles,
    version: TokenVersion,
}

/// What became of opening a session.
enum Opening {
    Opened(Opened),
    /// Somebody changed the account while its row was waited for: the roles that were read may be those from before. Nothing was
    /// done, and it is to be tried again.
    Waited,
    /// The account is not what the password was compared with. Nothing was done.
    OtherAccount,
}

impl NewSession<'_> {
    fn idle_until(&self) -> OffsetDateTime {
        self.now + IDLE_LIFE
    }

    /// Opens it, unless the account was changed since it was found: hashing took its time, and a password that was reset meanwhile,
    /// because somebody knew it, must not let them in. What was held against the address is forgiven, as [`lockout::forgive`] has it,
    /// and the entry of the audit trail is written. Commits.
    ///
    /// It is one statement, because each further one would cost more than what it does. A row is read as it is when its lock was
    /// got, but roles as they were when the statement began. Whoever changes roles raises the token version as well; so the
    /// roles are those of the row if both have the same.
    async fn open(
        &self,
        pool: &Pool,
        found: &Credentials,
        email: &EmailAddress,
        pseudonym: Pseudonym,
        origin: &Origin,
    ) -> Result<Opening, Failure> {
        let row = sqlx::query!(
            r#"WITH locked AS (
                   SELECT id, min_token_version FROM users
                    WHERE id = $1 AND email = $2 AND password_hash = $3 AND status = 'active' FOR NO KEY UPDATE),
               account AS (
                   SELECT id, ARRAY(SELECT role FROM user_roles WHERE user_id = users.id ORDER BY role) AS roles
                     FROM locked JOIN users USING (id, min_token_version)),
               forgiven AS (
                   DELETE FROM rate_limits WHERE key = $4 AND EXISTS (SELECT FROM account)),
               session AS (
                   INSERT INTO sessions (id, user_id, authenticated_at, last_used_at, expires_at, ip, user_agent)
                   SELECT $5, id, $6, $6, $7, $8::text::inet, $9 FROM account
                   RETURNING id, user_id, ip, user_agent),
               refresh_token AS (
                   INSERT INTO refresh_tokens (token_hash, family_id, generation, created_at, expires_at)
                   SELECT $10, id, 0, $6, $11 FROM session),
               entry AS (
                   INSERT INTO security_audit_logs (id, at, action, outcome, subject_id, ip, user_agent, request_id)
                   SELECT $12, $6, $13, 'success', user_id, ip, user_agent, $14 FROM session)
               SELECT min_token_version, roles AS "roles?" FROM locked LEFT JOIN account USING (id)"#,
            found.id,
            email.as_str(),
            found.password_hash.expose_secret(),
            login_key(pseudonym),
            self.id,
            self.now,
            self.now + SESSION_LIFE,
            origin.ip_text(),
            origin.user_agent(),
            self.token.hash().as_slice(),
            self.idle_until(),
            event_id(self.now),
            Action::LogIn.as_str(),
            origin.request_id,
        )
        .fetch_optional(pool)
        .await?;
        let Some(row) = row else { return Ok(Opening::OtherAccount) };
        let Some(roles) = row.roles else { return Ok(Opening::Waited) };
        Ok(Opening::Opened(Opened { roles: roles_from(roles)?, version: token_version(row.min_token_version)? }))
    }
}
