//! `waypost`: every service and every tool of the platform, in one binary.
//!
//! Data goes to stdout, everything for people to stderr. Exit codes: 0 done, 1 not done or something found wrong, 2 the
//! command line or the settings are at fault, 130 somebody stopped it. `waypost dlq` has more, which docs/dead-letters.md tells.

mod admin;
mod apis;
mod bus;
mod catalog;
mod completions;
mod consumers;
mod demo;
mod dlq;
mod doctor;
mod event_log;
mod events;
mod fleet;
mod healthcheck;
mod keys;
mod landscape;
mod mail;
mod man;
mod migrate;
mod moment;
mod outbox;
mod producers;
mod products;
mod progress;
mod remedy;
mod run;
mod schema;
mod settings;
mod table;
mod topology;

use std::{fmt, io, process::ExitCode};

use clap::{Parser, Subcommand};
use mimalloc::MiMalloc;
use service::{
    ErrorChain,
    settings::{Env, SettingErrors},
    telemetry::{self, TelemetrySettings},
};

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// Event-driven workers on SNS and SQS, or on PostgreSQL alone: at least once on the wire, exactly once in effect.
#[derive(Debug, Parser)]
#[command(version, disable_help_subcommand = true, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a service until SIGTERM
    #[command(subcommand)]
    Run(run::Run),
    /// Say which variables a service reads as it is set up now, and what is wrong with them
    Settings(settings::Settings),
    /// Ask the service beside this command whether it is ready
    Healthcheck(healthcheck::HealthCheck),
    /// Apply migrations, or say which are applied
    Migrate(migrate::Migrate),
    /// Make topics and queues what the code says, or compare them
    #[command(subcommand)]
    Topology(topology::TopologyCommand),
    /// Say what is not as a worker needs it, why that matters, and the command that mends it
    Doctor(doctor::Doctor),
    /// Look at dead letters and put them back
    #[command(subcommand)]
    Dlq(Box<dlq::Dlq>),
    /// Look at events: which there are, which are valid, which pass; and send one
    #[command(subcommand)]
    Events(events::EventsCommand),
    /// Say what a change of an event would break
    #[command(subcommand)]
    Schema(schema::SchemaCommand),
    /// Write the event catalog from the code, or compare it
    #[command(subcommand)]
    Catalog(catalog::Catalog),
    /// Show which workers there are, and what they do
    Fleet(fleet::Fleet),
    /// Find applied events, and tell the whole life of one
    #[command(subcommand)]
    EventLog(event_log::EventLog),
    /// Look at what waits to be published, and have what failed tried again
    #[command(subcommand)]
    Outbox(outbox::Outbox),
    /// Look after the keys that services seal, open and sign with
    #[command(subcommand)]
    Keys(keys::Keys),
    /// Look at the mails that were written in development
    #[command(subcommand)]
    Mail(mail::Mail),
    /// Fill the catalogue of products
    #[command(subcommand)]
    Products(products::Products),
    /// Do to accounts what no administrator can do yet
    #[command(subcommand)]
    Admin(admin::Admin),
    /// Print a script by which a shell completes commands and options
    Completions(completions::Completions),
    /// Print the manual page of waypost, or write a page for each command
    Man(man::Man),
    /// Watch the platform work, and try to break it
    Demo(demo::Demo),
}

/// A command line that the parser could not know to be wrong.
#[derive(Debug)]
struct Usage(String);

impl fmt::Display for Usage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Usage {}

/// A line on stdout. Unlike `println!`, it doesn't panic where the reader has gone.
macro_rules! outln {
    ($($argument:tt)*) => {
        std::io::Write::write_fmt(&mut std::io::stdout(), format_args!("{}\n", format_args!($($argument)*)))?
    };
}
pub(crate) use outln;

const FAILED: u8 = 1;
const USAGE: u8 = 2;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let done = runtime.map_err(anyhow::Error::from).and_then(|runtime| runtime.block_on(execute(cli.command)));
    telemetry::flush_logs();
    match done {
        Ok(code) => code,
        // The reader of a pipe has seen enough.
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {}", ErrorChain(error.as_ref()));
            if error.is::<dlq::Interrupted>() {
                return ExitCode::from(dlq::INTERRUPTED);
            }
            let usage = error.is::<SettingErrors>() || error.is::<Usage>();
            ExitCode::from(if usage { USAGE } else { FAILED })
        }
    }
}

async fn execute(command: Command) -> anyhow::Result<ExitCode> {
    let env = Env::process();
    // A service starts its own telemetry: it has traces as well.
    if !matches!(command, Command::Run(_)) {
        telemetry::start_logging(&TelemetrySettings::from_env(&env)?);
    }
    match command {
        Command::Run(run) => run.execute(&env).await,
        Command::Settings(settings) => settings.execute(&env),
        Command::Healthcheck(check) => check.execute(&env).await,
        Command::Migrate(migrate) => migrate.execute(&env).await,
        Command::Topology(topology) => topology.execute(&env).await,
        Command::Doctor(doctor) => doctor.execute(&env).await,
        Command::Dlq(dlq) => dlq.execute(&env).await,
        Command::Events(events) => events.execute(&env).await,
        Command::Schema(schema) => schema.execute().await,
        Command::Catalog(catalog) => catalog.execute(),
        Command::Fleet(fleet) => fleet.execute(&env).await,
        Command::EventLog(event_log) => event_log.execute(&env).await,
        Command::Outbox(outbox) => outbox.execute(&env).await,
        Command::Keys(keys) => keys.execute(&env),
        Command::Mail(mail) => mail.execute(&env),
        Command::Products(products) => products.execute(&env).await,
        Command::Admin(admin) => admin.execute(&env).await,
        Command::Completions(completions) => completions.execute(),
        Command::Man(man) => man.execute(),
        Command::Demo(demo) => demo.execute(&env).await,
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error
        .chain()
        .any(|cause| cause.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn what_people_work_with_every_day_has_examples_and_says_what_json_is() {
        let mut cli = Cli::command();
        cli.build();
        for group in ["dlq", "event-log", "keys mailer", "mail", "outbox"] {
            let found = group.split(' ').fold(&cli, |command, name| command.find_subcommand(name).unwrap());
            let commands: Vec<_> = found.get_subcommands().collect();
            assert!(commands.len() >= 2, "{group}");
            for command in commands {
                let (name, help) = (command.get_name(), command.clone().render_long_help().to_string());
                assert!(help.contains("Examples:"), "{group} {name}: {help}");
                // What exports is lines of JSON in any case.
                assert!(help.contains("--json") || name == "export", "{group} {name}: {help}");
            }
        }
    }
}
