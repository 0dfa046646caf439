//! Circuit breakers: one for the database, one for whatever else each handler needs.
//!
//! SQS counts every receive, also of a message that is released at once. Retrying through the queue while something is
//! down would therefore dead-letter healthy messages, twenty receives later. A message in hand costs nothing: so a breaker
//! that opens stops polling and has batches wait under their leases, while the dependency itself is asked whether it is
//! back. No message is a probe. When it answers, one batch goes first, and the others follow when that one got through.
//!
//! ```text
//! closed ──trip──► open ──the probe answers──► trial ──the batch got through──► closed
//!                   ▲                            │
//!                   └───────────trip─────────────┘     nobody waits for it: closed
//! ```
//!
//! Invariant: while a breaker is open somebody probes, until the worker stops; so no breaker stays open for want of a
//! batch that could close it.

use std::{
    error::Error,
    panic::AssertUnwindSafe,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures_util::{FutureExt, future::BoxFuture};
use messaging::RetryDelay;
use sqlx::PgPool;
use tokio::{
    sync::{Notify, watch},
    time::{Instant, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{measure, transaction::failure::chain};

type Answer = Result<(), Box<dyn Error + Send + Sync>>;
type Ask = dyn Fn() -> BoxFuture<'static, Answer> + Send + Sync;

/// How many breakers are not closed. Polling stops while there is any.
#[derive(Debug, Clone)]
pub(crate) struct Circuits(watch::Sender<usize>);

impl Circuits {
    pub fn all_closed() -> Self {
        Self(watch::Sender::new(0))
    }

    pub fn is_any_open(&self) -> bool {
        *self.0.borrow() > 0
    }

    pub async fn until_all_closed(&self) {
        let mut open = self.0.subscribe();
        // The sender lives in `self`, so this can't fail.
        let _ = open.wait_for(|open| *open == 0).await;
    }
}

/// Cheap to clone.
#[derive(Clone)]
pub(crate) struct Breaker(Arc<Inner>);

struct Inner {
    consumer: &'static str,
    dependency: &'static str,
    ask: Box<Ask>,
    delay: RetryDelay,
    state: Mutex<State>,
    changed: Notify,
    circuits: Circuits,
    probing: TaskTracker,
    soft: CancellationToken,
}

struct State {
    phase: Phase,
    /// Since when it is not closed.
    since: Option<Instant>,
    /// How often it was asked since then.
    probes: u32,
    waiting: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Closed,
    Open,
    Trial { begun: bool },
}

/// What the breakers of one worker share.
#[derive(Clone)]
pub(crate) struct Probing {
    pub consumer: &'static str,
    pub circuits: Circuits,
    pub delay: RetryDelay,
    pub tasks: TaskTracker,
    /// No more probing once this is cancelled.
    pub soft: CancellationToken,
}

const PROBE_TIMEOUT: Duration = Duration::from_secs(2);

impl Breaker {
    pub fn new(
        dependency: &'static str,
        probing: Probing,
        ask: impl Fn() -> BoxFuture<'static, Answer> + Send + Sync + 'static,
    ) -> Self {
        let Probing { consumer, circuits, delay, tasks, soft } = probing;
        let state = State { phase: Phase::Closed, since: None, probes: 0, waiting: 0 };
        measure::circuit(consumer, dependency, false);
        Self(Arc::new(Inner {
            consumer,
            dependency,
            ask: Box::new(ask),
            delay,
            state: Mutex::new(state),
            changed: Notify::new(),
            circuits,
            probing: tasks,
            soft,
        }))
    }

    pub fn of_database(pool: PgPool, probing: Probing) -> Self {
        Self::new("database", probing, move || {
            let pool = pool.clone();
            Box::pin(async move { database_answers(&pool).await })
        })
    }

    /// Goes through at once where the breaker is closed; else waits for it, for `hold` at the most. `Err` says how long to
    /// hand messages back for: the waiting is over, or the worker is.
    pub async fn pass(&self, hold: Duration) -> Result<Pass<'_>, Duration> {
        let mut waiting: Option<Waiting<'_>> = None;
        loop {
            // Registered before looking, so that no change is missed in between.
            let changed = self.0.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            let until = {
                let mut state = self.state();
                match state.phase {
                    Phase::Closed => return Ok(Pass { breaker: self, trial: false }),
                    Phase::Trial { begun: false } => {
                        state.phase = Phase::Trial { begun: true };
                        return Ok(Pass { breaker: self, trial: true });
                    }
                    Phase::Trial { begun: true } | Phase::Open => {}
                }
                if waiting.is_none() {
                    state.waiting += 1;
                    waiting = Some(Waiting(self));
                }
                state.since.unwrap_or_else(Instant::now) + hold
            };
            tokio::select! {
                biased;
                // A worker that stops hands its messages back at once, however long they were held.
                () = self.0.soft.cancelled() => return Err(Duration::ZERO),
                () = changed => {}
                () = tokio::time::sleep_until(until) => {
                    let probes = self.state().probes;
                    return Err(self.0.delay.after(probes));
                }
            }
        }
    }

    /// Something said that the dependency is down.
    pub fn trip(&self, error: &(dyn Error + 'static)) {
        let mut state = self.state();
        let held_for = state.since.map(|since| since.elapsed()).unwrap_or_default();
        match state.phase {
            Phase::Open => return,
            Phase::Closed => {
                state.since = Some(Instant::now());
                state.probes = 0;
                self.0.circuits.0.send_modify(|open| *open += 1);
                measure::circuit(self.0.consumer, self.0.dependency, true);
            }
            Phase::Trial { .. } => {}
        }
        state.phase = Phase::Open;
        drop(state);
        tracing::warn!(
            dependency = self.0.dependency,
            error = chain(error),
            ?held_for,
            "a dependency is down: polling stops, messages in hand are held"
        );
        let breaker = self.clone();
        self.0.probing.spawn(async move { breaker.probe_until_it_answers().await });
    }

    /// Something got through to the dependency.
    pub fn close(&self) {
        let mut state = self.state();
        if state.phase != Phase::Closed {
            self.closed(&mut state);
        }
    }

    fn closed(&self, state: &mut State) {
        tracing::info!(dependency = self.0.dependency, probes = state.probes, "a dependency is back");
        state.phase = Phase::Closed;
        state.since = None;
        self.0.circuits.0.send_modify(|open| *open -= 1);
        measure::circuit(self.0.consumer, self.0.dependency, false);
        self.0.changed.notify_waiters();
    }

    async fn probe_until_it_answers(&self) {
        loop {
            let pause = {
                let mut state = self.state();
                state.probes += 1;
                self.0.delay.after(state.probes)
            };
            if self.0.soft.run_until_cancelled(tokio::time::sleep(pause)).await.is_none() {
                return;
            }
            // A probe that panicked must not leave the breaker open for good.
            let asked = AssertUnwindSafe((self.0.ask)()).catch_unwind();
            let failed = match timeout(PROBE_TIMEOUT, asked).await {
                Ok(Ok(Ok(()))) => None,
                Ok(Ok(Err(error))) => Some(chain(&*error)),
                Ok(Err(_)) => Some("the probe panicked".to_owned()),
                Err(_) => Some(format!("no answer within {PROBE_TIMEOUT:?}")),
            };
            let mut state = self.state();
            // It may have been closed by what got through meanwhile.
            if state.phase != Phase::Open {
                return;
            }
            let Some(error) = failed else {
                self.answered(&mut state);
                return;
            };
            tracing::warn!(dependency = self.0.dependency, error, probes = state.probes, "still down");
        }
    }

    fn answered(&self, state: &mut State) {
        if state.waiting == 0 {
            self.closed(state);
        } else {
            state.phase = Phase::Trial { begun: false };
            self.0.changed.notify_waiters();
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The right to try. What came of it is told to the breaker; a trial of which nothing came passes to the next in line.
pub(crate) struct Pass<'a> {
    breaker: &'a Breaker,
    trial: bool,
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        let mut state = self.breaker.state();
        if self.trial && state.phase == (Phase::Trial { begun: true }) {
            self.breaker.answered(&mut state);
        }
    }
}

struct Waiting<'a>(&'a Breaker);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.waiting -= 1;
        // The last to wait for a trial has gone, and polling must not wait for it.
        if state.waiting == 0 && state.phase == (Phase::Trial { begun: false }) {
            self.0.closed(&mut state);
        }
    }
}

async fn database_answers(pool: &PgPool) -> Answer {
    sqlx::query_scalar::<_, i32>("SELECT 1").fetch_one(pool).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

    use super::*;

    struct Plant {
        breaker: Breaker,
        circuits: Circuits,
        soft: CancellationToken,
        up: Arc<AtomicBool>,
        probes: Arc<AtomicU32>,
    }

    const HOLD: Duration = Duration::from_secs(600);

    fn plant(answers: impl Fn() -> Answer + Send + Sync + 'static) -> Plant {
        let (circuits, soft) = (Circuits::all_closed(), CancellationToken::new());
        let (up, probes) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU32::new(0)));
        let probing = Probing {
            consumer: "notes",
            circuits: circuits.clone(),
            delay: RetryDelay::new(Duration::from_secs(1), Duration::from_secs(5)),
            tasks: TaskTracker::new(),
            soft: soft.clone(),
        };
        let (is_up, asked, answers) = (up.clone(), probes.clone(), Arc::new(answers));
        let breaker = Breaker::new("plant", probing, move || {
            asked.fetch_add(1, Ordering::SeqCst);
            let (up, answers) = (is_up.load(Ordering::SeqCst), answers.clone());
            Box::pin(async move { if up { answers() } else { Err("down".into()) } })
        });
        Plant { breaker, circuits, soft, up, probes }
    }

    fn down() -> std::io::Error {
        std::io::Error::other("down")
    }

    #[tokio::test(start_paused = true)]
    async fn one_goes_first_when_it_answers_and_the_others_follow_when_that_one_got_through() {
        let plant = plant(|| Ok(()));
        drop(plant.breaker.pass(HOLD).await.unwrap());
        plant.breaker.trip(&down());
        let waiting: Vec<_> = (0..3)
            .map(|_| {
                let breaker = plant.breaker.clone();
                tokio::spawn(async move {
                    let pass = breaker.pass(HOLD).await.unwrap();
                    let was_first = pass.trial;
                    if was_first {
                        tokio::time::sleep(Duration::from_secs(30)).await;
                        breaker.close();
                    }
                    (was_first, Instant::now())
                })
            })
            .collect();
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert!(plant.circuits.is_any_open() && waiting.iter().all(|task| !task.is_finished()));
        assert!(plant.probes.load(Ordering::SeqCst) >= 12, "at most five seconds apart");
        plant.up.store(true, Ordering::SeqCst);
        let mut ended = Vec::new();
        for task in waiting {
            ended.push(task.await.unwrap());
        }
        assert_eq!(ended.iter().filter(|(first, _)| *first).count(), 1);
        let [first, last] = [ended.iter().map(|(_, at)| *at).min(), ended.iter().map(|(_, at)| *at).max()];
        assert_eq!(first, last, "the others follow at once");
        assert!(!plant.circuits.is_any_open());
    }

    #[tokio::test(start_paused = true)]
    async fn a_trial_that_fails_opens_it_again_and_one_of_which_nothing_came_passes_on() {
        let plant = plant(|| Ok(()));
        plant.up.store(true, Ordering::SeqCst);
        plant.breaker.trip(&down());
        let first = plant.breaker.pass(HOLD).await.unwrap();
        plant.breaker.trip(&down());
        drop(first);
        assert!(plant.circuits.is_any_open());
        let (second, breaker) = (plant.breaker.pass(HOLD).await.unwrap(), plant.breaker.clone());
        assert!(second.trial);
        let third = tokio::spawn(async move { breaker.pass(HOLD).await.unwrap().trial });
        tokio::time::sleep(Duration::from_secs(1)).await;
        // Its lease was lost, say.
        drop(second);
        assert!(third.await.unwrap());
        // And nobody waits any more: it would stay open for want of a batch.
        assert!(!plant.circuits.is_any_open());
    }

    #[tokio::test(start_paused = true)]
    async fn it_closes_without_a_trial_where_nobody_waits() {
        let plant = plant(|| Ok(()));
        plant.breaker.trip(&down());
        plant.up.store(true, Ordering::SeqCst);
        plant.circuits.until_all_closed().await;
    }

    #[tokio::test(start_paused = true)]
    async fn waiting_ends_with_the_hold_and_with_the_worker() {
        let plant = plant(|| Ok(()));
        plant.breaker.trip(&down());
        let began = Instant::now();
        assert!(plant.breaker.pass(HOLD).await.err().is_some_and(|delay| delay <= Duration::from_secs(5)));
        assert_eq!(began.elapsed(), HOLD);
        plant.soft.cancel();
        assert_eq!(plant.breaker.pass(HOLD).await.err(), Some(Duration::ZERO));
    }

    #[tokio::test(start_paused = true)]
    async fn a_probe_that_panics_or_hangs_is_a_probe_that_failed() {
        let panics = Arc::new(AtomicBool::new(true));
        let plant = plant({
            let panics = panics.clone();
            move || if panics.load(Ordering::SeqCst) { panic!("a mistake") } else { Ok(()) }
        });
        plant.up.store(true, Ordering::SeqCst);
        plant.breaker.trip(&down());
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert!(plant.circuits.is_any_open() && plant.probes.load(Ordering::SeqCst) > 1);
        panics.store(false, Ordering::SeqCst);
        plant.circuits.until_all_closed().await;
    }
}
