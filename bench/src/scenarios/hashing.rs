//! Signing in and registering, whose ceiling is Argon2id.
//!
//! Where the service has a core of its own, it is beside nothing but Argon2id on that core: what is between the two is the service's.
//! Where everything is on all cores, the database, Redis and whoever asks take their part of them, and Argon2id alone has them for
//! itself. How much of that is the service's is told by bare handlers that compute the same hash and run the same statements.

use std::{
    num::NonZero,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
};

use anyhow::Context;
use argon2::PasswordHasher;
use async_trait::async_trait;

use super::{
    Scenario,
    api::{DATABASE, serve_bare},
    reference_first,
};
use crate::{
    api::{
        accounts::{self, PASSWORD},
        client::{CLIENTS, steady_rate},
        endpoints::Pair,
        hashed,
        service::{AuthService, Cores, WithRedis},
    },
    ground::Ground,
    process::on_one_core,
    report::{Goal, Measure, Run},
    window::Window,
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
    measure("api-login", "a bare handler with a statement, the hash, and another statement"),
    measure("register", ON_ALL_CORES),
    measure("api-register", "a bare handler with the hash and its transaction of three statements"),
];

/// A run is so many windows of each side in turn: a machine that is slower for a while is so for all.
const WINDOWS: usize = 4;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Ours,
    Bare,
    Alone,
}

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
        let window = ground.sizes.hashing;
        let accounts = accounts::make(&ground.auth, "somebody", CLIENTS, true).await?;
        let stored = accounts::stored_hash(&ground.auth, &accounts[0]).await?;
        let pairs: [&dyn Fn() -> anyhow::Result<Pair>; 2] =
            [&|| Ok(hashed::log_in(&accounts, &stored)), &|| hashed::register()];
        let mut runs = Vec::new();

        let service = AuthService::start_on(Cores::One, ground, WithRedis::Yes).await?;
        for pair in pairs {
            let rates = in_windows(round, &[Side::Ours, Side::Alone], async |side| match side {
                Side::Alone => hashes_per_second(Cores::One, window).await,
                _ => steady_rate(service.address, pair()?.ours, window).await,
            });
            let [ours, alone] = rates.await?[..] else { anyhow::bail!("a side was not measured") };
            runs.push(Run::beside(ours, alone));
        }
        service.stop().await?;

        let service = AuthService::start_on(Cores::Shared, ground, WithRedis::Yes).await?;
        let mut shown = pairs.iter().map(|pair| pair()).collect::<anyhow::Result<Vec<_>>>()?;
        let (handlers, bare) = serve_bare(ground, service.address, DATABASE, &mut shown).await?;
        for pair in pairs {
            let rates = in_windows(round, &[Side::Ours, Side::Bare, Side::Alone], async |side| match side {
                Side::Ours => steady_rate(service.address, pair()?.ours, window).await,
                Side::Bare => steady_rate(bare, pair()?.bare, window).await,
                Side::Alone => hashes_per_second(Cores::Shared, window).await,
            });
            let [ours, bare, alone] = rates.await?[..] else { anyhow::bail!("a side was not measured") };
            runs.extend([Run::beside(ours, alone), Run::beside(ours, bare)]);
        }
        handlers.stop().await?;
        service.stop().await?;
        Ok(runs)
    }
}

/// Of each side how much it did in a second, over all its windows. Who goes first alternates.
async fn in_windows(
    round: usize,
    sides: &[Side],
    measure: impl AsyncFn(Side) -> anyhow::Result<f64>,
) -> anyhow::Result<Vec<f64>> {
    let mut seconds = vec![0.0; sides.len()];
    for number in 0..WINDOWS {
        let mut order: Vec<_> = sides.iter().zip(&mut seconds).collect();
        if reference_first(round + number) {
            order.reverse();
        }
        for (side, seconds) in order {
            *seconds += 1.0 / measure(*side).await?;
        }
    }
    Ok(seconds.into_iter().map(|seconds| WINDOWS as f64 / seconds).collect())
}

fn all_cores() -> usize {
    thread::available_parallelism().map_or(1, NonZero::get)
}

/// By a thread for each core that there is for it.
async fn hashes_per_second(cores: Cores, window: Window) -> anyhow::Result<f64> {
    let (done, over) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
    let argon2 = accounts::argon2()?;
    let start = |_| {
        let (argon2, done, over) = (argon2.clone(), done.clone(), over.clone());
        thread::spawn(move || {
            while !over.load(Ordering::Relaxed) {
                argon2.hash_password(PASSWORD.as_bytes())?;
                done.fetch_add(1, Ordering::Relaxed);
            }
            Ok::<_, argon2::password_hash::Error>(())
        })
    };
    let threads: Vec<_> = match cores {
        Cores::One => on_one_core(|| (0..1).map(start).collect())?,
        Cores::Shared => (0..all_cores()).map(start).collect(),
    };
    let rate = window.rate(&done).await;
    over.store(true, Ordering::Relaxed);
    for thread in threads {
        thread.join().ok().context("a thread that hashed broke off")??;
    }
    rate
}
