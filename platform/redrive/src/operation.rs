//! An operation, from its first row to its last: begun or resumed by one process at a time, which holds a lock at the
//! database for as long as it lives. A process that is killed loses its connection, and with it the lock; so others see
//! whether an operation runs without any clock.

use std::{collections::BTreeMap, sync::Arc};

use messaging::{BusError, Queue, Receipt};
use schemas::Clock;
use sqlx::{Connection, PgConnection, PgPool};
use time::OffsetDateTime;
use uuid::Uuid;
use worker::EVENT_LOGS;

use crate::{
    Approval, DeadLetter, Decision, Filter, Plan, READ_TOGETHER, Snapshot, SnapshotError, Verb,
    archive::{self, Archived},
    audit,
    edit::{self, Edit},
    journal::{self, State},
};

#[derive(Debug, thiserror::Error)]
pub enum OperationError {
    #[error("could not read or write what is on record of dead letters")]
    Database(#[from] sqlx::Error),
    #[error("could not find out how far the inbox reaches back")]
    Window(#[from] worker::PartitionError),
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    #[error("a queue did not answer")]
    Bus(#[from] BusError),
    #[error("operation {0} runs elsewhere")]
    Runs(Uuid),
    #[error("operation {0} is at its end: a plan is carried out once")]
    Ended(Uuid),
    #[error("operation {0} has no edit to send: its subject was erased, or it never had one")]
    NoEdit(Uuid),
    #[error("there is no operation {0}")]
    Unknown(Uuid),
}

/// The two queues that letters go between.
#[derive(Debug, Clone)]
pub struct Places {
    /// Where letters lie.
    pub dead_letters: Arc<dyn Queue>,
    /// Where they came from, and are replayed to.
    pub queue: Arc<dyn Queue>,
}

/// An operation that this process carries out.
#[derive(Debug)]
pub struct Operation {
    pub(crate) id: Uuid,
    pub(crate) pool: PgPool,
    pub(crate) clock: Clock,
    /// Holds the lock. Never handed to the pool: its end is the lock's end.
    alive: PgConnection,
}

impl Operation {
    /// Puts on record what is going to be done, with a row in the journal for each letter to touch. From now on every
    /// letter can be accounted for.
    pub async fn begin(
        pool: &PgPool,
        clock: &Clock,
        plan: &Plan,
        snapshot: &Snapshot,
        edit: Option<(&DeadLetter, &Edit)>,
        approval: &Approval,
    ) -> Result<Self, OperationError> {
        let operation = Self::lock(pool, clock, plan.operation).await?;
        let now = clock.now();
        let mut tx = pool.begin().await?;
        let counts = serde_json::to_value(plan.counts()).unwrap_or_default();
        operation.record(&mut tx, plan.verb, (&plan.consumer, &plan.queue), &plan.filter, counts, approval).await?;
        let chosen: Vec<_> = plan
            .letters
            .iter()
            .filter(|planned| !matches!(planned.decision, Decision::Leave { .. }))
            .filter_map(|planned| Some((planned.letter?, &planned.decision)))
            .collect();
        for part in chosen.chunks(READ_TOGETHER) {
            let numbers: Vec<_> = part.iter().map(|(letter, _)| *letter).collect();
            let letters = snapshot.read(&numbers, pool).await?;
            let rows: Vec<_> = letters.into_iter().zip(part.iter().map(|(_, decision)| *decision)).collect();
            journal::plan(&mut tx, operation.id, &rows, now).await?;
        }
        if let Some((letter, edit)) = edit {
            edit::keep(&mut tx, operation.id, letter, edit, now).await?;
        }
        tx.commit().await?;
        Ok(operation)
    }

    /// Puts on record what concerns no letter of a snapshot: an export, an import, a look at what is classified.
    pub async fn begin_without_letters(
        pool: &PgPool,
        clock: &Clock,
        verb: Verb,
        (consumer, queue): (&str, &str),
        filter: &Filter,
        counts: BTreeMap<String, usize>,
        approval: &Approval,
    ) -> Result<Self, OperationError> {
        let operation = Self::lock(pool, clock, schemas::event_id(clock.now())).await?;
        let mut connection = pool.acquire().await?;
        let counts = serde_json::to_value(counts).unwrap_or_default();
        operation.record(&mut connection, verb, (consumer, queue), filter, counts, approval).await?;
        Ok(operation)
    }

    /// Takes an operation up again that did not come to its end. Hands back at once what its killed process still held.
    pub async fn resume(
        pool: &PgPool,
        clock: &Clock,
        id: Uuid,
        dead_letters: &dyn Queue,
        approval: &Approval,
    ) -> Result<(Self, Vec<journal::Row>), OperationError> {
        if audit::history(pool, Some(id), 1).await?.is_empty() {
            return Err(OperationError::Unknown(id));
        }
        let mut operation = Self::lock(pool, clock, id).await?;
        let rows = journal::unfinished(pool, id).await?;
        if rows.is_empty() {
            return Err(OperationError::Ended(id));
        }
        let detail = format!("by {}: {}", approval.actor(), approval.reason());
        audit::append_end(&mut operation.alive, id, clock.now(), audit::RESUMED, Some(&detail)).await?;
        let receipts = rows.iter().flat_map(|row| &row.receipts);
        let changes: Vec<_> = receipts.map(|receipt| (Receipt(receipt.clone()), std::time::Duration::ZERO)).collect();
        // Those that are void by now belong to somebody else, or show themselves.
        let _ = dead_letters.change_visibility(&changes).await;
        Ok((operation, rows))
    }

    pub fn id(&self) -> Uuid {
        self.id
    }

    async fn lock(pool: &PgPool, clock: &Clock, id: Uuid) -> Result<Self, OperationError> {
        // What can't be applied any more needs no archive.
        let now = clock.now();
        archive::expire(pool, now - EVENT_LOGS.keep).await?;
        let mut alive = pool.acquire().await?.detach();
        let locked =
            sqlx::query_scalar!(r#"SELECT pg_try_advisory_lock(hashtextextended($1::uuid::text, 0)) AS "locked!""#, id)
                .fetch_one(&mut alive)
                .await?;
        if !locked {
            return Err(OperationError::Runs(id));
        }
        Ok(Self { id, pool: pool.clone(), clock: clock.clone(), alive })
    }

    async fn record(
        &self,
        connection: &mut PgConnection,
        verb: Verb,
        (consumer, queue): (&str, &str),
        filter: &Filter,
        counts: serde_json::Value,
        approval: &Approval,
    ) -> Result<(), OperationError> {
        let recorded = sqlx::query!(
            "INSERT INTO redrive_operations
                 (operation_id, verb, consumer, queue, actor, reason, filter, plan, begun_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
                 ON CONFLICT (operation_id) DO NOTHING",
            self.id,
            verb.as_str(),
            consumer,
            queue,
            approval.actor(),
            approval.reason(),
            serde_json::to_value(filter).unwrap_or_default(),
            counts,
            self.clock.now(),
        )
        .execute(connection)
        .await?;
        if recorded.rows_affected() == 1 { Ok(()) } else { Err(OperationError::Ended(self.id)) }
    }

    /// Puts on record that it is over, and how. Ends the lock.
    pub async fn end(mut self, how: &str, detail: Option<&str>) -> Result<(), OperationError> {
        audit::append_end(&mut self.alive, self.id, self.clock.now(), how, detail).await?;
        Ok(self.alive.close().await?)
    }

    /// Sends archived letters back to the queue they lay in, and puts that on record. A crash in between sends a letter twice,
    /// which readers count as one. Answers which could not be sent, with why.
    pub async fn restore(
        &self,
        dead_letters: &dyn Queue,
        letters: &[Archived],
    ) -> Result<Vec<(String, String)>, OperationError> {
        let mut failed = Vec::new();
        for part in letters.chunks(READ_TOGETHER) {
            let messages: Vec<_> = part.iter().map(|letter| letter.message.clone()).collect();
            let (mut keys, mut outcomes) = (Vec::new(), Vec::new());
            for (letter, sent) in part.iter().zip(dead_letters.send(&messages).await) {
                match sent {
                    Ok(_) => {
                        keys.push(letter.letter_key.clone());
                        outcomes.push((letter.letter_id.clone(), "restored", None));
                    }
                    Err(error) => {
                        outcomes.push((letter.letter_id.clone(), "failed", Some(error.to_string())));
                        failed.push((letter.letter_id.clone(), error.to_string()));
                    }
                }
            }
            let now = self.clock.now();
            let mut tx = self.pool.begin().await?;
            let from = part.first().map_or(self.id, |letter| letter.operation);
            archive::mark_restored(&mut tx, from, &keys, now).await?;
            audit::append(&mut tx, self.id, now, &outcomes).await?;
            tx.commit().await?;
        }
        Ok(failed)
    }

    /// Puts on record what came of letters that no journal has: exported, imported, revealed.
    pub async fn tell(&self, outcomes: &[(String, &'static str, Option<String>)]) -> Result<(), OperationError> {
        let mut tx = self.pool.begin().await?;
        for part in outcomes.chunks(READ_TOGETHER) {
            audit::append(&mut tx, self.id, self.clock.now(), part).await?;
        }
        Ok(tx.commit().await?)
    }

    pub(crate) async fn advance(
        &self,
        keys: &[String],
        state: State,
        outcomes: &[(String, &'static str, Option<String>)],
    ) -> Result<(), OperationError> {
        let now: OffsetDateTime = self.clock.now();
        let mut tx = self.pool.begin().await?;
        journal::advance(&mut tx, self.id, keys, state, now).await?;
        audit::append(&mut tx, self.id, now, outcomes).await?;
        Ok(tx.commit().await?)
    }
}
