//! A run, from its servers to its verdict.

mod conducting;

use std::{path::PathBuf, sync::Arc};

use tokio::time::Instant;

use self::conducting::Conductor;
use crate::{
    plan::{Plan, Role},
    processes::{Commands, Processes},
    proxy::Proxy,
    servers::Servers,
    story::Story,
    truth::{Facts, Verdict, World},
};

/// What was asked for.
#[derive(Debug, Clone)]
pub struct Settings {
    pub events: u32,
    pub kills: u32,
    pub seed: u64,
    pub waypost: PathBuf,
}

#[derive(Debug)]
pub struct Report {
    pub verdict: Verdict,
    pub kills: u32,
    /// From the start of the first process until everything was settled.
    pub seconds: f64,
}

const LOCALSTACK_ENDPOINT: &str = "LOCALSTACK_ENDPOINT";

/// Runs on servers made for it. They are gone afterwards, unless something was wrong: then they stay for a look.
pub async fn run(settings: &Settings) -> anyhow::Result<Report> {
    let plan = Plan::draw(settings.seed, settings.events, settings.kills);
    eprint!("{plan}");
    let servers = Arc::new(tokio::task::spawn_blocking(|| Servers::with_localstack("chaos")).await??);
    let report = run_on(&servers, plan, settings).await;
    if !report.as_ref().is_ok_and(|report| report.verdict.is_kept()) {
        let Settings { events, kills, seed, .. } = settings;
        let place = servers.keep()?;
        servers.tell_ends_of_logs();
        eprintln!(
            "\nServers, data and logs are left for a look: {place} ./dev status; and ./dev down --wipe in the end.\n\
             To try it again: ./dev chaos --events {events} --kills {kills} --seed {seed}"
        );
    }
    report
}

async fn run_on(servers: &Arc<Servers>, plan: Plan, settings: &Settings) -> anyhow::Result<Report> {
    let story = Story::new(plan.events);
    story.say("PostgreSQL and LocalStack are started, for this run alone");
    let starting = servers.clone();
    tokio::task::spawn_blocking(move || starting.up()).await??;
    let mut environment = servers.environment()?;
    for arguments in [&["migrate"][..], &["topology", "apply"]] {
        Commands::run(&settings.waypost, arguments, &environment).await?;
    }
    let world = World::connect(&environment).await?;
    world.install_witness().await?;
    let mut proxy = None;
    for (name, value) in &mut environment {
        if name == LOCALSTACK_ENDPOINT {
            let before = Proxy::start(servers.spare_port(), value).await?;
            *value = before.endpoint();
            proxy = Some(before);
        }
    }
    let Some(proxy) = proxy else { anyhow::bail!("`./dev env` names no {LOCALSTACK_ENDPOINT}") };
    let processes = Processes::new(commands(servers, settings, environment));

    let started = Instant::now();
    let mut conductor = Conductor::new(plan, Arc::new(world), servers.clone(), Arc::new(proxy), processes, story);
    let mut wrong = Vec::new();
    wrong.extend(conductor.conduct().await?);
    let seconds = started.elapsed().as_secs_f64();
    // What they are still publishing comes before the queue is asked for the last time.
    wrong.extend(conductor.stop(&[Role::Producer, Role::Relay]).await?);
    wrong.extend(conductor.conduct().await?);
    wrong.extend(conductor.stop(&[Role::Worker]).await?);
    let (plan, world, kills) = conductor.end();

    let mut verdict = Verdict::of(&Facts::read(&world).await?, &plan);
    verdict.wrong.extend(wrong);
    Ok(Report { verdict, kills, seconds: (seconds * 10.0).round() / 10.0 })
}

fn commands(servers: &Servers, settings: &Settings, environment: Vec<(String, String)>) -> Commands {
    let Settings { events, kills, seed, waypost } = settings;
    let produce = [("--seed", seed.to_string()), ("--events", events.to_string()), ("--kills", kills.to_string())];
    Commands {
        waypost: waypost.clone(),
        produce: produce.into_iter().flat_map(|(name, value)| [name.to_owned(), value]).collect(),
        environment,
        logs: servers.logs(),
    }
}
