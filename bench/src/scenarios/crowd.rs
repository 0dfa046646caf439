//! What somebody who is signed in notices of two hundred people who sign in at once, again and again.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use anyhow::{Context, bail, ensure};
use async_trait::async_trait;
use hyper::StatusCode;
use tokio::{
    task::JoinSet,
    time::{Duration, sleep},
};

use super::Scenario;
use crate::{
    api::{
        accounts::{self, Account, PASSWORD},
        client::{Ask, Connection, latencies},
        service::{AuthService, WithRedis, log_in},
    },
    ground::Ground,
    report::{Goal, Measure, Run, percentile},
};

pub struct Crowd;

const MEASURES: &[Measure] = &[Measure {
    name: "me-under-logins",
    unit: "ms (p99)",
    against: Some("the same while nobody signs in"),
    goal: Some(Goal::RatioAtMost(5.0)),
}];

/// Until all of them are at it.
const GATHERING: Duration = Duration::from_secs(2);
/// Who is told to come again in a second does; who is told nothing waits as long as this.
const PAUSE: Duration = Duration::from_millis(100);

#[async_trait(?Send)]
impl Scenario for Crowd {
    fn name(&self) -> &'static str {
        "crowd"
    }

    fn measures(&self) -> &'static [Measure] {
        MEASURES
    }

    async fn run(&mut self, ground: &Ground, _round: usize) -> anyhow::Result<Vec<Run>> {
        ground.forget_accounts().await?;
        let accounts = accounts::make(&ground.auth, "one-of-many", ground.sizes.crowd, true).await?;
        let service = AuthService::start(ground, WithRedis::Yes).await?;
        let reader = service.sign_in(accounts.first().context("there are no accounts")?).await?;
        let ask = Ask::get("/v1/me").by(&reader.access_token);

        let idle = latencies(service.address, &ask, ground.sizes.reads).await?;
        let let_in = Arc::new(AtomicU64::new(0));
        let mut crowd = JoinSet::new();
        for (number, account) in accounts.into_iter().enumerate() {
            crowd.spawn(sign_in_again_and_again(service.address, number, account, let_in.clone()));
        }
        sleep(GATHERING).await;
        let busy = latencies(service.address, &ask, ground.sizes.reads).await?;
        if let Some(ended) = crowd.try_join_next() {
            ended??;
            bail!("somebody stopped signing in");
        }
        crowd.shutdown().await;
        service.stop().await?;
        ensure!(let_in.load(Ordering::Relaxed) > 0, "nobody was let in");
        let p99 = |took: Vec<f64>| percentile(took.into_iter(), 0.99).context("nothing was measured");
        Ok(vec![Run::beside(p99(busy)?, p99(idle)?)])
    }
}

async fn sign_in_again_and_again(
    server: std::net::SocketAddr,
    number: usize,
    account: Account,
    let_in: Arc<AtomicU64>,
) -> anyhow::Result<()> {
    let mut connection = Connection::open(server, number as u8).await?;
    let ask = log_in(&account, PASSWORD, StatusCode::OK);
    loop {
        let answer = connection.ask(&ask).await?;
        match answer.status {
            StatusCode::OK => {
                let_in.fetch_add(1, Ordering::Relaxed);
            }
            StatusCode::SERVICE_UNAVAILABLE => sleep(answer.retry_after.unwrap_or(PAUSE)).await,
            other => bail!("{other}: {}", String::from_utf8_lossy(&answer.body)),
        }
    }
}
