//! Registering: the account, its role and its events, in one transaction.
//!
//! Which of two registrations with one address came first is decided by the unique index on the normalised address, never by
//! looking first. Whoever asks gets one answer for both; the owner of an address that has an account is told by mail.

use schemas::{
    AccountStatus, DisplayName, Locale, Role, Roles, Sequence, ServiceName, TokenVersion, UserCreatedV2,
    UserRegistrationRepeatedV1,
};
use secrecy::ExposeSecret;
use tracing::{debug, info};
use uuid::Uuid;

use super::Account;
use crate::{
    EmailAddress, Failure, MailerKey, Origin, Password, PasswordHasher, Pseudonyms,
    audit::{Action, Entry},
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
    pub password: Password,
    pub display_name: Option<DisplayName>,
    pub locale: Option<Locale>,
}

/// What became of a registration. Not for the client, who gets one answer for both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Registered {
    /// The account is there, and so are its events.
    Created(Uuid),
    /// The address had an account, which is as it was.
    KnownAlready,
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
        let hash = self.hasher.hash(&self.hasher.place()?, password).await?;

        let mut change = self.store.begin(origin).await?;
        let (now, id) = (change.now(), change.new_event_id());
        let created = Sequence::after(None, now);
        // The row is written once, as it is after its second event.
        let sequence = Sequence::after(Some(created), now);
        let inserted = sqlx::query_scalar!(
            r#"WITH created AS (
                   INSERT INTO users (id, email, password_hash, display_name, locale, sequence, created_at, updated_at)
                   VALUES ($1, $2, $3, $4, $5, $6, $7, $7)
                   ON CONFLICT (email) DO NOTHING
                   RETURNING id, min_token_version),
               granted AS (INSERT INTO user_roles (user_id, role, granted_at) SELECT id, $8, $7 FROM created)
               SELECT min_token_version AS "min_token_version!" FROM created"#,
            id,
            email.as_str(),
            hash.expose_secret(),
            display_name.as_ref().map(DisplayName::as_str),
            locale.as_ref().map(Locale::as_str),
            sequence.get(),
            now,
            Role::USER.as_str(),
        )
        .fetch_optional(change.connection())
        .await?;
        let Some(version) = inserted else {
            self.tell_owner(&mut change, &email).await?;
            change.commit().await?;
            debug!("a registration with an address that has an account");
            return Ok(Registered::KnownAlready);
        };

        let min_token_version =
            TokenVersion::try_from(version).map_err(|_| Failure::StoredAccount("min_token_version"))?;
        let account = Account {
            id,
            email: email.clone(),
            status: AccountStatus::Active,
            email_verified: false,
            locale,
            min_token_version,
            sequence,
        };
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
        // Counted like those that are asked for: whoever registers twice in a minute has one mail on its way.
        let pseudonym = self.pseudonyms.of(&email);
        lockout::count_first_letters(change.connection(), pseudonym, now).await?;
        let created = change.envelope(change.new_event_id(), created, &event)?;
        let letter = first_verification(&mut change, &account, email, &self.mailer).await?;
        change.append_all(&[created, letter]).await?;
        change.audit(Entry::success(Action::Register, id)).await?;
        change.commit().await?;

        info!(user_id = %id, "an account was made");
        Ok(Registered::Created(id))
    }

    /// At most once in an hour: whoever registers an address again and again doesn't fill its owner's mailbox.
    async fn tell_owner(&self, change: &mut Change<'_>, email: &EmailAddress) -> Result<(), Failure> {
        let (now, pseudonym) = (change.now(), self.pseudonyms.of(email));
        let Some(owner) = Account::lock_by_address(change.connection(), email).await? else { return Ok(()) };
        change.audit(Entry::failure(Action::Register, "known-address").about_account(owner.id)).await?;
        tell_of_repeated_registration(change, owner, email, pseudonym, now).await
    }
}

/// Tells the owner of an address, whose account is locked, that somebody wanted it for an account of theirs.
pub(crate) async fn tell_of_repeated_registration(
    change: &mut Change<'_>,
    mut owner: Account,
    email: &EmailAddress,
    pseudonym: Pseudonym,
    now: time::OffsetDateTime,
) -> Result<(), Failure> {
    let event = UserRegistrationRepeatedV1 {
        user_id: owner.id,
        email: email.clone().into_email(),
        timestamp: now,
        source: ServiceName::AUTH_SERVICE,
    };
    change.emit_letter(Letter::RegistrationRepeated, pseudonym, &mut owner, &event).await
}
