//! Where an operator works: one consumer's queues and its database; and looking at a queue so that nothing stays behind.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use anyhow::Context;
use clap::{Args, value_parser};
use messaging::Bus;
use redrive::{Approval, Inbox, Look, Places, Snapshot};
use schemas::Clock;
use service::{
    ErrorChain,
    settings::{Env, SettingErrors, all},
};
use sqlx::PgPool;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use worker::Consumer;

use super::Interrupted;
use crate::{
    Usage,
    bus::BusSettings,
    consumers::{ConsumerProcess, OneConsumer},
    progress::bar,
};

#[derive(Debug, Args)]
pub struct Source {
    #[command(flatten)]
    consumer: OneConsumer,
    #[command(flatten)]
    look: LookSettings,
}

/// Where and how to look, whoever's letters they are.
#[derive(Debug, Clone, Copy, Args)]
pub struct LookSettings {
    /// What SNS could not deliver, instead of what workers gave up
    #[arg(long)]
    undelivered: bool,
    /// Seconds for which messages stay hidden if this process is killed while it looks
    #[arg(long, value_name = "SECONDS", default_value_t = 120, value_parser = value_parser!(u64).range(2..=43_200))]
    lease: u64,
    /// Look at no more messages than this
    #[arg(long, value_name = "N", default_value_t = Look::default().most)]
    most: usize,
}

/// Why something is done, and whether it is.
#[derive(Debug, Args)]
pub struct Consent {
    /// Do it; without this, say what would be done
    #[arg(long)]
    pub execute: bool,
    /// Why; put on record, so it goes with --execute
    #[arg(long, value_name = "WORDS")]
    pub reason: Option<String>,
}

impl Consent {
    /// `None` for a dry run.
    pub fn approval(&self, env: &Env) -> anyhow::Result<Option<Approval>> {
        approval(env, self.execute, self.reason.as_deref())
    }
}

pub fn approval(env: &Env, execute: bool, reason: Option<&str>) -> anyhow::Result<Option<Approval>> {
    Approval::given(execute, &actor(env)?, reason).map_err(|error| Usage(error.to_string()).into())
}

/// Who works here, as far as the environment knows.
fn actor(env: &Env) -> anyhow::Result<String> {
    for name in ["WAYPOST_ACTOR", "SUDO_USER", "USER", "LOGNAME"] {
        if let Some(actor) = env.optional(name)? {
            return Ok(actor.to_owned());
        }
    }
    Ok("unknown".to_owned())
}

/// Everything that a command works with.
pub struct Desk {
    pub bus: Arc<dyn Bus>,
    pub consumer: Consumer,
    pub pool: PgPool,
    pub clock: Clock,
    pub places: Places,
    look: Look,
}

impl Source {
    pub async fn open(&self, env: &Env) -> anyhow::Result<Desk> {
        self.look.open(env, self.consumer.get()).await
    }
}

impl LookSettings {
    pub fn new(undelivered: bool, lease: u64) -> Self {
        Self { undelivered, lease, most: Look::default().most }
    }

    pub async fn open(self, env: &Env, row: &ConsumerProcess) -> anyhow::Result<Desk> {
        let consumer = (row.registered)();
        let (settings, database) = all((BusSettings::from_env(env), row.database(env)))?;
        if self.undelivered && settings.is_embedded() {
            let why = "--undelivered: the bus in PostgreSQL delivers in the transaction that publishes, so there is nothing \
                       that it could not deliver";
            return Err(Usage(why.to_owned()).into());
        }
        database.wait_until_ready(settings.patience).await?;
        let bus = settings.connect().await?;
        let dead = match self.undelivered {
            true => bus.names().undelivered_queue(consumer.name()),
            false => bus.names().dead_letter_queue(consumer.name()),
        };
        let (dead_letters, queue) =
            tokio::try_join!(bus.queue(&dead), async { bus.queue(&bus.names().queue(consumer.name())).await })
                .context("are the queues there? `waypost topology plan` tells")?;
        Ok(Desk {
            consumer,
            pool: database.connect_lazy("waypost-dlq"),
            clock: Clock::system(),
            places: Places { dead_letters, queue },
            look: Look { lease: Duration::from_secs(self.lease), most: self.most },
            bus,
        })
    }
}

/// Where a look is at several consumers, one that can't be looked at is told and passed over. Settings are about all of
/// them, and so is somebody who wants an end.
pub fn pass_over(consumer: &ConsumerProcess, of: usize, error: anyhow::Error) -> anyhow::Result<()> {
    if of < 2 || error.is::<SettingErrors>() || error.is::<Interrupted>() {
        return Err(error);
    }
    eprintln!("{} was not looked at: {}", consumer.name, ErrorChain(error.as_ref()));
    Ok(())
}

impl Desk {
    pub async fn inbox(&self) -> anyhow::Result<Inbox> {
        Ok(Inbox::of(self.consumer.clone(), self.pool.clone(), self.clock.clone()).await?)
    }

    /// Takes a snapshot, does `work` with it, and hands back what is held, whatever came of it. Ctrl-C ends the look at once.
    pub async fn look<T>(&self, work: impl AsyncFnOnce(&Snapshot) -> anyhow::Result<T>) -> anyhow::Result<T> {
        self.take(async |snapshot, stop| {
            tokio::select! {
                biased;
                () = stop.cancelled() => Err(Interrupted.into()),
                done = work(snapshot) => done,
            }
        })
        .await
    }

    /// As [`Self::look`], but Ctrl-C only cancels the token: the work ends where it can.
    pub async fn take<T>(
        &self,
        work: impl AsyncFnOnce(&Snapshot, &CancellationToken) -> anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        let stop = until_somebody_stops();
        let bar = bar("reading", 0);
        let told = |seen: usize, of: u64| {
            bar.set_length(of.max(seen as u64));
            bar.set_position(seen as u64);
        };
        let taken = Snapshot::take(self.places.dead_letters.clone(), self.look, &stop, told).await;
        bar.finish_and_clear();
        let snapshot = taken?;
        let done = if stop.is_cancelled() { Err(Interrupted.into()) } else { work(&snapshot, &stop).await };
        let left = snapshot.hand_back().await;
        if left > 0 {
            let lease = self.look.lease.as_secs();
            eprintln!("{left} messages could not be handed back; they can be seen again in {lease} s");
        }
        done
    }
}

/// Cancelled by the first Ctrl-C or SIGTERM. The second ends the process, and what it holds shows itself when its lease ends.
pub fn until_somebody_stops() -> CancellationToken {
    // One for the process: a command may look at several queues.
    static STOP: OnceLock<CancellationToken> = OnceLock::new();
    STOP.get_or_init(listen).clone()
}

fn listen() -> CancellationToken {
    let stop = CancellationToken::new();
    let told = stop.clone();
    tokio::spawn(async move {
        let Ok(mut terminated) = signal(SignalKind::terminate()) else { return };
        let mut asked = async || {
            tokio::select! {
                _ = tokio::signal::ctrl_c() => {}
                _ = terminated.recv() => {}
            }
        };
        asked().await;
        eprintln!("ending; once more to end at once");
        told.cancel();
        asked().await;
        std::process::exit(i32::from(super::INTERRUPTED));
    });
    stop
}
