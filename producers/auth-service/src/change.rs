//! One change of `auth_db`: rows, audit and events together, or none of them.

use outbox::Wake;
use schemas::{Clock, Envelope, Event, Header, Sequence, event_id};
use sqlx::{PgConnection, PgPool, PgTransaction};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::{
    Failure, NAME, Origin,
    account::Account,
    audit::{self, Entry},
};

/// What every use case works on. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Store {
    pub(crate) pool: PgPool,
    pub(crate) clock: Clock,
    relay: Wake,
}

/// A transaction, and who caused it. Dropped without [`commit`](Self::commit), nothing happened.
pub(crate) struct Change<'a> {
    transaction: PgTransaction<'static>,
    origin: &'a Origin,
    now: OffsetDateTime,
    emitted: bool,
    relay: &'a Wake,
}

impl Store {
    /// `relay` is woken after each commit that has an event.
    pub fn new(pool: PgPool, relay: Wake, clock: Clock) -> Self {
        Self { pool, clock, relay }
    }

    pub fn pool(&self) -> &PgPool {
        &self.pool
    }

    /// In whole microseconds, as PostgreSQL keeps it.
    pub fn now(&self) -> OffsetDateTime {
        whole_microseconds(self.clock.now())
    }

    pub(crate) async fn begin<'a>(&'a self, origin: &'a Origin) -> Result<Change<'a>, Failure> {
        let transaction = self.pool.begin().await?;
        Ok(Change { transaction, origin, now: self.now(), emitted: false, relay: &self.relay })
    }
}

impl Change<'_> {
    /// The one moment that everything in this change happens at.
    pub fn now(&self) -> OffsetDateTime {
        self.now
    }

    pub fn connection(&mut self) -> &mut PgConnection {
        &mut self.transaction
    }

    pub async fn lock(&mut self, account: Uuid) -> Result<Option<Account>, Failure> {
        Account::lock(&mut self.transaction, account).await
    }

    /// An id for an event of this change, for what has to know it before the event is made.
    pub fn new_event_id(&self) -> Uuid {
        event_id(self.now)
    }

    /// Writes an event about the account to the outbox, as its next version. The account's row has to be locked.
    pub async fn emit<E: Event>(&mut self, account: &mut Account, event: &E) -> Result<(), Failure> {
        self.emit_as(self.new_event_id(), account, event).await
    }

    /// As [`emit`](Self::emit), with an id that was given out before.
    pub async fn emit_as<E: Event>(&mut self, id: Uuid, account: &mut Account, event: &E) -> Result<(), Failure> {
        let sequence = Sequence::after(Some(account.sequence), self.now);
        sqlx::query!(
            "UPDATE users SET sequence = $2, updated_at = $3 WHERE id = $1",
            account.id,
            sequence.get(),
            self.now
        )
        .execute(&mut *self.transaction)
        .await?;
        account.sequence = sequence;
        self.append(id, sequence, event).await
    }

    /// An event of a version that its account's row says already.
    pub async fn append<E: Event>(&mut self, id: Uuid, sequence: Sequence, event: &E) -> Result<(), Failure> {
        let traceparent = Some(self.origin.traceparent.clone());
        let header = Header { id, source: NAME, time: self.now, sequence, traceparent };
        outbox::append(&mut self.transaction, &Envelope::new(event, header)?).await?;
        self.emitted = true;
        Ok(())
    }

    pub async fn audit(&mut self, entry: Entry<'_>) -> Result<(), Failure> {
        audit::record(&mut self.transaction, self.now, self.origin, entry).await
    }

    pub async fn commit(self) -> Result<(), Failure> {
        self.transaction.commit().await?;
        if self.emitted {
            self.relay.wake();
        }
        Ok(())
    }
}

/// What PostgreSQL can hold, so that the row and the event say the same time.
fn whole_microseconds(time: OffsetDateTime) -> OffsetDateTime {
    let nanoseconds = time.nanosecond() % 1_000;
    time - time::Duration::nanoseconds(nanoseconds.into())
}
