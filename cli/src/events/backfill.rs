//! What is so now, told to one consumer that is new or was emptied.
//!
//! The events go straight into that consumer's queue, past every topic: nobody else hears a thing. They are sent page by page in
//! the order of ids, and nothing is written down: a run is its id, and a place in that order. To go on with it from a place that
//! was passed already does no harm, since the ids of what it sends again are those of what it has sent.

mod destination;
mod sending;
mod source;

use std::{collections::BTreeMap, num::NonZeroU32, process::ExitCode};

use clap::Args;
use schemas::{BackfillRun, Clock};
use serde::Serialize;
use service::settings::{Env, all};
use time::Duration;
use uuid::Uuid;

use self::{
    destination::Destination,
    sending::{End, Sending, Sent},
    source::Source,
};
use crate::{
    FAILED, Usage,
    bus::BusSettings,
    dlq::{INTERRUPTED, rate, until_somebody_stops},
    moment, outln,
};

const EXAMPLES: &str = "\
Examples:
  waypost events backfill --service auth --to user-service --dry-run
  waypost events backfill --service auth --to user-service --rate 500/s
  waypost events backfill --service product --to user-service --run ID --after ID     go on where that run was stopped";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Backfill {
    /// Whose state
    #[arg(long, value_name = "SERVICE", value_parser = source::by_database())]
    service: &'static Source,
    /// The queue of the consumer, by its name or its URL
    #[arg(long, value_name = "QUEUE")]
    to: String,
    /// Events a second, such as 200 or 200/s; as fast as it goes without it
    #[arg(long, value_name = "N", value_parser = rate)]
    rate: Option<NonZeroU32>,
    /// Go on with this run, instead of beginning one
    #[arg(long, value_name = "ID")]
    run: Option<BackfillRun>,
    /// Begin after this account or product, in the order of their ids
    #[arg(long, value_name = "ID")]
    after: Option<Uuid>,
    /// Read everything and say what would be sent, and send nothing
    #[arg(long)]
    dry_run: bool,
    /// Print the outcome as JSON
    #[arg(long)]
    json: bool,
}

/// Inboxes go by when a run began. What is sent at the end of such a time can still lie in a queue and then among dead letters
/// for as long as they keep it, and be replayed.
const LONGEST_RUN: Duration = Duration::days(7);
/// Clocks of machines differ.
const AHEAD: Duration = Duration::minutes(5);

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Report<'a> {
    service: &'static str,
    queue: &'a str,
    run: String,
    /// False of a dry run.
    executed: bool,
    /// `ended`, `interrupted` or `stopped`.
    how: &'static str,
    why: Option<&'a str>,
    /// Accounts or products.
    subjects: u64,
    /// Of each type.
    events: &'a BTreeMap<String, u64>,
    /// The last account or product whose events were sent.
    after: Option<Uuid>,
}

impl Backfill {
    pub async fn execute(self, env: &Env) -> anyhow::Result<ExitCode> {
        let now = Clock::system().now();
        let run = self.run.unwrap_or_else(|| BackfillRun::begin(now));
        if !(now - LONGEST_RUN..=now + AHEAD).contains(&run.begun_at()) {
            let (begun, days) = (moment::shown(run.begun_at()), LONGEST_RUN.whole_days());
            let why = format!(
                "--run {run} began at {begun}: it should have begun in the last {days} days; begin another one"
            );
            return Err(Usage(why).into());
        }
        let (bus, database) = all((BusSettings::from_env(env), self.service.producer.database(env)))?;
        let destination = Destination::find(&self.to, bus.names(), self.service)?;
        let bus = destination.settings(bus)?;
        database.wait_until_ready(bus.patience).await?;
        let queue = destination.open(&bus).await?;

        let pool = database.connect_lazy("waypost-backfill");
        let left = (self.service.count_after)(&pool, self.after).await?;
        let types: Vec<_> = destination.takes.iter().map(|event| event.as_str()).collect();
        let (noun, types) = (self.service.subjects, types.join(", "));
        eprintln!("run {run}: {left} {noun} of {} for {}, as {types}", self.service.producer.name, queue.name());
        let stop = until_somebody_stops();
        let sending = Sending {
            source: self.service,
            takes: &destination.takes,
            pool: &pool,
            queue: (!self.dry_run).then_some(&*queue),
            rate: self.rate,
            run,
        };
        let sent = sending.from(self.after, left, &stop).await;
        self.tell(queue.name(), run, &sent)
    }

    fn tell(&self, queue: &str, run: BackfillRun, sent: &Sent) -> anyhow::Result<ExitCode> {
        let Sent { subjects, events, last, end } = sent;
        let (how, why, code) = match end {
            End::Reached => ("ended", None, ExitCode::SUCCESS),
            End::Interrupted => ("interrupted", None, ExitCode::from(INTERRUPTED)),
            End::Failed(why) => ("stopped", Some(why.as_str()), ExitCode::from(FAILED)),
        };
        if self.json {
            let report = Report {
                service: self.service.producer.name,
                queue,
                run: run.to_string(),
                executed: !self.dry_run,
                how,
                why,
                subjects: *subjects,
                events,
                after: *last,
            };
            outln!("{}", serde_json::to_string_pretty(&report)?);
        }
        let counts: Vec<_> = events.iter().map(|(event, count)| format!("{count} {event}")).collect();
        let counts = if counts.is_empty() { "no events".to_owned() } else { counts.join(", ") };
        let noun = self.service.subjects;
        match self.dry_run {
            true => eprintln!("{counts} of {subjects} {noun} would go to {queue}; nothing was sent"),
            false => eprintln!("{counts} of {subjects} {noun} sent to {queue}"),
        }
        if let Some(why) = why {
            eprintln!("stopped before the end: {why}");
        }
        if how != "ended" && !self.dry_run {
            let after = last.map(|last| format!(" --after {last}")).unwrap_or_default();
            let (service, to) = (self.service.producer.database.name(), &self.to);
            eprintln!("to go on: waypost events backfill --service {service} --to {to} --run {run}{after}");
        }
        Ok(code)
    }
}
