//! Signing in and registering, whose ceiling is Argon2id: beside nothing but Argon2id on the same cores.
//!
//! Where the service has a core of its own, what is between the two is the service's. Where everything is on all cores, the database,
//! Redis and whoever asks take their part of them, while the reference has them for itself.

use std::{num::NonZero, thread, time::Instant};

use anyhow::Context;
use argon2::PasswordHasher;
use async_trait::async_trait;
use hyper::StatusCode;
use serde_json::json;
use uuid::Uuid;

use super::{Scenario, in_turn};
use crate::{
    api::{
        accounts::{self, Account, PASSWORD},
        client::{Ask, CLIENTS, Script, requests_per_second},
        service::{AuthService, Cores, WithRedis, log_in},
    },
    ground::Ground,
    process::on_one_core,
    report::{Goal, Measure, Run},
};

pub struct Hashing;

const ON_ITS_CORE: &str = "hashes/s of Argon2id alone, a thread on that core";
const ON_ALL_CORES: &str = "hashes/s of Argon2id alone, a thread for each core";

const fn measure(name: &'static str, against: &'static str) -> Measure {
    Measure { name, unit: "requests/s", against: Some(against), goal: Some(Goal::RatioAtLeast(0.95)) }
}

const MEASURES: &[Measure] = &[
    measure("login-core", ON_ITS_CORE),
    measure("register-core", ON_ITS_CORE),
    measure("login", ON_ALL_CORES),
    measure("register", ON_ALL_CORES),
];

#[async_trait(?Send)]
impl Scenario for Hashing {
    fn name(&self) -> &'static str {
        "hashing"
    }

    fn measures(&self) -> &'static [Measure] {
        MEASURES
    }

    async fn run(&mut self, ground: &Ground, round: usize) -> anyhow::Result<Vec<Run>> {
        ground.forget_accounts().await?;
        let each = ground.sizes.sign_ins;
        let accounts = accounts::make(&ground.auth, "somebody", CLIENTS, true).await?;
        let mut runs = Vec::new();
        for cores in [Cores::One, Cores::Shared] {
            let service = AuthService::start_on(cores, ground, WithRedis::Yes).await?;
            for scripts in [signing_in(&accounts), registering()] {
                let ours = requests_per_second(service.address, scripts, each);
                let alone = async {
                    // Not in the runtime: nothing else runs meanwhile.
                    tokio::task::block_in_place(|| match cores {
                        Cores::One => on_one_core(|| hashes_per_second(1, CLIENTS * each))?,
                        Cores::Shared => hashes_per_second(all_cores(), CLIENTS * each),
                    })
                };
                let (ours, alone) = in_turn(round, ours, alone).await?;
                runs.push(Run::beside(ours, alone));
            }
            service.stop().await?;
        }
        Ok(runs)
    }
}

fn signing_in(accounts: &[Account]) -> Vec<Script> {
    accounts.iter().map(|account| Script::same(log_in(account, PASSWORD, StatusCode::OK))).collect()
}

fn registering() -> Vec<Script> {
    let script = |_| {
        Script::new(|_| {
            let email = format!("{}@example.org", &Uuid::new_v4().simple().to_string()[..16]);
            let body = json!({ "email": email, "password": PASSWORD }).to_string();
            Ok(Ask::post("/v1/auth/register", body, StatusCode::ACCEPTED))
        })
    };
    (0..CLIENTS).map(script).collect()
}

fn all_cores() -> usize {
    thread::available_parallelism().map_or(1, NonZero::get)
}

/// By so many threads.
fn hashes_per_second(threads: usize, count: usize) -> anyhow::Result<f64> {
    let share = count.div_ceil(threads);
    let argon2 = accounts::argon2()?;
    let begun = Instant::now();
    thread::scope(|scope| {
        let hashing = || (0..share).try_for_each(|_| argon2.hash_password(PASSWORD.as_bytes()).map(drop));
        let started: Vec<_> = (0..threads).map(|_| scope.spawn(hashing)).collect();
        started.into_iter().try_for_each(|thread| thread.join().ok()?.ok()).context("a password could not be hashed")
    })?;
    Ok((threads * share) as f64 / begun.elapsed().as_secs_f64())
}
