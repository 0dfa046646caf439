//! A producer, in a process that may be killed at any moment: it makes accounts with their events in transactions, as
//! many as are missing. What counts as an event is what is committed, so it begins by reading what that is.

use std::{collections::HashSet, convert::Infallible, time::Duration};

use anyhow::Context;
use clap::Args;
use schemas::Envelope;
use serde_json::value::RawValue;
use sqlx::{Connection, PgConnection, postgres::PgConnectOptions};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::{
    accounts::make_account,
    plan::{Breakage, Plan, Poison, Role},
};

#[derive(Debug, Args)]
pub struct Produce {
    /// Of the run's plan
    #[arg(long)]
    seed: u64,
    #[arg(long)]
    events: u32,
    #[arg(long)]
    kills: u32,
    /// Which of the producers this is: each has events of its own
    #[arg(long)]
    number: usize,
    #[arg(long, env = "AUTH_DATABASE_URL", hide_env_values = true)]
    database: String,
}

const LARGEST_TRANSACTION: usize = 40;
/// So many events may wait for a relay. Without a limit all would be committed before anything else has begun.
const BACKLOG: i64 = 400;
const LOOK_AGAIN: Duration = Duration::from_millis(20);
const TRY_AGAIN: Duration = Duration::from_millis(200);
const CONNECT: Duration = Duration::from_secs(5);

impl Produce {
    /// Until SIGTERM: a producer that has made everything waits, so that it can still be killed.
    pub async fn execute(self) -> anyhow::Result<()> {
        let plan = Plan::draw(self.seed, self.events, self.kills);
        let mut terminated = signal(SignalKind::terminate())?;
        tokio::select! {
            _ = terminated.recv() => Ok(()),
            never = self.produce(&plan) => match never? {},
        }
    }

    async fn produce(&self, plan: &Plan) -> anyhow::Result<Infallible> {
        let database: PgConnectOptions = self.database.parse().context("AUTH_DATABASE_URL is no URL of PostgreSQL")?;
        let wake = outbox::Wake::new();
        tokio::spawn(outbox::announce(database.clone(), wake.clone(), CancellationToken::new()));
        loop {
            // What became of a COMMIT that was not answered, the next look tells.
            match self.produce_missing(plan, &database, &wake).await {
                Ok(()) => std::future::pending().await,
                Err(error) => eprintln!("trying again: {error:#}"),
            }
            tokio::time::sleep(TRY_AGAIN).await;
        }
    }

    async fn produce_missing(
        &self,
        plan: &Plan,
        database: &PgConnectOptions,
        wake: &outbox::Wake,
    ) -> anyhow::Result<()> {
        let mut connection = tokio::time::timeout(CONNECT, PgConnection::connect_with(database)).await??;
        let made: Vec<String> = sqlx::query_scalar("SELECT email FROM users").fetch_all(&mut connection).await?;
        let made: HashSet<u32> = made.iter().filter_map(|address| Plan::number_of(address)).collect();
        let own = (0..plan.events).filter(|event| *event as usize % Role::Producer.processes() == self.number);
        let missing: Vec<_> = own.filter(|event| !made.contains(event)).collect();
        eprintln!("{} events are there, {} more are to come from here", made.len(), missing.len());
        let mut dice = plan.dice(self.number as u64);
        let mut missing = missing.as_slice();
        while !missing.is_empty() {
            wait_for_relays(&mut connection).await?;
            let size = 1 + dice.below(LARGEST_TRANSACTION);
            let (next, rest) = missing.split_at(size.min(missing.len()));
            let mut tx = connection.begin().await?;
            for event in next {
                make_account(&mut tx, &plan.address(*event), |envelope| spoil(envelope, plan.poison(*event))).await?;
            }
            tx.commit().await?;
            wake.wake();
            missing = rest;
        }
        Ok(())
    }
}

async fn wait_for_relays(connection: &mut PgConnection) -> anyhow::Result<()> {
    let waiting = "SELECT count(*) FROM outbox WHERE status = 'pending'";
    while sqlx::query_scalar::<_, i64>(waiting).fetch_one(&mut *connection).await? > BACKLOG {
        tokio::time::sleep(LOOK_AGAIN).await;
    }
    Ok(())
}

/// Breaks the payload of an event that must die of that.
fn spoil(envelope: &mut Envelope, poison: Option<Poison>) {
    let Some(Poison::Broken(breakage)) = poison else { return };
    let payload = match breakage {
        Breakage::NoObject => "[]".to_owned(),
        Breakage::NoAddress => envelope.data.get().replace("\"email\":", "\"mail\":"),
        Breakage::NoId => envelope.data.get().replace("\"userId\":\"", "\"userId\":\"not "),
    };
    match RawValue::from_string(payload) {
        Ok(broken) => envelope.data = broken,
        Err(error) => unreachable!("what was JSON still is: {error}"),
    }
}
