//! `waypost topology`: what has to exist on the bus follows from the registered handlers.

use std::{io, process::ExitCode};

use clap::{Subcommand, ValueEnum};
use messaging::{Difference, awslocal_script};
use service::settings::{Env, SettingErrors};

use crate::{
    bus::{BusSettings, names},
    landscape::topology,
    outln,
};

#[derive(Debug, Subcommand)]
pub enum TopologyCommand {
    /// Say what `apply` would make and set, change nothing
    Plan {
        /// Print the differences as JSON
        #[arg(long)]
        json: bool,
    },
    /// Make missing topics, queues and subscriptions, and set what differs; deletes nothing
    Apply {
        /// Print the changes as JSON
        #[arg(long)]
        json: bool,
    },
    /// Compare, change nothing; exit 1 where something differs
    Verify {
        /// Print the differences as JSON
        #[arg(long)]
        json: bool,
    },
    /// Print what would make the topology elsewhere; asks nobody
    Export {
        #[arg(long)]
        format: Format,
    },
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum Format {
    /// A shell script for LocalStack's container, to be run when that is ready
    Awslocal,
}

impl TopologyCommand {
    pub async fn execute(self, env: &Env) -> anyhow::Result<ExitCode> {
        let (json, applied) = match self {
            Self::Plan { json } => return plan(env, json).await,
            Self::Apply { json } => (json, true),
            Self::Verify { json } => (json, false),
            Self::Export { format: Format::Awslocal } => {
                let names = names(env).map_err(SettingErrors::from)?;
                outln!("{}", awslocal_script(&topology(), &names).trim_end());
                return Ok(ExitCode::SUCCESS);
            }
        };
        let bus = BusSettings::from_env(env)?.connect().await?;
        let differences = if applied { bus.apply(&topology()).await? } else { bus.verify(&topology()).await? };
        if json {
            outln!("{}", serde_json::to_string_pretty(&differences)?);
        } else {
            for difference in &differences {
                print(difference, applied)?;
            }
        }
        match (differences.len(), applied) {
            (0, _) => eprintln!("topics, queues and subscriptions are as they should be"),
            (count, true) => eprintln!("{count} things were not as they should be, and are now"),
            (count, false) => {
                eprintln!("{count} things are not as they should be; `waypost topology apply` mends them");
                return Ok(ExitCode::FAILURE);
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

async fn plan(env: &Env, json: bool) -> anyhow::Result<ExitCode> {
    let bus = BusSettings::from_env(env)?.connect().await?;
    let differences = bus.verify(&topology()).await?;
    if json {
        outln!("{}", serde_json::to_string_pretty(&differences)?);
        return Ok(ExitCode::SUCCESS);
    }
    let (missing, different): (Vec<_>, Vec<_>) = differences.iter().partition(|d| d.is_missing());
    for difference in &missing {
        outln!("+ {}", difference.resource);
    }
    let mut resource = "";
    for Difference { resource: changed, setting, expected, found } in different.iter().copied() {
        if changed != resource {
            outln!("~ {changed}");
            resource = changed;
        }
        outln!("    {setting}: {} → {expected}", found.as_deref().unwrap_or("not set"));
    }
    match (missing.len(), different.len()) {
        (0, 0) => eprintln!("nothing to do: topics, queues and subscriptions are as they should be"),
        (made, set) => {
            eprintln!("{made} to make, {set} settings to change, none to delete; `waypost topology apply` does it");
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn print(difference: &Difference, applied: bool) -> io::Result<()> {
    let Difference { resource, setting, expected, found } = difference;
    match (found, applied) {
        (None, true) if difference.is_missing() => outln!("made {resource}"),
        (None, false) if difference.is_missing() => outln!("missing: {resource}"),
        (_, true) => outln!("set {setting} of {resource} to {expected}"),
        (found, false) => {
            outln!("{setting} of {resource} is {}, should be {expected}", found.as_deref().unwrap_or("not set"));
        }
    }
    Ok(())
}
