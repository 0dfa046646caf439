//! A forgotten password: a mail with a token, and a new password for it.
//!
//! Nobody is signed in by it, since whoever has the mailbox for a moment would be. Everybody is signed out.

use schemas::AccountStatus;
use secrecy::SecretString;
use uuid::Uuid;

use super::{PasswordHasher, PasswordPolicy, UnfitPassword, replace};
use crate::{
    EmailAddress, Failure, MailerKey, Origin, Pseudonyms,
    account::{Account, verification::mark_verified},
    account_requests::{AccountRequests, Asked},
    audit::{Action, Entry},
    change::{Change, Store},
    lockout::{Letter, may_write},
    mail_requests::request_password_reset,
    secret_token::{self, SecretToken},
    session::revoke,
};

/// Resets passwords.
#[derive(Clone)]
pub struct PasswordReset {
    store: Store,
    hasher: PasswordHasher,
    policy: PasswordPolicy,
    pseudonyms: Pseudonyms,
    mailer: MailerKey,
    requests: AccountRequests,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reset {
    Done,
    /// The token is unknown, used, too old, or was replaced by a newer one.
    BadToken,
    /// The token is good, and still is.
    Unfit(UnfitPassword),
}

impl PasswordReset {
    pub(crate) fn new(
        store: Store,
        hasher: PasswordHasher,
        policy: PasswordPolicy,
        pseudonyms: Pseudonyms,
        mailer: MailerKey,
        requests: AccountRequests,
    ) -> Self {
        Self { store, hasher, policy, pseudonyms, mailer, requests }
    }

    /// Takes down that somebody wants the mail. Whoever asks is told nothing, and nothing is looked up meanwhile.
    pub async fn request(&self, email: &EmailAddress, origin: &Origin) -> Result<(), Failure> {
        self.requests.write_down(Asked::PasswordReset, email, origin).await
    }

    /// Has the mail sent, where the address has an account that is not deactivated. At most once in a minute.
    pub(crate) async fn send_mail(&self, change: &mut Change<'_>, email: &EmailAddress) -> Result<(), Failure> {
        let (now, pseudonym) = (change.now(), self.pseudonyms.of(email));
        let account = Account::lock_by_address(change.connection(), email).await?;
        let found = account.as_ref().map(|account| account.id);
        if !may_write(change.connection(), Letter::PasswordReset, pseudonym, now).await? {
            return Ok(());
        }
        if let Some(mut account) = account
            && account.status == AccountStatus::Active
        {
            request_password_reset(change, &mut account, None, &self.mailer).await?;
            change.audit(Entry::success(Action::RequestPasswordReset, account.id)).await
        } else {
            let unknown = Entry::failure(Action::RequestPasswordReset, "no-active-account");
            change.audit(unknown.about(found, pseudonym)).await
        }
    }

    /// Sets the password, verifies the address, ends every session, and lifts a lock. The token is used up by its success only.
    pub async fn reset(
        &self,
        token: &SecretString,
        password: &SecretString,
        origin: &Origin,
    ) -> Result<Reset, Failure> {
        let Some(token) = SecretToken::<secret_token::PasswordReset>::parse(token) else { return Ok(Reset::BadToken) };
        let Some((owner, email)) = self.owner_of(&token).await? else { return Ok(Reset::BadToken) };
        let password = match self.policy.check(password, Some(&email)) {
            Ok(password) => password,
            Err(unfit) => return Ok(Reset::Unfit(unfit)),
        };
        let hash = match self.hasher.judge_and_hash(&self.hasher.place()?, password).await? {
            Ok(hash) => hash,
            Err(unfit) => return Ok(Reset::Unfit(unfit)),
        };

        let mut connection = self.store.pool.acquire().await?;
        let mut change = self.store.begin(&mut connection, origin).await?;
        let now = change.now();
        let Some(mut account) = change.lock(owner).await? else { return Ok(Reset::BadToken) };
        let used = sqlx::query!(
            "UPDATE password_reset_tokens SET ended_at = $2
              WHERE token_hash = $1 AND ended_at IS NULL AND expires_at > $2",
            token.hash().as_slice(),
            now
        )
        .execute(change.connection())
        .await?;
        // Another was faster, with the same token or with what made it worthless.
        if used.rows_affected() == 0 || account.status != AccountStatus::Active {
            return Ok(Reset::BadToken);
        }
        // Whoever has the token has read the mail, so the address is theirs; whoever may have registered it before them is out.
        mark_verified(&mut change, &mut account).await?;
        revoke::end(&mut change, &account, None, "password-reset").await?;
        replace(&mut change, &mut account, &hash, &self.pseudonyms).await?;
        change.audit(Entry::success(Action::ResetPassword, account.id)).await?;
        change.commit().await?;
        Ok(Reset::Done)
    }

    async fn owner_of(
        &self,
        token: &SecretToken<secret_token::PasswordReset>,
    ) -> Result<Option<(Uuid, EmailAddress)>, Failure> {
        let row = sqlx::query!(
            r#"SELECT u.id, u.email AS "email!"
                 FROM password_reset_tokens t JOIN users u ON u.id = t.user_id
                WHERE t.token_hash = $1 AND t.ended_at IS NULL AND t.expires_at > $2 AND u.status = 'active'"#,
            token.hash().as_slice(),
            self.store.now()
        )
        .fetch_optional(&self.store.pool)
        .await?;
        let Some(row) = row else { return Ok(None) };
        let email = EmailAddress::parse(&row.email).map_err(|_| Failure::StoredAccount("email"))?;
        Ok(Some((row.id, email)))
    }
}
