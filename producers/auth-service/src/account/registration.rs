//! Registering: the account, its role and its events, in one transaction.
//!
//! Which of two registrations with one address came first is decided by the unique index on the normalised address, never by
//! looking first. Whoever asks gets one answer for both; the owner of an address that has an account is told by mail.

use schemas::{
    AccountStatus, DisplayName, Locale, Role, Roles, Sequence, ServiceName, UserCreatedV2, UserRegistrationRepeatedV1,
    event_id,
};
use secrecy::{ExposeSecret, SecretString};
use sqlx::PgConnection;
use time::OffsetDateTime;
use tracing::debug;
use uuid::Uuid;

use super::{Account, Row};
use crate::{
    EmailAddress, Failure, MailerKey, NewPassword, Origin, PasswordHasher, Pseudonyms, UnfitPassword,
    audit::Action,
    change::{Change, Store},
    lockout::{self, Letter},
    mail_requests::first_verification,
    pseudonym::Pseudonym,
};

/// Makes accounts.
#[derive(Clone)]
pub struct Registration {
    store: Store,
    hasher: PasswordHasher,
    pseudonyms: Pseudonyms,
    mailer: MailerKey,
}

/// Who wants an account.
#[derive(Debug)]
pub struct Applicant {
    pub email: EmailAddress,
    pub password: NewPassword,
    pub display_name: Option<DisplayName>,
    pub locale: Option<Locale>,
}

/// What became of a registration. Whether the address was known is not for the client, who gets one answer for both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Registered {
    /// The account is there, and so are its events.
    Created(Uuid),
    /// The address had an account, which is as it was.
    KnownAlready,
    /// There is no account by this password, whoever has the address.
    Unfit(UnfitPassword),
}

impl Registration {
    pub fn new(store: Store, hasher: PasswordHasher, pseudonyms: Pseudonyms, mailer: MailerKey) -> Self {
        Self { store, hasher, pseudonyms, mailer }
    }

    /// Makes an account, unless the address has one. Whoever has an address looked at for the first time must learn nothing
    /// from the time: a new one takes as many statements as one whose owner is told.
    pub async fn register(&self, applicant: Applicant, origin: &Origin) -> Result<Registered, Failure> {
        let Applicant { email, password, display_name, locale } = applicant;
        // Before the database is asked, so that a known address takes as long as a new one.
        let hash = match self.hasher.judge_and_hash(&self.hasher.place()?, password).await? {
            Ok(hash) => hash,
            Err(unfit) => return Ok(Registered::Unfit(unfit)),
        };

        let mut connection = self.store.pool.acquire().await?;
        let mut change = self.store.begin(&mut connection, origin).await?;
        let (now, id, pseudonym) = (change.now(), change.new_event_id(), self.pseudonyms.of(&email));
        let created = Sequence::after(None, now);
        let made = NewAccount { id, email: &email, hash, display_name: display_name.as_ref(), locale, created };
        let account = made.make_or_lock(change.connection(), pseudonym, now, origin).await?;
        if account.id != id {
            tell_of_repeated_registration(&mut change, account, &email, pseudonym, now).await?;
            change.commit().await?;
            debug!("a registration with an address that has an account");
            return Ok(Registered::KnownAlready);
        }

        let event = UserCreatedV2 {
            user_id: id,
            email: email.clone().into_email(),
            timestamp: now,
            source: ServiceName::AUTH_SERVICE,
            display_name,
            email_verified: false,
            roles: Roles::of_a_new_account(),
            status: AccountStatus::Active,
        };
        let created = change.envelope(change.new_event_id(), created, &event)?;
        let letter = first_verification(&mut change, &account, email, &self.mailer).await?;
        change.append_all(&[created, letter]).await?;
        change.commit().await?;

        debug!(user_id = %id, "a registration made an account");
        Ok(Registered::Created(id))
    }
}

/// An account that is to be, unless its address has one.
struct NewAccount<'a> {
    id: Uuid,
    email: &'a EmailAddress,
    hash: SecretString,
    display_name: Option<&'a DisplayName>,
    locale: Option<Locale>,
    /// The version of its first event.
    created: Sequence,
}

impl NewAccount<'_> {
    /// Makes it with what belongs to it; or locks the one that has the address, whose id is another, and leaves it as it is. Writes
    /// the entry of the audit trail for either.
    ///
    /// The row is written once, as it is after its second event, by which the first mail is asked for. That mail is counted like
    /// those that somebody asks for: whoever registers twice in a minute has one on its way.
    async fn make_or_lock(
        &self,
        connection: &mut PgConnection,
        pseudonym: Pseudonym,
        now: OffsetDateTime,
        origin: &Origin,
    ) -> Result<Account, Failure> {
        // Only a row that was written is returned and locked, so that of a known address is written as it was. A column of a key
        // would lock out more than it has to.
        let row = sqlx::query_as!(
            Row,
            r#"WITH account AS (
                   INSERT INTO users AS u (id, email, password_hash, display_name, locale, sequence, created_at, updated_at)
                   VALUES ($1, $2, $3, $4, $5, $6, $7, $7)
                   ON CONFLICT (email) DO UPDATE SET sequence = u.sequence
                   RETURNING id, email, status, email_verified_at, locale, min_token_version, sequence),
               granted AS (
                   INSERT INTO user_roles (user_id, role, granted_at) SELECT id, $8, $7 FROM account WHERE id = $1),
               counted AS (
                   INSERT INTO rate_limits AS l (key, count, last_at)
                   SELECT key, 1, $7 FROM account, unnest($9::text[]) AS k (key) WHERE id = $1
                   ON CONFLICT (key) DO UPDATE SET count = l.count + 1, last_at = $7),
               entry AS (
                   INSERT INTO security_audit_logs (id, at, action, outcome, reason, subject_id, ip, user_agent, request_id)
                   SELECT $10, $7, $11, CASE WHEN id = $1 THEN 'success' ELSE 'failure' END,
                          CASE WHEN id <> $1 THEN 'known-address' END, id, $12::text::inet, $13, $14
                     FROM account)
               SELECT id, email AS "email!", status, email_verified_at IS NOT NULL AS "email_verified!", locale,
                      min_token_version, sequence
                 FROM account"#,
            self.id,
            self.email.as_str(),
            self.hash.expose_secret(),
            self.display_name.map(DisplayName::as_str),
            self.locale.as_ref().map(Locale::as_str),
            Sequence::after(Some(self.created), now).get(),
            now,
            Role::USER.as_str(),
            &lockout::first_letter_keys(pseudonym),
            event_id(now),
            Action::Register.as_str(),
            origin.ip_text(),
            origin.user_agent(),
            origin.request_id,
        )
        .fetch_one(connection)
        .await?;
        Account::try_from(row)
    }
}

/// Tells the owner of an address, whose account is locked, that somebody wanted it for an account of theirs.
pub(crate) async fn tell_of_repeated_registration(
    change: &mut Change<'_>,
    mut owner: Account,
    email: &EmailAddress,
    pseudonym: Pseudonym,
    now: OffsetDateTime,
) -> Result<(), Failure> {
    let event = UserRegistrationRepeatedV1 {
        user_id: owner.id,
        email: email.clone().into_email(),
        timestamp: now,
        source: ServiceName::AUTH_SERVICE,
    };
    change.emit_letter(Letter::RegistrationRepeated, pseudonym, &mut owner, &event).await
}
