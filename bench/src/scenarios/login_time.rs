//! Whether the time of a refusal tells why: an address without an account, a wrong password, an address that is locked.

use anyhow::{Context, ensure};
use async_trait::async_trait;
use hyper::StatusCode;
use schemas::Clock;
use tokio::time::Instant;
use uuid::Uuid;

use super::Scenario;
use crate::{
    api::{
        accounts::{self, Account},
        client::Connection,
        service::{AuthService, WithRedis, log_in},
    },
    distance,
    ground::Ground,
    report::{Goal, Measure, Run, percentile},
};

pub struct LoginTime;

const fn quantile(name: &'static str) -> Measure {
    Measure { name, unit: "ms", against: None, goal: None }
}

const MEASURES: &[Measure] = &[
    quantile("login-unknown-p10"),
    quantile("login-unknown-p50"),
    quantile("login-unknown-p90"),
    quantile("login-wrong-p10"),
    quantile("login-wrong-p50"),
    quantile("login-wrong-p90"),
    quantile("login-locked-p10"),
    quantile("login-locked-p50"),
    quantile("login-locked-p90"),
    // Of two samples of 200 from one distribution, one pair in a hundred is further apart.
    Measure { name: "login-time", unit: "distance", against: None, goal: Some(Goal::ValueAtMost(0.163)) },
];

const WRONG: &str = "another horse, another staple";
/// Fewer than lock an address.
const TRIES: usize = 5;

#[async_trait(?Send)]
impl Scenario for LoginTime {
    fn name(&self) -> &'static str {
        "login-time"
    }

    fn measures(&self) -> &'static [Measure] {
        MEASURES
    }

    async fn run(&mut self, ground: &Ground, round: usize) -> anyhow::Result<Vec<Run>> {
        ground.forget_accounts().await?;
        let addresses = ground.sizes.timed.div_ceil(TRIES);
        let locked = accounts::make(&ground.auth, "locked", addresses, true).await?;
        let known = accounts::make(&ground.auth, "known", addresses, true).await?;
        let nobody = |number| Account { id: Uuid::nil(), email: format!("nobody-{number}@example.org") };
        let unknown = (0..addresses).map(nobody).collect();
        let service = AuthService::start(ground, WithRedis::Yes).await?;
        let mut connection = Connection::open(service.address, 1).await?;
        for account in &locked {
            connection.expect(&log_in(account, WRONG, StatusCode::UNAUTHORIZED)).await?;
        }
        lock(ground, locked.len()).await?;

        let kinds: [Vec<Account>; 3] = [unknown, known, locked];
        let mut took = [const { Vec::new() }; 3];
        for number in 0..ground.sizes.timed {
            // Who goes first changes, so that nobody is always the one after another.
            for turn in 0..kinds.len() {
                let kind = (turn + number + round) % kinds.len();
                let ask = log_in(&kinds[kind][number % addresses], WRONG, StatusCode::UNAUTHORIZED);
                let begun = Instant::now();
                connection.expect(&ask).await?;
                took[kind].push(begun.elapsed().as_secs_f64() * 1_000.0);
            }
        }
        service.stop().await?;
        let mut runs = Vec::new();
        for times in &took {
            for share in [0.1, 0.5, 0.9] {
                runs.push(Run::alone(percentile(times.iter().copied(), share).context("nothing was measured")?));
            }
        }
        let [unknown, wrong, locked] = &took;
        let apart = [(unknown, wrong), (unknown, locked), (wrong, locked)];
        runs.push(Run::alone(apart.iter().map(|(one, other)| distance::greatest(one, other)).fold(0.0, f64::max)));
        Ok(runs)
    }
}

/// Locks those that have failed until now: theirs are the only counters.
async fn lock(ground: &Ground, count: usize) -> anyhow::Result<()> {
    let locked = sqlx::query("UPDATE rate_limits SET count = 15, locked_until = $1 WHERE key LIKE 'login:%'")
        .bind(Clock::system().now() + time::Duration::hours(1))
        .execute(&ground.auth)
        .await?;
    ensure!(locked.rows_affected() == count as u64, "{} addresses are locked, of {count}", locked.rows_affected());
    Ok(())
}
