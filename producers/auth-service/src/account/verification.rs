//! Showing that an address is somebody's, and changing to another one.
//!
//! An address is changed only once its new owner has shown that it is theirs: until then the account has the old one, and
//! whoever mistyped it has lost nothing. So both ways end in the same place: a token from a mail, for one address.

use schemas::{AccountStatus, ServiceName, UserEmailChangedV1, UserEmailVerifiedV1};
use secrecy::SecretString;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{Account, registration::tell_of_repeated_registration};
use crate::{
    EmailAddress, Failure, MailerKey, Origin, Pseudonyms,
    account_requests::{AccountRequests, Asked, withdraw_older_address_changes},
    audit::{Action, Entry},
    change::{Change, Store},
    lockout::{self, Letter, may_write},
    mail_requests::{end_password_resets, request_verification},
    secret_token::{EmailVerification, SecretToken},
};

/// Whether an address has to be verified before its account can be signed into.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum VerificationRule {
    #[default]
    Required,
    /// Whoever registers somebody else's address can use the account until its owner hears of it.
    Optional,
}

/// Verifies addresses.
#[derive(Clone)]
pub struct Verification {
    store: Store,
    pseudonyms: Pseudonyms,
    mailer: MailerKey,
    requests: AccountRequests,
}

impl Verification {
    pub(crate) fn new(store: Store, pseudonyms: Pseudonyms, mailer: MailerKey, requests: AccountRequests) -> Self {
        Self { store, pseudonyms, mailer, requests }
    }

    /// Takes down that somebody wants the mail again. Whoever asks is told nothing, and nothing is looked up meanwhile.
    pub async fn resend(&self, email: &EmailAddress, origin: &Origin) -> Result<(), Failure> {
        self.requests.write_down(Asked::EmailVerification, email, origin).await
    }

    /// Takes down that the account is to have another address, likewise.
    pub async fn request_change(&self, account: Uuid, email: EmailAddress, origin: &Origin) -> Result<(), Failure> {
        self.requests.write_down(Asked::EmailChange(account), &email, origin).await
    }

    /// Has the mail sent again, where there is an account whose address is not verified. At most once in a minute.
    pub(crate) async fn send_mail(&self, change: &mut Change<'_>, email: &EmailAddress) -> Result<(), Failure> {
        let (now, pseudonym) = (change.now(), self.pseudonyms.of(email));
        let account = Account::lock_by_address(change.connection(), email).await?;
        if !may_write(change.connection(), Letter::EmailVerification, pseudonym, now).await? {
            return Ok(());
        }
        if let Some(mut account) = account
            && account.status == AccountStatus::Active
            && !account.email_verified
        {
            request_verification(change, &mut account, email.clone(), None, &self.mailer).await?;
            change.audit(Entry::success(Action::RequestEmailVerification, account.id)).await?;
        }
        Ok(())
    }

    /// Has a mail sent to the address that the account is to have. Where it is somebody else's already, its owner is told
    /// instead.
    pub(crate) async fn begin_change(
        &self,
        change: &mut Change<'_>,
        account: Uuid,
        email: EmailAddress,
        requested_at: OffsetDateTime,
    ) -> Result<(), Failure> {
        let (now, pseudonym) = (change.now(), self.pseudonyms.of(&email));
        let owner = Account::find(change.connection(), &email).await?;
        // In the order of their ids: two people who want each other's address must not wait for each other.
        if let Some(owner) = owner.filter(|owner| *owner < account) {
            change.lock(owner).await?;
        }
        let Some(mut account) = change.lock(account).await? else { return Ok(()) };
        if account.status != AccountStatus::Active {
            return Ok(());
        }
        withdraw_older_address_changes(change.connection(), account.id, requested_at).await?;
        change.audit(Entry::success(Action::RequestEmailChange, account.id)).await?;
        match owner {
            Some(owner) if owner == account.id => {}
            Some(owner) => {
                if let Some(owner) = change.lock(owner).await?.filter(|owner| owner.email == email) {
                    tell_of_repeated_registration(change, owner, &email, pseudonym, now).await?;
                }
            }
            None => {
                if may_write(change.connection(), Letter::EmailVerification, pseudonym, now).await? {
                    request_verification(change, &mut account, email, None, &self.mailer).await?;
                }
            }
        }
        Ok(())
    }

    /// Takes the token of a mail; answers whether it was good. It is used up, also where the address has become another's.
    pub async fn verify(&self, token: &SecretString, origin: &Origin) -> Result<bool, Failure> {
        let Some(token) = SecretToken::<EmailVerification>::parse(token) else { return Ok(false) };
        let mut connection = self.store.pool.acquire().await?;
        let mut change = self.store.begin(&mut connection, origin).await?;
        let (now, hash) = (change.now(), token.hash());
        let owner =
            sqlx::query_scalar!("SELECT user_id FROM email_verification_tokens WHERE token_hash = $1", hash.as_slice())
                .fetch_optional(change.connection())
                .await?;
        let Some(owner) = owner else { return Ok(false) };
        let Some(mut account) = change.lock(owner).await? else { return Ok(false) };
        let verified = sqlx::query_scalar!(
            "UPDATE email_verification_tokens SET ended_at = $2
              WHERE token_hash = $1 AND ended_at IS NULL AND expires_at > $2 RETURNING email",
            hash.as_slice(),
            now
        )
        .fetch_optional(change.connection())
        .await?;
        let email = match verified {
            Some(email) => EmailAddress::parse(&email).map_err(|_| Failure::StoredAccount("email to verify"))?,
            None => return Ok(false),
        };
        let done = if email == account.email {
            mark_verified(&mut change, &mut account).await?;
            true
        } else {
            self.change_address(&mut change, &mut account, email).await?
        };
        change.commit().await?;
        Ok(done)
    }

    /// Answers whether it was changed: somebody else may have the address by now.
    async fn change_address(
        &self,
        change: &mut Change<'_>,
        account: &mut Account,
        email: EmailAddress,
    ) -> Result<bool, Failure> {
        let now = change.now();
        // Inside a savepoint: the refusal of the unique index ends what it happens in.
        let mut inside = sqlx::Connection::begin(change.connection()).await?;
        let changed = sqlx::query!(
            "UPDATE users SET email = $2, email_verified_at = $3 WHERE id = $1",
            account.id,
            email.as_str(),
            now
        )
        .execute(&mut *inside)
        .await;
        match changed {
            Ok(_) => inside.commit().await?,
            Err(sqlx::Error::Database(error)) if error.is_unique_violation() => {
                inside.rollback().await?;
                change.audit(Entry::failure(Action::ChangeEmail, "known-address").about_account(account.id)).await?;
                return Ok(false);
            }
            Err(error) => return Err(error.into()),
        }
        let previous = std::mem::replace(&mut account.email, email);
        account.email_verified = true;
        let event = UserEmailChangedV1 {
            user_id: account.id,
            email: account.email.clone().into_email(),
            timestamp: now,
            source: ServiceName::AUTH_SERVICE,
            email_verified: true,
            previous_email: previous.clone().into_email(),
        };
        change.emit(account, &event).await?;
        change.outdates_address(&previous, account.sequence);
        // A link in the old mailbox must not set the password any more.
        end_password_resets(change, account).await?;
        lockout::forget(change.connection(), self.pseudonyms.of(&previous)).await?;
        change.audit(Entry::success(Action::ChangeEmail, account.id)).await?;
        Ok(true)
    }
}

/// Notes that somebody has shown that the account's address is theirs. Does nothing where that was known.
pub(crate) async fn mark_verified(change: &mut Change<'_>, account: &mut Account) -> Result<(), Failure> {
    let now = change.now();
    let marked = sqlx::query!(
        "UPDATE users SET email_verified_at = $2 WHERE id = $1 AND email_verified_at IS NULL",
        account.id,
        now
    )
    .execute(change.connection())
    .await?;
    if marked.rows_affected() == 0 {
        return Ok(());
    }
    let event = UserEmailVerifiedV1 {
        user_id: account.id,
        email: account.email.clone().into_email(),
        timestamp: now,
        source: ServiceName::AUTH_SERVICE,
        email_verified: true,
    };
    change.emit(account, &event).await?;
    change.audit(Entry::success(Action::VerifyEmail, account.id)).await
}
