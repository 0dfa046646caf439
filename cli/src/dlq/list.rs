use std::{collections::BTreeMap, process::ExitCode, time::Duration};

use clap::Args;
use messaging::Looked;
use redrive::{READ_TOGETHER, Saw};
use serde::Serialize;
use service::settings::Env;
use time::OffsetDateTime;

use super::desk::{Desk, LookSettings, pass_over};
use crate::{
    FAILED,
    bus::BusSettings,
    consumers::{ConsumerProcess, SomeConsumers},
    moment, outln, table,
};

/// Every consumer's dead-letter queue, and what SNS could not deliver to it.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  waypost dlq list                                            where to look first
  waypost dlq list --exit-code || page-somebody               1 where anything is dead")]
pub struct List {
    #[command(flatten)]
    consumers: SomeConsumers,
    /// Seconds for which messages stay hidden if this process is killed while it looks
    #[arg(long, value_name = "SECONDS", default_value_t = 120, value_parser = clap::value_parser!(u64).range(2..=43_200))]
    lease: u64,
    /// End with 1 where there are dead letters
    #[arg(long)]
    exit_code: bool,
    /// Print them as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Row {
    consumer: String,
    queue: String,
    /// `dead-letters` or `undelivered`.
    kind: &'static str,
    letters: usize,
    refailed: usize,
    #[serde(with = "time::serde::rfc3339::option")]
    oldest: Option<OffsetDateTime>,
    /// When the queue will drop its first one.
    #[serde(with = "time::serde::rfc3339::option")]
    expires_first: Option<OffsetDateTime>,
    /// Dead-lettered with a reason on record in the last hour.
    arrivals_last_hour: Option<i64>,
    reasons: Vec<ReasonCount>,
    saw: Saw,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ReasonCount {
    reason: String,
    letters: usize,
}

const HOUR: time::Duration = time::Duration::HOUR;

impl List {
    pub async fn execute(self, env: &Env) -> anyhow::Result<ExitCode> {
        let embedded = BusSettings::from_env(env)?.is_embedded();
        let consumers = self.consumers.get(env);
        let (mut rows, mut unseen) = (Vec::new(), false);
        for consumer in &consumers {
            match self.look(env, consumer, embedded).await {
                Ok(found) => rows.extend(found),
                Err(error) => {
                    pass_over(consumer, consumers.len(), error)?;
                    unseen = true;
                }
            }
        }
        let dead: usize = rows.iter().map(|row| row.letters).sum();
        if self.json {
            outln!("{}", serde_json::to_string_pretty(&rows)?);
        } else if !rows.is_empty() {
            print(&rows)?;
            match dead {
                0 => eprintln!("no dead letters"),
                dead => eprintln!("{dead} dead letters; `waypost dlq groups` tells what is wrong with them"),
            }
        }
        Ok(if unseen || self.exit_code && dead > 0 { ExitCode::from(FAILED) } else { ExitCode::SUCCESS })
    }

    /// At a consumer's dead letters, and at what could not be delivered to it.
    async fn look(&self, env: &Env, consumer: &ConsumerProcess, embedded: bool) -> anyhow::Result<Vec<Row>> {
        let mut rows = Vec::new();
        for undelivered in [false, true].into_iter().filter(|undelivered| !(*undelivered && embedded)) {
            let desk = LookSettings::new(undelivered, self.lease).open(env, consumer).await?;
            rows.push(row(&desk, undelivered).await?);
        }
        Ok(rows)
    }
}

async fn row(desk: &Desk, undelivered: bool) -> anyhow::Result<Row> {
    let now = desk.clock.now();
    let retention = match undelivered {
        true => Some(desk.consumer.subscriber().settings.dead_letter_retention),
        false => retention(desk).await?,
    };
    let arrivals = match undelivered {
        true => None,
        false => Some(worker::arrivals(&desk.pool, now - HOUR).await?.iter().map(|(_, count)| count).sum()),
    };
    desk.look(async |snapshot| {
        let mut reasons: BTreeMap<String, usize> = BTreeMap::new();
        let (mut oldest, mut first_sent, mut refailed) = (None::<OffsetDateTime>, None::<OffsetDateTime>, 0);
        let all: Vec<u32> = (0..snapshot.letters() as u32).collect();
        for numbers in all.chunks(READ_TOGETHER) {
            for letter in snapshot.read(numbers, &desk.pool).await? {
                *reasons.entry(letter.reason().name).or_default() += 1;
                refailed += usize::from(letter.replayed().is_some());
                oldest = oldest.into_iter().chain(letter.died_at()).min();
                first_sent = first_sent.into_iter().chain(letter.sent_at()).min();
            }
        }
        let mut reasons: Vec<_> =
            reasons.into_iter().map(|(reason, letters)| ReasonCount { reason, letters }).collect();
        reasons.sort_by_key(|reason| std::cmp::Reverse(reason.letters));
        Ok(Row {
            consumer: desk.consumer.name().to_owned(),
            queue: desk.places.dead_letters.name().to_owned(),
            kind: if undelivered { "undelivered" } else { "dead-letters" },
            letters: snapshot.letters(),
            refailed,
            oldest,
            expires_first: first_sent.zip(retention).map(|(sent, kept)| sent + kept),
            arrivals_last_hour: arrivals,
            reasons,
            saw: snapshot.saw(),
        })
    })
    .await
}

/// How long the dead-letter queue keeps a message; `None` where it keeps it until somebody takes it.
pub async fn retention(desk: &Desk) -> anyhow::Result<Option<Duration>> {
    Ok(match desk.bus.inspect(desk.consumer.name()).await?.dead_letters {
        Looked::Found(facts) => facts.retention,
        Looked::Missing | Looked::Denied { .. } => None,
    })
}

fn print(rows: &[Row]) -> anyhow::Result<()> {
    let mut table = table::Table::new([
        table::cut("QUEUE"),
        table::right("DEAD"),
        table::left("OLDEST"),
        table::left("FIRST EXPIRES"),
        table::right("1 HOUR"),
        table::cut("REASONS"),
    ]);
    for row in rows {
        let time = |at: Option<OffsetDateTime>| at.map_or_else(|| "–".to_owned(), day_and_minute);
        let reasons: Vec<_> = row.reasons.iter().map(|one| format!("{} {}", one.letters, one.reason)).collect();
        let cells = [
            row.queue.clone(),
            row.letters.to_string(),
            time(row.oldest),
            time(row.expires_first),
            row.arrivals_last_hour.map_or_else(|| "–".to_owned(), |count| count.to_string()),
            reasons.join(", "),
        ];
        table.marked(cells, if row.letters > 0 { table::Mark::Warn } else { table::Mark::Plain });
    }
    table.print()?;
    for row in rows.iter().filter(|row| !row.saw.complete) {
        eprintln!("{}: {}", row.queue, row.saw.sentence());
    }
    Ok(())
}

/// `11-22 12:00`, in UTC: a queue keeps nothing for longer than two weeks.
fn day_and_minute(at: OffsetDateTime) -> String {
    moment::shown(at).get(5..16).unwrap_or_default().replace('T', " ")
}
