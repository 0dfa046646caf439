//! Asking the mailer for mails that hold a token.
//!
//! The token is made here, in the transaction of what it is for: its hash goes into a table, and it itself into the
//! event, sealed for the mailer. So neither the database nor a queue can give it away, and no mail goes for what was
//! rolled back.

mod mailer_key;

use schemas::{Envelope, Locale, ServiceName, UserEmailVerificationRequestedV1, UserPasswordResetRequestedV1};
use sealing::{Context, purpose};
use time::Duration;
use uuid::Uuid;

pub use mailer_key::{EXTENSION as PUBLIC_KEY_EXTENSION, MailerKey, MailerKeyError, MailerKeySource};

use crate::{
    EmailAddress, Failure,
    account::Account,
    account_requests::withdraw_address_changes,
    change::Change,
    secret_token::{EmailVerification, PasswordReset, SecretToken},
};

pub(crate) const VERIFICATION_LIFE: Duration = Duration::hours(24);
pub(crate) const RESET_LIFE: Duration = Duration::minutes(30);

/// Has a mail sent to `email` by which its reader verifies it for the account. Earlier ones are worth nothing any more.
pub(crate) async fn request_verification(
    change: &mut Change<'_>,
    account: &mut Account,
    email: EmailAddress,
    locale: Option<Locale>,
    mailer: &MailerKey,
) -> Result<(), Failure> {
    end_verifications(change, account).await?;
    let (event_id, event) = verification(change, account, email, locale, mailer).await?;
    change.emit_as(event_id, account, &event).await
}

/// As [`request_verification`], of an account that is made in this change: there are no earlier ones, and its row says the
/// event's version already. The event is to be written by the caller.
pub(crate) async fn first_verification(
    change: &mut Change<'_>,
    account: &Account,
    email: EmailAddress,
    mailer: &MailerKey,
) -> Result<Envelope, Failure> {
    let (event_id, event) = verification(change, account, email, None, mailer).await?;
    change.envelope(event_id, account.sequence, &event)
}

/// Writes the token's hash down; answers the event that brings the token to the mailer, with its id.
async fn verification(
    change: &mut Change<'_>,
    account: &Account,
    email: EmailAddress,
    locale: Option<Locale>,
    mailer: &MailerKey,
) -> Result<(Uuid, UserEmailVerificationRequestedV1), Failure> {
    let token = SecretToken::<EmailVerification>::generate()?;
    let (now, event_id) = (change.now(), change.new_event_id());
    let (request_id, expires_at) = (change.new_event_id(), now + VERIFICATION_LIFE);
    sqlx::query!(
        "INSERT INTO email_verification_tokens (token_hash, request_id, user_id, email, created_at, expires_at)
         VALUES ($1, $2, $3, $4, $5, $6)",
        token.hash().as_slice(),
        request_id,
        account.id,
        email.as_str(),
        now,
        expires_at,
    )
    .execute(change.connection())
    .await?;
    let context = Context { event_id, user_id: account.id, purpose: purpose::EMAIL_VERIFICATION };
    let event = UserEmailVerificationRequestedV1 {
        user_id: account.id,
        email: email.into_email(),
        timestamp: now,
        source: ServiceName::AUTH_SERVICE,
        request_id,
        token_sealed: mailer.current().seal(&token.text(), &context)?,
        expires_at,
        locale: locale.or_else(|| account.locale.clone()),
    };
    Ok((event_id, event))
}

/// Has a mail sent by which its reader sets a new password.
pub(crate) async fn request_password_reset(
    change: &mut Change<'_>,
    account: &mut Account,
    locale: Option<Locale>,
    mailer: &MailerKey,
) -> Result<(), Failure> {
    end_password_resets(change, account).await?;
    let token = SecretToken::<PasswordReset>::generate()?;
    let (now, event_id) = (change.now(), change.new_event_id());
    let (request_id, expires_at) = (change.new_event_id(), now + RESET_LIFE);
    sqlx::query!(
        "INSERT INTO password_reset_tokens (token_hash, request_id, user_id, created_at, expires_at)
         VALUES ($1, $2, $3, $4, $5)",
        token.hash().as_slice(),
        request_id,
        account.id,
        now,
        expires_at,
    )
    .execute(change.connection())
    .await?;
    let context = Context { event_id, user_id: account.id, purpose: purpose::PASSWORD_RESET };
    let event = UserPasswordResetRequestedV1 {
        user_id: account.id,
        email: account.email.clone().into_email(),
        timestamp: now,
        source: ServiceName::AUTH_SERVICE,
        request_id,
        token_sealed: mailer.current().seal(&token.text(), &context)?,
        expires_at,
        locale: locale.or_else(|| account.locale.clone()),
    };
    change.emit_as(event_id, account, &event).await
}

/// Links that were mailed before lead nowhere any more.
pub(crate) async fn end_verifications(change: &mut Change<'_>, account: &Account) -> Result<(), Failure> {
    let now = change.now();
    sqlx::query!(
        "UPDATE email_verification_tokens SET ended_at = $2 WHERE user_id = $1 AND ended_at IS NULL",
        account.id,
        now
    )
    .execute(change.connection())
    .await?;
    Ok(())
}

/// Links that would change the account's address lead nowhere any more, and those that were asked for are not mailed; a link
/// that verifies the address it has is still good.
/// Whoever is shut out, by another password or by the end of all sessions, may have asked for such a link to their own mailbox.
pub(crate) async fn end_address_changes(change: &mut Change<'_>, account: &Account) -> Result<(), Failure> {
    withdraw_address_changes(change.connection(), account.id).await?;
    let now = change.now();
    sqlx::query!(
        "UPDATE email_verification_tokens SET ended_at = $3 WHERE user_id = $1 AND email <> $2 AND ended_at IS NULL",
        account.id,
        account.email.as_str(),
        now
    )
    .execute(change.connection())
    .await?;
    Ok(())
}

/// As [`end_verifications`], of password resets.
pub(crate) async fn end_password_resets(change: &mut Change<'_>, account: &Account) -> Result<(), Failure> {
    let now = change.now();
    sqlx::query!(
        "UPDATE password_reset_tokens SET ended_at = $2 WHERE user_id = $1 AND ended_at IS NULL",
        account.id,
        now
    )
    .execute(change.connection())
    .await?;
    Ok(())
}
