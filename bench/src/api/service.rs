//! Processes of the APIs, as they are run in production where the relay is a process of its own (which is not there: what
//! it costs is measured elsewhere), but for their limits, which are far away.

use std::{
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::Path,
};

use anyhow::{Context, ensure};
use futures_util::future::try_join_all;
use hyper::StatusCode;
use serde::Deserialize;
use serde_json::json;
use tokio::time::{Duration, Instant, sleep};
use uuid::Uuid;

use super::{
    accounts::{Account, PASSWORD},
    client::{Answer, Ask, Connection},
};
use crate::{
    ground::Ground,
    process::{Process, on_one_core, output},
};

#[derive(Debug)]
pub struct AuthService {
    process: Process,
    pub address: SocketAddr,
}

/// user-service's API, with the keys of an auth-service.
#[derive(Debug)]
pub struct UserService {
    process: Process,
    pub address: SocketAddr,
}

/// What somebody who signed in goes on with.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SignedIn {
    pub access_token: String,
    pub refresh_token: String,
    pub session_id: Uuid,
}

/// Whether it has a Redis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WithRedis {
    Yes,
    No,
}

const READY: Duration = Duration::from_secs(30);
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// Where a service runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cores {
    /// On those that everything else runs on.
    Shared,
    /// On one alone, as if its database, its Redis and whoever asks were on other machines: they find the others idle.
    One,
}

impl AuthService {
    pub async fn start(ground: &Ground, redis: WithRedis) -> anyhow::Result<Self> {
        Self::start_on(Cores::Shared, ground, redis).await
    }

    pub async fn start_on(cores: Cores, ground: &Ground, redis: WithRedis) -> anyhow::Result<Self> {
        make_mailer_key(ground).await?;
        let (address, admin) = (free_address()?, free_address()?);
        let mut environment = ground.environment_with(&[
            ("AUTH_LISTEN", &address.to_string()),
            ("AUTH_ADMIN_LISTEN", &admin.to_string()),
            ("OUTBOX_RELAY", "standalone"),
            ("LOG_FORMAT", "json"),
            ("RATE_LIMIT_FACTOR", "10000"),
            ("TRUSTED_PROXIES", "127.0.0.1"),
        ]);
        match redis {
            WithRedis::Yes => drop(ground.variable("REDIS_URL")?),
            WithRedis::No => environment.retain(|(name, _)| name != "REDIS_URL"),
        }
        let (program, logs) = (&ground.programs.waypost, ground.logs());
        let start = || Process::start("auth-service", program, &["run", "auth-service"], &environment, &logs);
        let process = match cores {
            Cores::Shared => start(),
            Cores::One => on_one_core(start)?,
        }?;
        let ready = until_answered(admin, "/readyz").await?;
        let has_redis = !String::from_utf8_lossy(&ready.body).contains("degraded");
        ensure!(has_redis == (redis == WithRedis::Yes), "auth-service is not as it was to be: {ready:?}");
        Ok(Self { process, address })
    }

    pub async fn sign_in(&self, account: &Account) -> anyhow::Result<SignedIn> {
        let mut connection = Connection::open(self.address, u8::MAX).await?;
        let answer = connection.expect(&log_in(account, PASSWORD, StatusCode::OK)).await?;
        Ok(serde_json::from_slice(&answer.body)?)
    }

    pub async fn sign_in_all(&self, accounts: &[Account]) -> anyhow::Result<Vec<SignedIn>> {
        try_join_all(accounts.iter().map(|account| self.sign_in(account))).await
    }

    pub async fn stop(self) -> anyhow::Result<()> {
        self.process.stop().await
    }
}

impl UserService {
    pub async fn start(ground: &Ground, auth: &AuthService) -> anyhow::Result<Self> {
        let (address, admin) = (free_address()?, free_address()?);
        let environment = ground.environment_with(&[
            ("USER_LISTEN", &address.to_string()),
            ("USER_ADMIN_LISTEN", &admin.to_string()),
            ("AUTH_JWKS_URL", &format!("http://{}/.well-known/jwks.json", auth.address)),
            ("LOG_FORMAT", "json"),
            ("RATE_LIMIT_FACTOR", "10000"),
            ("TRUSTED_PROXIES", "127.0.0.1"),
        ]);
        let (program, logs) = (&ground.programs.waypost, ground.logs());
        let process = Process::start("user-service", program, &["run", "user-service"], &environment, &logs)?;
        let ready = until_answered(admin, "/readyz").await?;
        let is_whole = !String::from_utf8_lossy(&ready.body).contains("degraded");
        ensure!(is_whole, "user-service is not as it was to be: {ready:?}");
        Ok(Self { process, address })
    }

    pub async fn stop(self) -> anyhow::Result<()> {
        self.process.stop().await
    }
}

/// auth-service seals tokens for the mailer, so it needs its public key.
async fn make_mailer_key(ground: &Ground) -> anyhow::Result<()> {
    let folder = Path::new(ground.variable("MAILER_PUBLIC_KEYS_DIR")?);
    if folder.read_dir().is_ok_and(|mut files| files.next().is_some()) {
        return Ok(());
    }
    let arguments = ["keys", "mailer", "rotate"].map(str::to_owned);
    output(&ground.programs.waypost, &arguments, &ground.environment_with(&[])).await.map(drop)
}

pub fn log_in(account: &Account, password: &str, expected: StatusCode) -> Ask {
    let body = json!({ "email": account.email, "password": password }).to_string();
    Ask::post("/v1/auth/login", body, expected)
}

/// A process that serves bare handlers on the database that this variable names.
pub async fn start_bare(
    ground: &Ground,
    argument: &str,
    database: &str,
    plan: &Path,
) -> anyhow::Result<(Process, SocketAddr)> {
    let address = free_address()?;
    let environment = ground.environment_with(&[
        (super::bare::LISTEN, &address.to_string()),
        (super::bare::PLAN, &plan.display().to_string()),
        (super::bare::DATABASE, ground.variable(database)?),
    ]);
    let process = Process::start("bare-handlers", &ground.programs.bench, &[argument], &environment, &ground.logs())?;
    until_answered(address, super::bare::READY_PATH).await?;
    Ok((process, address))
}

async fn until_answered(address: SocketAddr, path: &str) -> anyhow::Result<Answer> {
    let begun = Instant::now();
    loop {
        let asked = async {
            let mut connection = Connection::open(address, u8::MAX).await?;
            connection.expect(&Ask::get(path)).await
        };
        match asked.await {
            Ok(answer) => return Ok(answer),
            Err(error) => {
                ensure!(begun.elapsed() < READY, "{address} does not answer in {READY:?}: {error:#}");
                sleep(LOOK_AGAIN).await;
            }
        }
    }
}

/// Free a moment ago. A process that finds it taken after all says so, and doesn't get ready.
fn free_address() -> anyhow::Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("there is no free port")?;
    Ok(listener.local_addr()?)
}
