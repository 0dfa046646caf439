//! What would become of a letter, and why.

use std::collections::HashMap;

use schemas::Clock;
use serde::{Deserialize, Serialize};
use sqlx::PgPool;
use time::OffsetDateTime;
use uuid::Uuid;
use worker::{Application, Consumer, RejectedAs};

use crate::{
    DeadLetter, OperationError, Verb,
    journal::{self, Claim},
};

/// What is to be done with a letter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "camelCase")]
pub enum Decision {
    /// Send it to its queue, then delete it.
    Replay,
    /// Put it into the archive, then delete it.
    Discard,
    Leave {
        #[serde(flatten)]
        why: Leave,
    },
}

/// Why a letter is left where it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "why", rename_all = "kebab-case", rename_all_fields = "camelCase")]
pub enum Leave {
    /// A replay would do nothing: the inbox would recognise it.
    AlreadyApplied {
        handler: String,
        #[serde(with = "time::serde::rfc3339")]
        at: OffsetDateTime,
    },
    /// A replay would end here again, for this reason.
    WouldFail { reason: String, detail: String },
    /// Another operation is at it, or sent it and was killed before it could delete it.
    InProgress {
        operation: Uuid,
        actor: String,
        #[serde(with = "time::serde::rfc3339")]
        since: OffsetDateTime,
        /// Whether that operation still runs. If it doesn't, it can be resumed.
        runs: bool,
    },
}

/// What decisions depend on beside the letters: the consumer's code as it is now, and what its database knows.
#[derive(Debug, Clone)]
pub struct Inbox {
    consumer: Consumer,
    pool: PgPool,
    oldest: OffsetDateTime,
    clock: Clock,
}

impl Inbox {
    pub async fn of(consumer: Consumer, pool: PgPool, clock: Clock) -> Result<Self, OperationError> {
        let oldest = worker::oldest_applicable(&pool).await?;
        Ok(Self { consumer, pool, oldest, clock })
    }

    pub fn pool(&self) -> &PgPool {
        &self.pool
    }

    pub fn consumer(&self) -> &Consumer {
        &self.consumer
    }

    /// Decides for each of `letters`, as for an operation that begins now or that is `own`.
    pub async fn decide(
        &self,
        verb: Verb,
        discard_applied: bool,
        own: Option<Uuid>,
        letters: &[DeadLetter],
    ) -> Result<Vec<Decision>, OperationError> {
        let keys: Vec<_> = letters.iter().map(DeadLetter::key).collect();
        let event_keys: Vec<_> = letters.iter().filter_map(DeadLetter::event_key).collect();
        let claims = journal::claims(&self.pool, &keys, own).await?;
        let claims: HashMap<_, _> = claims.into_iter().map(|claim| (claim.letter_key.clone(), claim)).collect();
        let applied = worker::applications(&self.pool, &event_keys).await?;
        let applied: HashMap<_, _> = applied.into_iter().map(|one| (one.event_key, one)).collect();
        let decide = |(letter, key): (&DeadLetter, &String)| {
            if let Some(claim) = claims.get(key) {
                return Decision::Leave { why: in_progress(claim) };
            }
            if verb == Verb::Discard {
                return Decision::Discard;
            }
            let application = letter.event_key().and_then(|key| applied.get(&key.as_uuid()));
            match (application, self.refusal(letter)) {
                (Some(_), _) if discard_applied => Decision::Discard,
                (Some(Application { handler, applied_at, .. }), _) => {
                    Decision::Leave { why: Leave::AlreadyApplied { handler: handler.clone(), at: *applied_at } }
                }
                (None, Some(why)) => Decision::Leave { why },
                (None, None) => Decision::Replay,
            }
        };
        Ok(letters.iter().zip(&keys).map(decide).collect())
    }

    /// Why a worker would not give this letter to a handler today; `None` where it would.
    pub fn refusal(&self, letter: &DeadLetter) -> Option<Leave> {
        let Some((envelope, key)) = &letter.envelope else {
            let detail = "it is no CloudEvent".to_owned();
            return Some(Leave::WouldFail { reason: RejectedAs::Undecodable.as_str().to_owned(), detail });
        };
        let refusal = worker::preflight(&self.consumer, self.oldest, self.clock.now(), envelope, *key).err()?;
        Some(Leave::WouldFail { reason: refusal.reason.as_str().to_owned(), detail: refusal.error.to_string() })
    }
}

fn in_progress(claim: &Claim) -> Leave {
    Leave::InProgress {
        operation: claim.operation_id,
        actor: claim.actor.clone(),
        since: claim.begun_at,
        runs: claim.runs,
    }
}
