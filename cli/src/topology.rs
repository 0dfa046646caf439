//! `waypost topology`: what has to exist on the bus follows from the registered handlers.
//!
//! Nothing is deleted without `--prune`, and then only what carries this installation's mark. Data goes to stdout: what
//! was or would be changed, line by line.

mod duties;
mod graph;
mod report;

use std::process::ExitCode;

use clap::{Args, Subcommand, ValueEnum};
use messaging::{Extra, Kept, Prune, awslocal_script, cloudformation_template};
use service::settings::{Env, SettingErrors};

use self::{
    duties::{Policies, duties},
    graph::{GraphFormat, graph},
    report::Report,
};
use crate::{
    bus::{BusSettings, names},
    landscape::{landscape, topology},
    outln,
};

#[derive(Debug, Subcommand)]
pub enum TopologyCommand {
    /// Say what `apply` would make, change and remove; change nothing
    Plan {
        #[command(flatten)]
        pruning: Pruning,
        /// Print it as JSON
        #[arg(long)]
        json: bool,
    },
    /// Make missing topics, queues and subscriptions, and set what differs; deletes nothing without --prune
    Apply {
        #[command(flatten)]
        pruning: Pruning,
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
    /// Print the IAM policies of services, operators and deployers: what they call, and nothing else; asks nobody
    Policies(Policies),
    /// Draw who sends what to whom, and where failures end; asks nobody
    Graph {
        #[arg(long, default_value = "mermaid")]
        format: GraphFormat,
    },
}

#[derive(Debug, Clone, Copy, Args)]
pub struct Pruning {
    /// Also remove what is marked as this installation's and is in no topology any more
    #[arg(long)]
    prune: bool,
    /// Even queues that hold messages, which are then lost
    #[arg(long, requires = "prune")]
    prune_with_messages: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum Format {
    /// A shell script for LocalStack's container, to be run when that is ready
    Awslocal,
    /// A template with topics, queues, policies and alarms
    Cloudformation,
}

impl Pruning {
    fn extent(self) -> Prune {
        Prune { with_messages: self.prune_with_messages }
    }
}

impl TopologyCommand {
    pub async fn execute(self, env: &Env) -> anyhow::Result<ExitCode> {
        match self {
            Self::Plan { pruning, json } => plan(env, pruning, json).await,
            Self::Apply { pruning, json } => apply(env, pruning, json).await,
            Self::Verify { json } => verify(env, json).await,
            Self::Export { format } => export(env, format),
            Self::Policies(policies) => policies.execute(env),
            Self::Graph { format } => {
                let names = names(env).map_err(SettingErrors::from)?;
                outln!("{}", graph(&landscape(), &names, format));
                Ok(ExitCode::SUCCESS)
            }
        }
    }
}

async fn plan(env: &Env, pruning: Pruning, json: bool) -> anyhow::Result<ExitCode> {
    let (bus, topology) = (BusSettings::from_env(env)?.connect().await?, topology());
    let differences = bus.verify(&topology).await?;
    let extra = bus.extras(&topology, pruning.extent()).await?;
    let report = Report { differences, extra };
    if json {
        return report.print_json();
    }
    report.print_changes()?;
    report.print_extras(pruning.prune)?;
    let (make, change) = report.make_and_change();
    let remove = if pruning.prune { report.removable() } else { 0 };
    match make + change + remove {
        0 => eprintln!("nothing to do: topics, queues and subscriptions are as they should be"),
        _ => eprintln!("Plan: {make} to make, {change} to change, {remove} to remove"),
    }
    Ok(ExitCode::SUCCESS)
}

async fn apply(env: &Env, pruning: Pruning, json: bool) -> anyhow::Result<ExitCode> {
    let (bus, topology) = (BusSettings::from_env(env)?.connect().await?, topology());
    let differences = bus.apply(&topology).await?;
    let extra = match pruning.prune {
        true => bus.prune(&topology, pruning.extent()).await?,
        false => bus.extras(&topology, Prune::default()).await?,
    };
    let report = Report { differences, extra };
    let refused = pruning.prune && report.extra.iter().any(is_refused);
    let code = if refused { ExitCode::FAILURE } else { ExitCode::SUCCESS };
    if json {
        report.print_json()?;
        return Ok(code);
    }
    report.print_changes()?;
    report.print_extras(pruning.prune)?;
    let (made, changed) = report.make_and_change();
    let removed = if pruning.prune { report.removable() } else { 0 };
    match made + changed + removed {
        0 => eprintln!("topics, queues and subscriptions are as they should be"),
        _ => eprintln!("Applied: {made} made, {changed} changed, {removed} removed"),
    }
    if refused {
        eprintln!("not everything could be removed; --prune-with-messages removes queues with what they hold");
    }
    Ok(code)
}

/// What is left over fails nothing: an older release sees the queues of a newer one while that is rolled out. A
/// subscription that feeds one of our queues with what its consumer can't handle does, since all of that dies.
async fn verify(env: &Env, json: bool) -> anyhow::Result<ExitCode> {
    let (bus, topology) = (BusSettings::from_env(env)?.connect().await?, topology());
    let differences = bus.verify(&topology).await?;
    let extra = bus.extras(&topology, Prune::default()).await?;
    let report = Report { differences, extra };
    let wrong = report.differences.len() + report.extra.iter().filter(|extra| extra.misdelivers).count();
    let code = if wrong > 0 { ExitCode::FAILURE } else { ExitCode::SUCCESS };
    if json {
        report.print_json()?;
        return Ok(code);
    }
    report.print_drift()?;
    match wrong {
        0 => eprintln!("topics, queues and subscriptions are as they should be"),
        count => {
            eprintln!("{count} things are not as they should be; `waypost topology plan` says what would mend them");
        }
    }
    Ok(code)
}

fn is_refused(extra: &Extra) -> bool {
    matches!(extra.kept, Some(Kept::HoldsMessages(_) | Kept::HasSubscribers(_)))
}

fn export(env: &Env, format: Format) -> anyhow::Result<ExitCode> {
    let names = names(env).map_err(SettingErrors::from)?;
    match format {
        Format::Awslocal => outln!("{}", awslocal_script(&topology(), &names).trim_end()),
        Format::Cloudformation => {
            let template = cloudformation_template(&topology(), &names, &duties());
            // On one line: CloudFormation takes no more than 51,200 bytes, of which half would be white space.
            outln!("{template}");
        }
    }
    Ok(ExitCode::SUCCESS)
}
