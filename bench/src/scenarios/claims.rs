//! A claim of a hundred events, in an inbox that has seen millions and in one that is young.

use anyhow::{Context, ensure};
use async_trait::async_trait;
use schemas::Clock;
use sqlx::{AssertSqlSafe, PgPool};
use time::OffsetDateTime;
use tokio::time::Instant;

use super::{Scenario, reference_first};
use crate::{
    backlog::{BATCH, Columns, batches, events},
    ground::Ground,
    report::{Goal, Measure, Run, median},
    statements::claim,
};

#[derive(Default)]
pub struct Claims {
    inboxes: Option<(PgPool, PgPool)>,
}

const MEASURES: &[Measure] = &[Measure {
    name: "claims",
    unit: "ms/100 events",
    against: Some("the same with 10,000 rows instead of 10 million, spread over the 28 days that are kept"),
    goal: Some(Goal::RatioAtMost(1.3)),
}];

const MANY: &str = "bench_many";
const FEW: &str = "bench_few";

#[async_trait(?Send)]
impl Scenario for Claims {
    fn name(&self) -> &'static str {
        "claims"
    }

    fn measures(&self) -> &'static [Measure] {
        MEASURES
    }

    async fn prepare(&mut self, ground: &Ground) -> anyhow::Result<()> {
        let many = ground.another_user_database(MANY).await?;
        let few = ground.another_user_database(FEW).await?;
        fill(&many, ground.sizes.many_rows).await?;
        fill(&few, ground.sizes.few_rows).await?;
        self.inboxes = Some((many, few));
        Ok(())
    }

    async fn run(&mut self, ground: &Ground, round: usize) -> anyhow::Result<Vec<Run>> {
        let (many, few) = self.inboxes.as_ref().context("inboxes are made first")?;
        let mut times = (Vec::new(), Vec::new());
        for batch in &batches(&events(ground.sizes.claims * BATCH)?) {
            if reference_first(round) {
                times.1.push(time(few, batch).await?);
                times.0.push(time(many, batch).await?);
            } else {
                times.0.push(time(many, batch).await?);
                times.1.push(time(few, batch).await?);
            }
        }
        let medians = median(times.0.into_iter()).zip(median(times.1.into_iter()));
        Ok(medians.map(|(many, few)| Run::beside(many, few)).into_iter().collect())
    }

    async fn clear(&mut self, ground: &Ground) -> anyhow::Result<()> {
        if let Some((many, few)) = self.inboxes.take() {
            many.close().await;
            few.close().await;
        }
        for name in [MANY, FEW] {
            let drop = format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)");
            sqlx::query(AssertSqlSafe(drop)).execute(&ground.user).await?;
        }
        Ok(())
    }
}

/// Of the claim and its COMMIT, in milliseconds.
async fn time(pool: &PgPool, batch: &Columns) -> anyhow::Result<f64> {
    let mut tx = pool.begin().await?;
    let begun = Instant::now();
    let claimed = claim(&mut tx, batch).await?;
    tx.commit().await?;
    let took = begun.elapsed();
    ensure!(claimed == batch.keys.len(), "{claimed} of {} events were new", batch.keys.len());
    Ok(took.as_secs_f64() * 1_000.0)
}

/// Rows of the 28 days that are kept, as a steady stream of events leaves them. Keys are made as `schemas::event_id` makes
/// them, by their time with noise behind it; subjects are as random as users are.
async fn fill(pool: &PgPool, rows: usize) -> anyhow::Result<()> {
    let now = Clock::system().now();
    let (from, until) = (milliseconds(now - worker::EVENT_LOGS.keep), milliseconds(now));
    // Made without the index, and given it in the end: the way there is not what is measured.
    sqlx::query("DROP INDEX event_logs_subject").execute(pool).await?;
    let fill = "INSERT INTO event_logs
            (event_key, event_id, event_type, schema_version, source, subject, sequence, handler, event_time)
        SELECT key::uuid, key::uuid::text, 'user.created', 2, 'auth-service', gen_random_uuid()::text,
               milliseconds * 1000, 'record_profile', to_timestamp(milliseconds / 1000.0)
          FROM (SELECT milliseconds,
                       lpad(to_hex(milliseconds), 12, '0') || '7' || substr(noise, 1, 3) || 'a' || substr(noise, 4, 15) AS key
                  FROM (SELECT $1::int8 + (($2::int8 - $1::int8)::numeric * row / $3::int8)::int8 AS milliseconds,
                               md5(row::text) AS noise
                          FROM generate_series(0, $3::int8 - 1) AS row) AS made) AS keyed";
    sqlx::query(fill).bind(from).bind(until).bind(rows as i64).execute(pool).await?;
    sqlx::query("CREATE INDEX event_logs_subject ON event_logs (subject)").execute(pool).await?;
    sqlx::query("VACUUM ANALYZE event_logs").execute(pool).await?;
    let there: i64 = sqlx::query_scalar("SELECT count(*) FROM event_logs").fetch_one(pool).await?;
    ensure!(there == rows as i64, "{there} of {rows} rows are there");
    Ok(())
}

fn milliseconds(time: OffsetDateTime) -> i64 {
    (time.unix_timestamp_nanos() / 1_000_000) as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn milliseconds_are_those_of_a_key() {
        let time = OffsetDateTime::from_unix_timestamp(1_767_323_045).unwrap() + time::Duration::milliseconds(678);
        let (seconds, nanoseconds) = schemas::event_id(time).get_timestamp().unwrap().to_unix();
        assert_eq!(milliseconds(time) as u64, seconds * 1_000 + u64::from(nanoseconds) / 1_000_000);
    }
}
