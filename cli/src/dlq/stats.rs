use std::{process::ExitCode, time::Duration};

use clap::{Args, value_parser};
use serde::Serialize;
use service::settings::Env;
use time::OffsetDateTime;

use super::desk::{Desk, LookSettings, pass_over, until_somebody_stops};
use crate::{FAILED, consumers::SomeConsumers, moment, outln, table};

/// What queues and tables count, roughly: nothing is received, so nothing is held. Where there are several consumers, each
/// has a line, and an object in JSON.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  waypost dlq stats
  waypost dlq stats --watch                                   every two seconds, until Ctrl-C
  waypost dlq stats --watch --json | jq .deadLetters.visible")]
pub struct Stats {
    #[command(flatten)]
    consumers: SomeConsumers,
    #[command(flatten)]
    look: LookSettings,
    /// Go on until Ctrl-C
    #[arg(long)]
    watch: bool,
    /// Seconds between two looks
    #[arg(long, value_name = "SECONDS", default_value_t = 2, value_parser = value_parser!(u64).range(1..=3_600))]
    every: u64,
    /// One object a line
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Tick {
    #[serde(with = "time::serde::rfc3339")]
    at: OffsetDateTime,
    queue: Waiting,
    dead_letters: Waiting,
    /// Dead-lettered with a reason on record, by that reason.
    last_hour: Vec<Arrivals>,
    last_minute: i64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Waiting {
    name: String,
    visible: u64,
    in_flight: u64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Arrivals {
    reason: String,
    letters: i64,
}

impl Stats {
    pub async fn execute(self, env: &Env) -> anyhow::Result<ExitCode> {
        let consumers = self.consumers.get(env);
        let mut desks = Vec::new();
        for consumer in &consumers {
            match self.look.open(env, consumer).await {
                Ok(desk) => desks.push(desk),
                Err(error) => pass_over(consumer, consumers.len(), error)?,
            }
        }
        let code = if desks.len() < consumers.len() { ExitCode::from(FAILED) } else { ExitCode::SUCCESS };
        if !self.watch {
            self.print(&desks, true).await?;
            return Ok(code);
        }
        let mut tick = tokio::time::interval(Duration::from_secs(self.every));
        let stop = until_somebody_stops();
        let mut first = true;
        while stop.run_until_cancelled(tick.tick()).await.is_some() {
            self.print(&desks, first).await?;
            first = false;
        }
        Ok(code)
    }

    async fn print(&self, desks: &[Desk], header: bool) -> anyhow::Result<()> {
        // Of one it goes without saying.
        let names = desks.iter().map(|desk| desk.consumer.name()).filter(|_| desks.len() > 1);
        let width = names.map(|name| name.len() + 2).max().unwrap_or_default();
        if header && !self.json {
            let consumer = if width > 0 { "CONSUMER" } else { "" };
            outln!(
                "{:<20}  {consumer:<width$}{:>8}  {:>8}  {:>6}  {:>10}  {:>9}  TOP",
                "AT",
                "WAITING",
                "IN HAND",
                "DEAD",
                "LAST MIN",
                "LAST HOUR"
            );
        }
        for desk in desks {
            let tick = look(desk).await?;
            if self.json {
                outln!("{}", serde_json::to_string(&tick)?);
                continue;
            }
            let Tick { at, queue, dead_letters, last_hour, last_minute } = tick;
            let hour: i64 = last_hour.iter().map(|one| one.letters).sum();
            let top = last_hour.first().map_or_else(String::new, |top| format!("{} {}", top.letters, top.reason));
            let name = if width > 0 { desk.consumer.name() } else { "" };
            outln!(
                "{:<20}  {name:<width$}{:>8}  {:>8}  {:>6}  {last_minute:>10}  {hour:>9}  {}",
                moment::shown(at),
                queue.visible,
                queue.in_flight,
                dead_letters.visible + dead_letters.in_flight,
                table::shortened(&top, 10),
            );
        }
        Ok(())
    }
}

async fn look(desk: &Desk) -> anyhow::Result<Tick> {
    let at = desk.clock.now();
    let (queue, dead) = tokio::try_join!(desk.places.queue.counts(), desk.places.dead_letters.counts())?;
    let (hour, minute) = tokio::try_join!(
        worker::arrivals(&desk.pool, at - time::Duration::HOUR),
        worker::arrivals(&desk.pool, at - time::Duration::MINUTE),
    )?;
    let waiting = |name: &str, counts: messaging::Counts| Waiting {
        name: name.to_owned(),
        visible: counts.visible,
        in_flight: counts.in_flight,
    };
    Ok(Tick {
        at,
        queue: waiting(desk.places.queue.name(), queue),
        dead_letters: waiting(desk.places.dead_letters.name(), dead),
        last_hour: hour.into_iter().map(|(reason, letters)| Arrivals { reason, letters }).collect(),
        last_minute: minute.iter().map(|(_, letters)| letters).sum(),
    })
}
