//! The audit trail: who did what to whose account, and how it ended.
//!
//! An entry is written in the transaction of what it tells of, or by its statement. A refusal changes nothing, so its entry is a
//! statement by itself and stays though the answer is an error. No entry holds an address: where no account tells whom it was
//! about, there is the address's pseudonym.

mod list;

use sqlx::{PgConnection, PgExecutor};
use time::OffsetDateTime;
use uuid::Uuid;

pub use list::{AuditEntry, AuditFilter, list};

use crate::{Failure, Origin, pseudonym::Pseudonym};

/// What was done, or tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    Register,
    LogIn,
    Refresh,
    LogOut,
    LogOutEverywhere,
    RevokeSession,
    RequestEmailVerification,
    VerifyEmail,
    RequestEmailChange,
    ChangeEmail,
    RequestPasswordReset,
    ResetPassword,
    ChangePassword,
    Deactivate,
    Reactivate,
    Delete,
    GrantRole,
    RevokeRole,
}

impl Action {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Register => "register",
            Self::LogIn => "log-in",
            Self::Refresh => "refresh",
            Self::LogOut => "log-out",
            Self::LogOutEverywhere => "log-out-everywhere",
            Self::RevokeSession => "revoke-session",
            Self::RequestEmailVerification => "request-email-verification",
            Self::VerifyEmail => "verify-email",
            Self::RequestEmailChange => "request-email-change",
            Self::ChangeEmail => "change-email",
            Self::RequestPasswordReset => "request-password-reset",
            Self::ResetPassword => "reset-password",
            Self::ChangePassword => "change-password",
            Self::Deactivate => "deactivate",
            Self::Reactivate => "reactivate",
            Self::Delete => "delete",
            Self::GrantRole => "grant-role",
            Self::RevokeRole => "revoke-role",
        }
    }
}

/// What an entry says, beside when, by whom and from where.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Entry<'a> {
    action: Action,
    outcome: &'static str,
    /// Lower-case words joined by hyphens.
    reason: Option<&'a str>,
    /// Whose account.
    subject: Option<Uuid>,
    email: Option<Pseudonym>,
}

impl<'a> Entry<'a> {
    pub fn success(action: Action, subject: Uuid) -> Self {
        Self { action, outcome: "success", reason: None, subject: Some(subject), email: None }
    }

    pub fn failure(action: Action, reason: &'a str) -> Self {
        Self { action, outcome: "failure", reason: Some(reason), subject: None, email: None }
    }

    pub fn because(self, reason: &'a str) -> Self {
        Self { reason: Some(reason), ..self }
    }

    /// The account, where there is one; the address's pseudonym where there isn't.
    pub fn about(self, account: Option<Uuid>, email: Pseudonym) -> Self {
        Self { subject: account, email: if account.is_none() { Some(email) } else { None }, ..self }
    }

    pub fn about_account(self, account: Uuid) -> Self {
        Self { subject: Some(account), ..self }
    }
}

/// Who did it is the origin's actor; where nobody is signed in, and it succeeded, it was the account itself.
pub(crate) async fn record(
    executor: impl PgExecutor<'_>,
    now: OffsetDateTime,
    origin: &Origin,
    entry: Entry<'_>,
) -> Result<(), Failure> {
    let Entry { action, outcome, reason, subject, email } = entry;
    sqlx::query!(
        "INSERT INTO security_audit_logs
             (id, at, action, outcome, reason, actor_id, subject_id, email_hmac, ip, user_agent, request_id)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9::text::inet, $10, $11)",
        schemas::event_id(now),
        now,
        action.as_str(),
        outcome,
        reason,
        origin.actor,
        subject,
        email.as_ref().map(Pseudonym::as_bytes),
        origin.ip_text(),
        origin.user_agent(),
        origin.request_id,
    )
    .execute(executor)
    .await?;
    Ok(())
}

/// Takes away what tells of a person: where they were when something was done to or by their account, and the pseudonym of
/// their address.
pub(crate) async fn forget(connection: &mut PgConnection, account: Uuid, email: Pseudonym) -> Result<u64, Failure> {
    let forgotten = sqlx::query!(
        "UPDATE security_audit_logs SET ip = NULL, user_agent = NULL, email_hmac = NULL
          WHERE (subject_id = $1 OR actor_id = $1 OR email_hmac = $2)
            AND num_nonnulls(ip, user_agent, email_hmac) > 0",
        account,
        email.as_bytes(),
    )
    .execute(connection)
    .await?;
    Ok(forgotten.rows_affected())
}
