//! The relay: claim → publish → settle, several claims at a time, until told to stop.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use messaging::{EntryError, MessageId, Names, Publisher, RetryDelay};
use metrics::{counter, histogram};
use schemas::Clock;
use sqlx::PgPool;
use tokio::sync::Semaphore;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::Instrument;

use crate::{
    Wake,
    lease::{self, Claim, Claimed, Outcome, RelayDatabaseError, Settled},
    maintenance::keep_in_order,
    measure, trace,
};

#[derive(Debug, Clone, Copy)]
pub struct RelaySettings {
    /// Rows per claim. One claim becomes several requests of up to ten.
    pub batch: usize,
    /// Claims that are being published at a time.
    pub claims_in_flight: usize,
    /// How long a claimed row is left alone by other relays.
    pub lease: Duration,
    /// How often to look for due rows without being woken.
    pub scan_every: Duration,
    pub retry: RetryDelay,
}

impl Default for RelaySettings {
    fn default() -> Self {
        Self {
            batch: 100,
            claims_in_flight: 4,
            lease: Duration::from_secs(60),
            scan_every: Duration::from_secs(1),
            retry: RetryDelay::new(Duration::from_millis(500), Duration::from_secs(60)),
        }
    }
}

/// What traces and metrics call the bus and its topics; [`Publisher`] doesn't tell.
#[derive(Debug, Clone)]
pub struct BusLabels {
    /// `messaging.system`, such as `aws.sns`.
    pub system: &'static str,
    pub names: Names,
}

impl Default for BusLabels {
    fn default() -> Self {
        Self { system: "unknown", names: Names::default() }
    }
}

/// Publishes what is in one database's outbox.
#[derive(Debug, Clone)]
pub struct Relay {
    pool: PgPool,
    publisher: Arc<dyn Publisher>,
    settings: RelaySettings,
    clock: Clock,
    labels: BusLabels,
    service: &'static str,
}

/// What one round did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Relayed {
    pub claimed: usize,
    pub published: usize,
    pub backed_off: usize,
    pub failed: usize,
}

/// After a failed claim or settlement the database gets this long to recover.
const DATABASE_RETRY: RetryDelay = RetryDelay::new(Duration::from_millis(200), Duration::from_secs(10));
const SETTLE_ATTEMPTS: u32 = 4;
const SHOWN_ERROR: usize = 500;

impl Relay {
    pub fn new(pool: PgPool, publisher: Arc<dyn Publisher>, settings: RelaySettings, clock: Clock) -> Self {
        Self { pool, publisher, settings, clock, labels: BusLabels::default(), service: "unknown" }
    }

    #[must_use]
    pub fn labelled(self, labels: BusLabels) -> Self {
        Self { labels, ..self }
    }

    /// Whose outbox it is, which gauges carry: one process may relay for several, and the last that set one would speak
    /// for all.
    #[must_use]
    pub fn of(self, service: &'static str) -> Self {
        Self { service, ..self }
    }

    /// Relays until `stop`, then finishes what is claimed and returns. Survives outages of the database and of the bus.
    pub async fn run(self, wake: Wake, stop: CancellationToken) {
        let maintenance = keep_in_order(self.pool.clone(), self.service, self.clock.clone(), stop.clone());
        tokio::join!(self.relay(wake, stop), maintenance);
    }

    async fn relay(&self, wake: Wake, stop: CancellationToken) {
        let permits = Arc::new(Semaphore::new(self.settings.claims_in_flight));
        // Settling makes no claim wait: claims that began together end together, and the bus would have nothing to do
        // while all of them settle. But no more are left unsettled than are being published.
        let unsettled = Arc::new(Semaphore::new(self.settings.claims_in_flight));
        let tasks = TaskTracker::new();
        let mut failures = 0;
        loop {
            let permit = tokio::select! {
                biased;
                () = stop.cancelled() => break,
                permit = permits.clone().acquire_owned() => permit.expect("the semaphore is never closed"),
            };
            // Not raced against `stop`: a claim that is dropped half-way leaves rows leased to nobody.
            let pause = match lease::claim(&self.pool, self.settings.batch, self.settings.lease).await {
                Ok(claim) => {
                    failures = 0;
                    let full = claim.rows.len() == self.settings.batch;
                    if !claim.rows.is_empty() {
                        let (relay, unsettled) = (self.clone(), unsettled.clone());
                        tasks.spawn(async move {
                            let outcome = relay.publish(&claim.rows).await;
                            let settling = unsettled.acquire_owned().await;
                            drop(permit);
                            relay.settle(&claim, &outcome).await;
                            drop(settling);
                        });
                    }
                    (!full).then_some(self.settings.scan_every)
                }
                Err(error) => {
                    failures += 1;
                    log_database_error(&error, failures);
                    Some(DATABASE_RETRY.after(failures))
                }
            };
            if let Some(pause) = pause {
                tokio::select! {
                    () = stop.cancelled() => break,
                    () = wake.woken(), if failures == 0 => {}
                    () = tokio::time::sleep(pause) => {}
                }
            }
        }
        tasks.close();
        tasks.wait().await;
    }

    /// One claim, published and settled. For tools and tests that want to know what happened.
    pub async fn relay_once(&self) -> Result<Relayed, RelayDatabaseError> {
        let claim = lease::claim(&self.pool, self.settings.batch, self.settings.lease).await?;
        Ok(self.publish_and_settle(claim).await)
    }

    async fn publish_and_settle(&self, claim: Claim) -> Relayed {
        let outcome = self.publish(&claim.rows).await;
        self.settle(&claim, &outcome).await
    }

    async fn settle(&self, claim: &Claim, outcome: &Outcome) -> Relayed {
        let relayed = Relayed {
            claimed: claim.rows.len(),
            published: outcome.published.len(),
            backed_off: outcome.backed_off.len(),
            failed: outcome.failed.len(),
        };
        record(&relayed);
        for attempt in 1..=SETTLE_ATTEMPTS {
            match lease::settle(&self.pool, claim.token, outcome).await {
                Ok(settled) => {
                    record_lost_leases(&relayed, settled);
                    break;
                }
                // Past the last attempt the lease runs out and the rows are published again.
                Err(error) => {
                    log_database_error(&error, attempt);
                    tokio::time::sleep(DATABASE_RETRY.after(attempt)).await;
                }
            }
        }
        relayed
    }

    async fn publish(&self, rows: &[Claimed]) -> Outcome {
        let mut by_type: BTreeMap<&str, Vec<&Claimed>> = BTreeMap::new();
        for row in rows {
            by_type.entry(&row.event_type).or_default().push(row);
        }
        let topics = by_type.into_iter().map(|(event_type, rows)| async move {
            let messages: Vec<_> = rows.iter().map(|row| row.message.clone()).collect();
            let topic = self.labels.names.topic(event_type);
            let span = trace::sending(self.labels.system, &topic, &rows);
            let publishing = self.publisher.publish(event_type, &messages).instrument(span.clone());
            // Well inside the lease, so that what is settled is still ours.
            let results = match tokio::time::timeout(self.settings.lease / 2, publishing).await {
                Ok(results) => results,
                Err(_) => vec![Err(EntryError::unavailable("Timeout", "publishing took half the lease")); rows.len()],
            };
            trace::sent(&span, &results);
            measure::count_sent(self.labels.system, &topic, &results);
            rows.into_iter().zip(results).collect::<Vec<_>>()
        });
        let mut outcome = Outcome::default();
        for (row, result) in futures_util::future::join_all(topics).await.into_iter().flatten() {
            self.sort(row, result, &mut outcome);
        }
        outcome
    }

    fn sort(&self, row: &Claimed, result: Result<MessageId, EntryError>, outcome: &mut Outcome) {
        match result {
            Ok(_) => outcome.published.push(row.event_id),
            Err(error @ EntryError::Refused { .. }) => {
                tracing::error!(event_id = %row.event_id, event_type = row.event_type, %error,
                    "the bus refused an event; it stays in the outbox as failed");
                outcome.failed.push((row.event_id, shown(&error)));
            }
            Err(error) => {
                let delay = self.settings.retry.after(row.attempts);
                tracing::warn!(event_id = %row.event_id, event_type = row.event_type, attempts = row.attempts, %error,
                    "publishing failed; backing off");
                outcome.backed_off.push((row.event_id, delay, shown(&error)));
            }
        }
    }
}

/// Without U+0000, which PostgreSQL doesn't store: one error's text must not undo the settling of a whole claim.
fn shown(error: &EntryError) -> String {
    error
        .to_string()
        .chars()
        .take(SHOWN_ERROR)
        .map(|c| if c == '\0' { char::REPLACEMENT_CHARACTER } else { c })
        .collect()
}

fn record(relayed: &Relayed) {
    counter!("outbox_published_total").increment(relayed.published as u64);
    counter!("outbox_publish_backed_off_total").increment(relayed.backed_off as u64);
    counter!("outbox_publish_refused_total").increment(relayed.failed as u64);
    histogram!("outbox_claim_rows").record(relayed.claimed as f64);
}

fn record_lost_leases(relayed: &Relayed, settled: Settled) {
    let expected = (relayed.published + relayed.backed_off + relayed.failed) as u64;
    let found = settled.published + settled.backed_off + settled.failed;
    let lost = expected.saturating_sub(found);
    if lost > 0 {
        counter!("outbox_leases_lost_total").increment(lost);
        tracing::warn!(rows = lost, "another relay settled rows of this one: the lease is too short for this bus");
    }
}

fn log_database_error(error: &RelayDatabaseError, failures: u32) {
    let cause = std::error::Error::source(error).map(ToString::to_string).unwrap_or_default();
    tracing::warn!(%error, cause, failures, "the outbox's database does not answer as it should; trying again");
}
