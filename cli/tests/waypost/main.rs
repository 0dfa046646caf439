//! The binary, as its users meet it: exit codes, what it says, and what it does to real servers.

#![expect(clippy::unwrap_used, reason = "these are tests, helpers included")]

mod admin;
mod backfilling;
mod catalog;
mod cloudformation;
mod completions;
mod compose;
mod consumers;
mod demo;
mod dlq;
mod doctor;
mod ending;
mod erasing;
mod event_log;
mod events;
mod fleet;
mod keys;
mod localstack_init;
mod losing_everything;
mod mail;
mod mailing;
mod migrate;
mod outbox;
mod permissions;
mod products;
mod recording;
mod running;
mod schema;
mod secrets;
mod settings;
mod starting;
mod topology;
mod traces;
mod tutorial;

use std::process::Output;

use tokio::process::Command;

/// The binary with an environment of the test's own: nothing is inherited that could hide a missing variable.
fn waypost(arguments: &[&str], environment: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_waypost"));
    command.env_clear().args(arguments).envs(environment.iter().copied()).kill_on_drop(true);
    command
}

async fn run(arguments: &[&str], environment: &[(&str, &str)]) -> (i32, String, String) {
    let Output { status, stdout, stderr } = waypost(arguments, environment).output().await.unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.code().unwrap_or(-1), text(stdout), text(stderr))
}
