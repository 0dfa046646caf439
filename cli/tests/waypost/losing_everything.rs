//! kill -9 of everything, PostgreSQL's own processes included, on servers that this test has to itself.

mod producer;
mod truth;

use std::{collections::BTreeSet, fs::File, os::unix::process::ExitStatusExt, process::Stdio, sync::Arc};

use chaos::{killing::kill_with_children, servers::Servers};
use fixtures::eventually;
use reqwest::{Client, StatusCode};
use sqlx::PgTransaction;
use tokio::{process::Child, sync::Semaphore, time::Instant};

use self::{
    producer::{Confirmed, PER_TRANSACTION, produce},
    truth::Databases,
};
use crate::{
    run,
    running::{free_port, terminate},
    waypost,
};

const EVENTS: usize = 5_000;
const APPLIED_BEFORE: usize = 1_000;
const CONFIRMED_BEFORE: usize = 2_000;
/// Where the producer waits in a transaction for what will cut it off, should it come that far.
const CONFIRMED_AT_MOST: usize = 4_500;
/// Far more than workers apply while they are being killed.
const BACKLOG: i64 = 2_000;

#[tokio::test]
async fn killing_everything_in_the_middle_of_5_000_events_loses_nothing_and_applies_nothing_twice() {
    let servers = Servers::postgresql("losing-everything").unwrap();
    servers.up().unwrap();
    let mut environment = servers.environment().unwrap();
    // This is about profiles; without its database the mailer is left out.
    environment.retain(|(name, _)| name != "MAILER_DATABASE_URL");
    for arguments in [&["migrate"][..], &["topology", "apply"]] {
        let (code, _, stderr) = run(arguments, &borrowed(&environment)).await;
        assert_eq!(code, 0, "{arguments:?}: {stderr}");
    }
    let databases = Databases::connect(&environment).await;
    databases.install_witness().await;
    let processes = start_processes(&servers, &environment).await;
    let everybody: BTreeSet<_> =
        servers.ids().unwrap().into_iter().chain(processes.iter().filter_map(Child::id)).collect();
    assert!(everybody.len() > processes.len(), "{everybody:?} should have servers among them");

    let (confirmed, commits) = (Confirmed::default(), Arc::new(Semaphore::new(CONFIRMED_BEFORE / PER_TRANSACTION)));
    let producer = tokio::spawn(produce(databases.auth.clone(), EVENTS, commits.clone(), confirmed.clone()));
    let [applying, _settling] = reach_the_middle(&databases, &commits).await;

    // Workers that wait for it begin to commit, at this very moment.
    applying.rollback().await.unwrap();
    let killed = kill_with_children(&everybody).unwrap();
    let killed_at = Instant::now();
    for mut process in processes {
        assert_eq!(process.wait().await.unwrap().signal(), Some(9));
    }
    commits.add_permits(EVENTS);
    let cut_off = producer.await.unwrap().expect_err("the producer should be cut off");
    let confirmed_then = confirmed.count();
    eprintln!("killed {killed} processes with {confirmed_then} accounts confirmed; the producer: {cut_off:#}");

    servers.up().unwrap();
    let servers_took = killed_at.elapsed();
    let databases = Databases::connect(&environment).await;
    let left = databases.look().await;
    eprintln!("what the crash left: {left:?}");
    let applied = usize::try_from(left.profiles).unwrap();
    assert!((APPLIED_BEFORE..EVENTS).contains(&applied), "the kill was not in the middle: {left:?}");
    assert!(left.unpublished > 0 && left.queued() > 0, "the kill was not in the middle: {left:?}");
    let processes = start_processes(&servers, &environment).await;
    let rest = Arc::new(Semaphore::new(EVENTS));
    produce(databases.auth.clone(), EVENTS - confirmed_then, rest, confirmed.clone()).await.unwrap();

    let last = databases.settle().await;
    eprintln!(
        "servers were back after {:.1} s, everything was applied after {:.1} s, {} duplicates were ignored: {last:?}",
        servers_took.as_secs_f64(),
        killed_at.elapsed().as_secs_f64(),
        last.duplicates,
    );
    databases.assert_nothing_lost_and_nothing_twice(&confirmed.ids()).await;
    assert!(last.duplicates > 0, "what was published and not settled should have come twice");
    for process in processes {
        terminate(process).await;
    }
}

/// Returns with workers in transactions, messages waiting for them, something published that is not settled, and a
/// producer at work. What it answers keeps workers from applying and the relay from settling, so that none of this
/// depends on who is faster.
async fn reach_the_middle(databases: &Databases, commits: &Semaphore) -> [PgTransaction<'static>; 2] {
    eventually("the first events are applied", async || {
        (databases.look().await.profiles >= APPLIED_BEFORE as i64).then_some(())
    })
    .await;
    let applying = databases.hold_applying().await;
    let publishing = databases.hold_publishing().await;
    commits.add_permits((CONFIRMED_AT_MOST - CONFIRMED_BEFORE) / PER_TRANSACTION);
    let settling = databases.hold_settling().await;
    publishing.rollback().await.unwrap();
    eventually("a backlog", async || {
        let now = databases.look().await;
        (now.queued() >= BACKLOG && now.in_flight > 0).then_some(())
    })
    .await;
    [applying, settling]
}

/// Everything in one process, and a second worker beside it.
async fn start_processes(servers: &Servers, environment: &[(String, String)]) -> [Child; 2] {
    let (admin, worker, second) = (free_port(), free_port(), free_port());
    [
        start(servers, environment, &["run", "all"], &[("AUTH_ADMIN_LISTEN", admin), ("WORKER_ADMIN_LISTEN", worker)])
            .await,
        start(servers, environment, &["run", "user-worker"], &[("WORKER_ADMIN_LISTEN", second)]).await,
    ]
}

/// Starts a process, and waits until it is ready on each of its ports.
async fn start(
    servers: &Servers,
    environment: &[(String, String)],
    arguments: &[&str],
    listens: &[(&str, u16)],
) -> Child {
    let log =
        File::options().create(true).append(true).open(servers.logs().join(format!("{}.log", arguments[1]))).unwrap();
    let mut child = waypost(arguments, &borrowed(environment))
        .envs(listens.iter().map(|(name, port)| (name, format!("127.0.0.1:{port}"))))
        .envs(fixtures::auth_keys())
        // Nobody asks there.
        .envs(["AUTH_LISTEN", "AUTH_WORKER_ADMIN_LISTEN", "MAILER_ADMIN_LISTEN"].map(|name| (name, "127.0.0.1:0")))
        .envs([("RELAY_LEASE_SECONDS", "6"), ("WORKER_LEASE_SECONDS", "6"), ("WORKER_WAIT_SECONDS", "1")])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .unwrap();
    for (_, port) in listens {
        eventually(&format!("{arguments:?} is ready on port {port}"), async || {
            assert_eq!(child.try_wait().unwrap(), None, "{arguments:?} ended");
            let answer = Client::new().get(format!("http://127.0.0.1:{port}/readyz")).send().await;
            answer.is_ok_and(|answer| answer.status() == StatusCode::OK).then_some(())
        })
        .await;
    }
    child
}

fn borrowed(environment: &[(String, String)]) -> Vec<(&str, &str)> {
    environment.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
}
