//! One change of `auth_db`: rows, audit and events together, or none of them.

use std::collections::BTreeMap;

use outbox::Wake;
use schemas::{Clock, Envelope, Event, Header, Sequence, event_id};
use service::{
    cache::{Cache, Version},
    postgres::{Pool, PooledConnection, Transaction},
};
use sqlx::{PgConnection, PgPool};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::{
    EmailAddress, Failure, NAME, Origin,
    account::{
        Account,
        profiles::{Profiles, email_key, id_key},
    },
    audit::{self, Entry},
    lockout::{Letter, letter_key},
    pseudonym::Pseudonym,
};

/// What every use case works on. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Store {
    pub(crate) pool: Pool,
    pub(crate) clock: Clock,
    relay: Wake,
    cache: Cache,
}

/// A transaction, and who caused it. Dropped without [`commit`](Self::commit), nothing happened.
pub(crate) struct Change<'a> {
    transaction: Transaction<'a>,
    origin: &'a Origin,
    now: OffsetDateTime,
    emitted: bool,
    /// What is kept of accounts, and older than this change makes them.
    stale: Vec<(String, Version)>,
    store: &'a Store,
}

impl Store {
    /// `relay` is woken after each commit that has an event; what `cache` keeps of an account is forgotten with each that
    /// changes it.
    pub fn new(pool: PgPool, relay: Wake, clock: Clock, cache: Cache) -> Self {
        Self { pool: Pool::new(pool), clock, relay, cache }
    }

    pub(crate) fn profiles(&self) -> Profiles {
        Profiles::new(self.pool.clone(), self.cache.clone())
    }

    /// In whole microseconds, as PostgreSQL keeps it.
    pub fn now(&self) -> OffsetDateTime {
        whole_microseconds(self.clock.now())
    }

    pub(crate) async fn begin<'a>(
        &'a self,
        connection: &'a mut PooledConnection,
        origin: &'a Origin,
    ) -> Result<Change<'a>, Failure> {
        Ok(self.change(connection.begin().await?, origin))
    }

    /// As [`begin`](Self::begin), of one among many that wait for each other: whoever holds an account's row for longer than 5 s
    /// holds up that account's change only.
    pub(crate) async fn begin_in_background<'a>(
        &'a self,
        connection: &'a mut PooledConnection,
        origin: &'a Origin,
    ) -> Result<Change<'a>, Failure> {
        Ok(self.change(connection.begin_with("BEGIN; SET LOCAL lock_timeout = '5s'").await?, origin))
    }

    /// Writes down what was refused, and so has no transaction to be a part of.
    pub(crate) async fn audit(&self, entry: Entry<'_>, origin: &Origin) -> Result<(), Failure> {
        audit::record(&self.pool, self.now(), origin, entry).await
    }

    /// Each key once, by its last version, and those of one version together. Soon, since what is older is not served; but
    /// who has an account erased is told so when nothing is kept of it any more.
    async fn forget(&self, stale: Vec<(String, Version)>) {
        let is_erased = stale.iter().any(|(_, version)| *version == Version::LAST);
        let last: BTreeMap<_, _> = stale.into_iter().collect();
        let mut together: BTreeMap<Version, Vec<&str>> = BTreeMap::new();
        for (key, version) in &last {
            together.entry(*version).or_default().push(key);
        }
        for (version, keys) in together {
            if is_erased {
                self.cache.del(&keys, version).await;
            } else {
                self.cache.del_soon(&keys, version);
            }
        }
    }

    fn change<'a>(&'a self, transaction: Transaction<'a>, origin: &'a Origin) -> Change<'a> {
        Change { transaction, origin, now: self.now(), emitted: false, stale: Vec::new(), store: self }
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
        self.moved_on(account, sequence);
        self.append(id, sequence, event).await
    }

    /// As [`emit`](Self::emit), of an event that has the address written to, unless it was a moment ago: then nothing happens.
    /// Counts as `lockout::may_write` does, in the statement that moves the account on.
    pub async fn emit_letter<E: Event>(
        &mut self,
        letter: Letter,
        email: Pseudonym,
        account: &mut Account,
        event: &E,
    ) -> Result<(), Failure> {
        let sequence = Sequence::after(Some(account.sequence), self.now);
        let counted = sqlx::query!(
            "WITH counted AS (
                 INSERT INTO rate_limits AS l (key, count, last_at) VALUES ($1, 1, $2)
                 ON CONFLICT (key) DO UPDATE SET count = l.count + 1, last_at = $2 WHERE l.last_at <= $3
                 RETURNING key)
             UPDATE users SET sequence = $5, updated_at = $2 FROM counted WHERE id = $4",
            letter_key(letter, email),
            self.now,
            self.now - letter.spacing(),
            account.id,
            sequence.get(),
        )
        .execute(&mut *self.transaction)
        .await?;
        if counted.rows_affected() == 0 {
            return Ok(());
        }
        self.moved_on(account, sequence);
        self.append(self.new_event_id(), sequence, event).await
    }

    fn moved_on(&mut self, account: &mut Account, sequence: Sequence) {
        account.sequence = sequence;
        self.outdates(id_key(account.id), sequence);
        self.outdates_address(&account.email, sequence);
    }

    /// What is kept under an address is of an account that does not have it any more.
    pub fn outdates_address(&mut self, email: &EmailAddress, sequence: Sequence) {
        self.outdates(email_key(email), sequence);
    }

    /// Nothing of the account is to be kept any more.
    pub fn outdates_for_good(&mut self, account: Uuid) {
        self.stale.push((id_key(account), Version::LAST));
    }

    fn outdates(&mut self, key: String, sequence: Sequence) {
        self.stale.push((key, Version(sequence.get())));
    }

    /// An event as this change tells it.
    pub fn envelope<E: Event>(&self, id: Uuid, sequence: Sequence, event: &E) -> Result<Envelope, Failure> {
        let traceparent = Some(self.origin.traceparent.clone());
        Ok(Envelope::new(event, Header { id, source: NAME, time: self.now, sequence, traceparent })?)
    }

    /// An event of a version that its account's row says already.
    pub async fn append<E: Event>(&mut self, id: Uuid, sequence: Sequence, event: &E) -> Result<(), Failure> {
        let envelope = self.envelope(id, sequence, event)?;
        outbox::append(&mut self.transaction, &envelope).await?;
        self.emitted = true;
        Ok(())
    }

    /// As [`append`](Self::append), several by one statement.
    pub async fn append_all(&mut self, events: &[Envelope]) -> Result<(), Failure> {
        outbox::append_all(&mut self.transaction, events).await?;
        self.emitted |= !events.is_empty();
        Ok(())
    }

    pub async fn audit(&mut self, entry: Entry<'_>) -> Result<(), Failure> {
        audit::record(&mut *self.transaction, self.now, self.origin, entry).await
    }

    pub async fn commit(self) -> Result<(), Failure> {
        let Self { transaction, emitted, stale, store, .. } = self;
        transaction.commit().await?;
        if emitted {
            store.relay.wake();
        }
        store.forget(stale).await;
        Ok(())
    }
}

/// What PostgreSQL can hold, so that the row and the event say the same time.
fn whole_microseconds(time: OffsetDateTime) -> OffsetDateTime {
    let nanoseconds = time.nanosecond() % 1_000;
    time - time::Duration::nanoseconds(nanoseconds.into())
}
