use secrecy::SecretString;
use sqlx::PgConnection;
use uuid::Uuid;

use super::{Password, PasswordHasher, PasswordPolicy, UnfitPassword, hashing::Tried, replace};
use crate::{
    EmailAddress, Failure, Origin, Pseudonyms,
    audit::{Action, Entry},
    change::Store,
    lockout::{self, Counting},
    session::revoke,
};

/// Changes passwords of people who are signed in and know the one they have.
#[derive(Clone)]
pub struct PasswordChange {
    store: Store,
    hasher: PasswordHasher,
    policy: PasswordPolicy,
    pseudonyms: Pseudonyms,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Changed {
    Done,
    /// The current password is wrong, or was tried too often.
    WrongPassword,
    Unfit(UnfitPassword),
}

impl PasswordChange {
    pub fn new(store: Store, hasher: PasswordHasher, policy: PasswordPolicy, pseudonyms: Pseudonyms) -> Self {
        Self { store, hasher, policy, pseudonyms }
    }

    /// Changes it, ends the account's other sessions, and refuses the access tokens of all: this session gets one with its
    /// next refresh.
    pub async fn change(
        &self,
        account: Uuid,
        session: Uuid,
        current: Password,
        new: &SecretString,
        origin: &Origin,
    ) -> Result<Changed, Failure> {
        let place = self.hasher.place()?;
        let mut connection = self.store.pool.acquire().await?;
        let Some(email) = address_of(&mut connection, account).await? else { return Ok(Changed::WrongPassword) };
        // Looking closer takes long, and others may have the connection meanwhile.
        connection.release();
        let new = match self.policy.check(new, Some(&email)) {
            Ok(new) => self.hasher.judge(&place, new).await?,
            Err(unfit) => Err(unfit),
        };
        let new = match new {
            Ok(new) => new,
            Err(unfit) => return Ok(Changed::Unfit(unfit)),
        };
        // A stolen session must not be a way to guess the password: counted like signing in.
        let pseudonym = self.pseudonyms.of(&email);
        let mut attempt = lockout::count_attempt(&self.store.pool, &email, pseudonym, self.store.now()).await?;
        // The address may have become another's just now.
        attempt.account = attempt.account.filter(|found| found.id == account && found.is_active);
        let stored = attempt.stored().cloned();
        if self.hasher.verify(&place, current, stored.clone()).await? == Tried::Wrong {
            let reason = if attempt.outcome == Counting::Locked { "locked" } else { "wrong-password" };
            self.store.audit(Entry::failure(Action::ChangePassword, reason).about_account(account), origin).await?;
            return Ok(Changed::WrongPassword);
        }
        let hash = self.hasher.hash(&place, new).await?;

        let mut connection = self.store.pool.acquire().await?;
        let mut change = self.store.begin(&mut connection, origin).await?;
        let Some(mut account) = change.lock(account).await? else { return Ok(Changed::WrongPassword) };
        let Some(stored) = stored else { return Ok(Changed::WrongPassword) };
        // Hashing took its time: whoever reset the password meanwhile has the last word.
        if !super::is_stored(change.connection(), account.id, &stored).await? {
            return Ok(Changed::WrongPassword);
        }
        revoke::end_others(&mut change, &account, session, "password-changed").await?;
        replace(&mut change, &mut account, &hash, &self.pseudonyms).await?;
        change.audit(Entry::success(Action::ChangePassword, account.id)).await?;
        change.commit().await?;
        Ok(Changed::Done)
    }
}

async fn address_of(connection: &mut PgConnection, account: Uuid) -> Result<Option<EmailAddress>, Failure> {
    let email =
        sqlx::query_scalar!(r#"SELECT email AS "email!" FROM users WHERE id = $1 AND status = 'active'"#, account)
            .fetch_optional(connection)
            .await?;
    email.map(|email| EmailAddress::parse(&email).map_err(|_| Failure::StoredAccount("email"))).transpose()
}
