//! `GET /v1/me` where the profile is found in Redis, and where there is no Redis.

use anyhow::ensure;
use async_trait::async_trait;
use tokio::time::{Duration, Instant, sleep};

use super::{Scenario, in_turn};
use crate::{
    api::{
        accounts::{self, Account},
        client::{Ask, CLIENTS, Script, requests_per_second, warm_up},
        service::{AuthService, WithRedis},
    },
    ground::Ground,
    report::{Goal, Measure, Run},
};

pub struct Kept;

const MEASURES: &[Measure] = &[
    Measure {
        name: "cache-hit",
        unit: "requests/s",
        against: Some("the same without Redis, limits counted in the process"),
        goal: None,
    },
    Measure {
        name: "cache-hit-statements",
        unit: "statements/1,000 requests",
        against: Some("the same without Redis; the process's start and eight sign-ins are in both"),
        goal: Some(Goal::RatioAtMost(0.55)),
    },
];

const PATIENCE: Duration = Duration::from_secs(30);
const LOOK_AGAIN: Duration = Duration::from_millis(20);

#[async_trait(?Send)]
impl Scenario for Kept {
    fn name(&self) -> &'static str {
        "cache"
    }

    fn measures(&self) -> &'static [Measure] {
        MEASURES
    }

    async fn run(&mut self, ground: &Ground, round: usize) -> anyhow::Result<Vec<Run>> {
        ground.forget_accounts().await?;
        let accounts = accounts::make(&ground.auth, "reader", CLIENTS, true).await?;
        let with = reading(ground, WithRedis::Yes, &accounts);
        let without = reading(ground, WithRedis::No, &accounts);
        let (with, without) = in_turn(round, with, without).await?;
        Ok(vec![Run::beside(with.0, without.0), Run::beside(with.1, without.1)])
    }
}

/// Requests in a second, and statements for a thousand of them.
async fn reading(ground: &Ground, redis: WithRedis, accounts: &[Account]) -> anyhow::Result<(f64, f64)> {
    let each = ground.sizes.reads;
    let before = statements(ground).await?;
    let service = AuthService::start(ground, redis).await?;
    let readers = service.sign_in_all(accounts).await?;
    let scripts = readers.iter().map(|reader| Script::same(Ask::get("/v1/me").by(&reader.access_token)));
    let rate = requests_per_second(service.address, scripts.collect(), each).await?;
    service.stop().await?;
    let after = statements(ground).await?;
    let asked = (CLIENTS * (each + warm_up(each))) as f64;
    Ok((rate, (after - before) / asked * 1_000.0))
}

/// As PostgreSQL counts them: what reads is a transaction for each statement. A connection tells for certain once it has
/// ended.
async fn statements(ground: &Ground) -> anyhow::Result<f64> {
    let begun = Instant::now();
    loop {
        let open: i64 = sqlx::query_scalar("SELECT count(*) FROM pg_stat_activity WHERE application_name = $1")
            .bind(auth_service::NAME)
            .fetch_one(&ground.auth)
            .await?;
        if open == 0 {
            break;
        }
        ensure!(begun.elapsed() < PATIENCE, "{open} connections of auth-service stay open");
        sleep(LOOK_AGAIN).await;
    }
    let counted: i64 = sqlx::query_scalar(
        "SELECT xact_commit + xact_rollback FROM pg_stat_database WHERE datname = current_database()",
    )
    .fetch_one(&ground.auth)
    .await?;
    Ok(counted as f64)
}
