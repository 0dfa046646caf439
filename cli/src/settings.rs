//! `waypost settings`: which variables a service reads, and what is wrong with them. Starts nothing.
//!
//! The list is what the service asked for when it read its settings, so it can't be out of date.

use std::process::ExitCode;

use clap::Args;
use serde::Serialize;
use service::{
    lifecycle,
    settings::{Env, all},
    telemetry::{TelemetrySettings, TraceSettings},
};

use crate::{outln, run::Run};

#[derive(Debug, Args)]
pub struct Settings {
    /// As `waypost run` knows it
    #[command(subcommand)]
    service: Run,
    /// Print them as JSON
    #[arg(long, global = true)]
    json: bool,
}

/// Which are read may depend on others: where `AUTH_DATABASE_URL` is set, nobody asks for `DATABASE_URL`.
///
/// Values are not shown: some are secret.
#[derive(Debug, Serialize)]
struct Variable {
    name: String,
    set: bool,
}

impl Settings {
    pub fn execute(self, env: &Env) -> anyhow::Result<ExitCode> {
        let read = all((
            self.service.services(env),
            lifecycle::grace_from_env(env),
            TelemetrySettings::from_env(env),
            TraceSettings::from_env(env),
        ));
        let names = env.asked_for().into_iter();
        let variables: Vec<_> =
            names.map(|name| Variable { set: !matches!(env.optional(&name), Ok(None)), name }).collect();
        if self.json {
            outln!("{}", serde_json::to_string_pretty(&variables)?);
        } else {
            for Variable { name, set } in &variables {
                outln!("{name:<32}  {}", if *set { "set" } else { "not set" });
            }
        }
        read?;
        Ok(ExitCode::SUCCESS)
    }
}
