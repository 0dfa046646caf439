use outbox::Wake;
use schemas::{AccountStatus, Clock, Envelope, Header, Role, Roles, Sequence, ServiceName, UserCreatedV2, event_id};
use secrecy::ExposeSecret;
use sqlx::PgPool;
use time::OffsetDateTime;
use tracing::{debug, info};
use uuid::Uuid;

use crate::{EmailAddress, HashError, NAME, Password, PasswordHasher};

/// Makes accounts.
#[derive(Clone)]
pub struct Registration {
    pool: PgPool,
    hasher: PasswordHasher,
    relay: Wake,
    clock: Clock,
}

/// What became of a registration. Not for the client, who gets one answer for both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Registered {
    /// The account is there, and so is its event.
    Created(Uuid),
    /// The address had an account; nothing was written.
    KnownAlready,
}

#[derive(Debug, thiserror::Error)]
pub enum RegisterError {
    #[error(transparent)]
    Hash(#[from] HashError),
    #[error("the account could not be written")]
    Database(#[from] sqlx::Error),
    #[error("the event could not be built")]
    Event(#[from] serde_json::Error),
    #[error("the event could not be appended to the outbox")]
    Append(#[from] outbox::AppendError),
}

impl Registration {
    /// `relay` is woken after each commit.
    pub fn new(pool: PgPool, hasher: PasswordHasher, relay: Wake, clock: Clock) -> Self {
        Self { pool, hasher, relay, clock }
    }

    /// Makes an account, unless the address has one. `traceparent` goes into the event.
    pub async fn register(
        &self,
        email: EmailAddress,
        password: Password,
        traceparent: String,
    ) -> Result<Registered, RegisterError> {
        // Before the database is asked, so that a known address takes as long as a new one.
        let hash = self.hasher.hash(password).await?;

        let now = whole_microseconds(self.clock.now());
        let user_id = event_id(now);
        let sequence = Sequence::after(None, now);

        let mut transaction = self.pool.begin().await?;
        let inserted = sqlx::query_scalar!(
            "INSERT INTO users (id, email, password_hash, sequence, created_at, updated_at)
             VALUES ($1, $2, $3, $4, $5, $5)
             ON CONFLICT (email) DO NOTHING
             RETURNING id",
            user_id,
            email.as_str(),
            hash.expose_secret(),
            sequence.get(),
            now,
        )
        .fetch_optional(&mut *transaction)
        .await?;
        if inserted.is_none() {
            transaction.rollback().await?;
            debug!("a registration with an address that has an account");
            return Ok(Registered::KnownAlready);
        }

        sqlx::query!(
            "INSERT INTO user_roles (user_id, role, granted_at) VALUES ($1, $2, $3)",
            user_id,
            Role::USER.as_str(),
            now,
        )
        .execute(&mut *transaction)
        .await?;

        let event = UserCreatedV2 {
            user_id,
            email: email.into_email(),
            timestamp: now,
            source: ServiceName::AUTH_SERVICE,
            display_name: None,
            email_verified: false,
            roles: Roles::of_a_new_account(),
            status: AccountStatus::Active,
        };
        let header = Header { id: event_id(now), source: NAME, time: now, sequence, traceparent: Some(traceparent) };
        outbox::append(&mut transaction, &Envelope::new(&event, header)?).await?;
        transaction.commit().await?;
        self.relay.wake();

        info!(%user_id, "an account was made");
        Ok(Registered::Created(user_id))
    }
}

/// What PostgreSQL can hold, so that the row and the event say the same time.
fn whole_microseconds(time: OffsetDateTime) -> OffsetDateTime {
    let nanoseconds = time.nanosecond() % 1_000;
    time - time::Duration::nanoseconds(nanoseconds.into())
}
