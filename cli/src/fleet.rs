//! `waypost fleet`: which workers there are, by the rows they write about themselves.

use std::process::ExitCode;

use clap::Args;
use schemas::Clock;
use serde::Serialize;
use service::settings::{Env, SettingErrors};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use worker::Seen;

use crate::{
    bus::patience,
    consumers::{ConsumerProcess, SomeConsumers},
    outln,
};

#[derive(Debug, Args)]
pub struct Fleet {
    #[command(flatten)]
    consumers: SomeConsumers,
    /// Print them as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Row {
    worker: String,
    consumer: String,
    queue: String,
    version: String,
    /// `working`, `holding` while a dependency is down, `gone` when it has not been seen for a while.
    state: String,
    in_flight: i32,
    received_per_second: f64,
    applied_per_second: f64,
    failed_per_second: f64,
    #[serde(with = "time::serde::rfc3339")]
    started_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339")]
    seen_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339::option")]
    last_poll_at: Option<OffsetDateTime>,
}

impl Fleet {
    /// 1 where nobody works for one of them.
    pub async fn execute(self, env: &Env) -> anyhow::Result<ExitCode> {
        let consumers = self.consumers.get(env);
        let mut wrong = SettingErrors::default();
        let patience = wrong.keep(patience(env));
        let read = |row: &&'static ConsumerProcess| Some((*row, wrong.keep(row.database(env))?));
        let databases: Vec<_> = consumers.iter().filter_map(read).collect();
        let (Some(patience), true) = (patience, wrong.is_empty()) else { return Err(wrong.into()) };
        let now = Clock::system().now();
        let mut rows = Vec::new();
        for (_, database) in &databases {
            database.wait_until_ready(patience).await?;
            let pool = database.connect_lazy("waypost-fleet");
            rows.extend(worker::fleet(&pool).await?.into_iter().map(|seen| row(seen, now)));
        }
        if self.json {
            outln!("{}", serde_json::to_string_pretty(&rows)?);
        } else if !rows.is_empty() {
            print(&rows, now)?;
        }
        let is_served = |consumer: &str| rows.iter().any(|row| row.consumer == consumer && row.state != GONE);
        let mut code = ExitCode::SUCCESS;
        for ConsumerProcess { name, process, .. } in consumers.iter().filter(|consumer| !is_served(consumer.name)) {
            eprintln!("no worker is at work for {name}: `waypost run {process}` starts one");
            code = ExitCode::FAILURE;
        }
        Ok(code)
    }
}

const GONE: &str = "gone";

fn row(seen: Seen, now: OffsetDateTime) -> Row {
    let gone = seen.is_gone(now);
    Row {
        state: if gone { GONE.to_owned() } else { seen.state },
        worker: seen.worker,
        consumer: seen.consumer,
        queue: seen.queue,
        version: seen.version,
        in_flight: seen.in_flight,
        received_per_second: seen.received_per_second,
        applied_per_second: seen.applied_per_second,
        failed_per_second: seen.failed_per_second,
        started_at: seen.started_at,
        seen_at: seen.seen_at,
        last_poll_at: seen.last_poll_at,
    }
}

fn print(rows: &[Row], now: OffsetDateTime) -> anyhow::Result<()> {
    outln!(
        "{:<28}  {:<14}  {:<8}  {:<8}  {:>7}  {:>9}  {:>8}  SEEN",
        "WORKER",
        "CONSUMER",
        "VERSION",
        "STATE",
        "IN HAND",
        "APPLIED/s",
        "FAILED/s"
    );
    for row in rows {
        let Row { worker, consumer, version, state, in_flight, applied_per_second, failed_per_second, .. } = row;
        let seen = match now - row.seen_at {
            age if age < time::Duration::hours(1) => format!("{} s ago", age.whole_seconds().max(0)),
            _ => row.seen_at.format(&Rfc3339)?,
        };
        outln!(
            "{worker:<28}  {consumer:<14}  {version:<8}  {state:<8}  {in_flight:>7}  {applied_per_second:>9.1}  \
             {failed_per_second:>8.1}  {seen}"
        );
    }
    Ok(())
}
