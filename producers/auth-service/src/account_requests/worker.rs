use std::{convert::Infallible, time::Duration as StdDuration};

use metrics::{counter, gauge};
use service::ErrorChain;
use time::{Duration, OffsetDateTime};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::{
    AccountRequests, Asked, GIVEN_UP,
    queue::{self, Request},
};
use crate::{Failure, PasswordReset, Verification};

/// Does what was asked for. Any number of instances may, on one database.
#[derive(Clone)]
pub struct RequestWorker {
    requests: AccountRequests,
    password_reset: PasswordReset,
    verification: Verification,
}

/// What became of the requests that one round took in hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RequestRound {
    pub done: u32,
    /// Withdrawn meanwhile, or done by another worker.
    pub gone: u32,
    /// To be tried again.
    pub failed: u32,
    pub given_up: u32,
}

/// What became of one.
enum Outcome {
    Done,
    Gone,
    Failed,
    GivenUp,
}

impl RequestRound {
    fn taken(self) -> u32 {
        self.done + self.gone + self.failed + self.given_up
    }
}

const AT_A_TIME: i64 = 10;
/// Requests of other instances that have stopped, and those that are to be tried again, are found by looking.
const LOOK_EVERY: StdDuration = StdDuration::from_secs(1);
/// Those that are written close together are taken together: looking costs the database as much as a request does.
const GATHER: StdDuration = StdDuration::from_millis(50);
const MEASURE_EVERY: StdDuration = StdDuration::from_secs(10);
const MOST_ATTEMPTS: i32 = 10;
const LONGEST_WAIT: Duration = Duration::hours(1);

impl RequestWorker {
    pub(crate) fn new(requests: AccountRequests, password_reset: PasswordReset, verification: Verification) -> Self {
        Self { requests, password_reset, verification }
    }

    /// Works until `soft`, and finishes the request that is in hand then; others that were taken are due again after a moment.
    /// Survives outages of the database.
    pub async fn run(self, soft: CancellationToken) -> Result<(), Infallible> {
        let mut measure_at = Instant::now();
        while !soft.is_cancelled() {
            if measure_at <= Instant::now() {
                measure_at = Instant::now() + MEASURE_EVERY;
                self.measure().await;
            }
            match self.round_until(&soft).await {
                Ok(round) if i64::from(round.taken()) >= AT_A_TIME => continue,
                Ok(_) => {}
                Err(error) => {
                    tracing::warn!(error = %ErrorChain(&error), "what was asked of accounts can't be looked for");
                }
            }
            tokio::select! {
                () = soft.cancelled() => {}
                () = self.requests.written.notified() => sleep(GATHER).await,
                () = sleep(LOOK_EVERY) => {}
            }
        }
        Ok(())
    }

    /// What is due now, up to a handful; for who wants to know what became of it.
    pub async fn round(&self) -> Result<RequestRound, Failure> {
        self.round_until(&CancellationToken::new()).await
    }

    async fn round_until(&self, soft: &CancellationToken) -> Result<RequestRound, Failure> {
        let store = &self.requests.store;
        let mut round = RequestRound::default();
        for request in queue::take(&store.pool, AT_A_TIME, store.now()).await? {
            if soft.is_cancelled() {
                break;
            }
            let outcome = self.attempt(&request).await;
            let (number, label) = match outcome {
                Outcome::Done => (&mut round.done, "done"),
                Outcome::Gone => (&mut round.gone, "gone"),
                Outcome::Failed => (&mut round.failed, "failed"),
                Outcome::GivenUp => (&mut round.given_up, GIVEN_UP),
            };
            *number += 1;
            counter!("account_requests_total", "kind" => request.kind, "outcome" => label).increment(1);
        }
        Ok(round)
    }

    /// Its failure is its own: the next one is tried whatever became of it.
    async fn attempt(&self, request: &Request) -> Outcome {
        if request.attempts > MOST_ATTEMPTS {
            return self.give_up(request, "no attempt came to an end").await;
        }
        let error = match self.carry_out(request).await {
            Ok(true) => return Outcome::Done,
            Ok(false) => return Outcome::Gone,
            Err(error) => error,
        };
        let chain = ErrorChain(&error).to_string();
        let waited = self.requests.store.now() - request.requested_at;
        if request.attempts >= MOST_ATTEMPTS || waited >= LONGEST_WAIT {
            return self.give_up(request, &chain).await;
        }
        let (request_id, kind, attempts) = (&request.origin.request_id, &request.kind, request.attempts);
        tracing::debug!(
            request_id,
            kind,
            attempts,
            error = chain,
            "what was asked of an account failed, and is tried again"
        );
        Outcome::Failed
    }

    /// Does it and takes the row away, together; answers whether the row was still there. Where it was not, nothing is done.
    async fn carry_out(&self, request: &Request) -> Result<bool, Failure> {
        let (asked, email) = request.read()?;
        let mut connection = self.requests.store.pool.acquire().await?;
        let mut change = self.requests.store.begin_in_background(&mut connection, &request.origin).await?;
        match asked {
            Asked::PasswordReset => self.password_reset.send_mail(&mut change, &email).await?,
            Asked::EmailVerification => self.verification.send_mail(&mut change, &email).await?,
            Asked::EmailChange(account) => {
                self.verification.begin_change(&mut change, account, email, request.requested_at).await?;
            }
        }
        if !queue::delete(change.connection(), request.id).await? {
            return Ok(false);
        }
        change.commit().await?;
        Ok(true)
    }

    async fn give_up(&self, request: &Request, why: &str) -> Outcome {
        let store = &self.requests.store;
        let deleted = match store.pool.acquire().await {
            Ok(mut connection) => queue::delete(&mut connection, request.id).await,
            Err(error) => Err(error.into()),
        };
        if let Err(error) = deleted {
            // It is taken in hand once more, and then given up without a further attempt.
            tracing::warn!(error = %ErrorChain(&error), "what was asked of an account can't be given up yet");
            return Outcome::Failed;
        }
        let (request_id, kind, attempts) = (&request.origin.request_id, &request.kind, request.attempts);
        tracing::error!(request_id, kind, attempts, error = why, "what was asked of an account was given up");
        Outcome::GivenUp
    }

    async fn measure(&self) {
        let store = &self.requests.store;
        match queue::waiting(&store.pool).await {
            Ok(waiting) => {
                let age = |oldest: OffsetDateTime| (store.now() - oldest).as_seconds_f64().max(0.0);
                gauge!("account_requests_waiting").set(waiting.requests as f64);
                gauge!("account_requests_oldest_seconds").set(waiting.oldest.map_or(0.0, age));
            }
            Err(error) => tracing::warn!(error = %ErrorChain(&error), "what was asked of accounts can't be counted"),
        }
    }
}
