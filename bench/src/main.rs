//! `bench`: the benchmark. Figures go to stdout, everything for people to stderr. Exit codes: 0 measured, whatever the
//! figures are; 1 something could not be measured; 2 the command line is at fault.

use std::{
    io::{self, IsTerminal, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context, bail};
use chaos::stopping::asked_to_stop;
use clap::{Args, CommandFactory, Parser, Subcommand, error::ErrorKind, value_parser};
use schemas::Clock;
use service::{
    settings::Env,
    telemetry::{self, Metrics, TelemetrySettings},
};
use time::format_description::well_known::Rfc3339;
use tokio::time::Instant;
use waypost_bench::{
    api::bare::{self, BARE_HANDLERS},
    ground::{Ground, Programs, find_pgbench},
    machine::Machine,
    plot,
    report::{Line, Run, table},
    results::{self, Results},
    scenarios::{self, SLOW_WORKER, Scenario},
    sizes::Sizes,
};

/// Measure Waypost beside the least that could do the same.
#[derive(Debug, Parser)]
#[command(name = "./dev bench", disable_help_subcommand = true, args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    measure: Measure,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Draw results that are kept, as the README shows them
    Plot {
        /// Files of results; of each measure the newest is drawn
        #[arg(required = true)]
        results: Vec<PathBuf>,
        /// Where to draw them
        #[arg(long, default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/plot.svg"))]
        to: PathBuf,
    },
    /// Work as a worker whose handler is slow, as one process of a run
    #[command(name = SLOW_WORKER, hide = true)]
    WorkSlowly,
    /// Serve what the API is measured beside
    #[command(name = BARE_HANDLERS, hide = true)]
    ServeBareHandlers,
}

#[derive(Debug, Args)]
struct Measure {
    /// What to measure, all where nothing is named: ready, embedded, sqs, delayed, latency, relay, producer, held, claims,
    /// fleet, dlq, import, api, profiles, cache, hashing, crowd, login-time
    names: Vec<String>,
    /// Runs of each
    #[arg(long, default_value_t = 5, value_parser = value_parser!(u32).range(1..=100))]
    runs: u32,
    /// One object of JSON a line, instead of a table
    #[arg(long)]
    json: bool,
    /// Keep the results in bench/results
    #[arg(long)]
    keep: bool,
    /// With little of everything: only to see whether it works
    #[arg(long, conflicts_with = "keep")]
    quick: bool,
    /// The binary to measure, if it isn't beside this one
    #[arg(long)]
    waypost: Option<PathBuf>,
    /// What others would write, if it isn't beside this one
    #[arg(long)]
    peers: Option<PathBuf>,
}

#[tokio::main]
async fn main() -> ExitCode {
    let Cli { command, measure } = Cli::parse();
    let done = match command {
        Some(Command::WorkSlowly) => scenarios::work_slowly().await,
        Some(Command::ServeBareHandlers) => bare::serve().await,
        Some(Command::Plot { results, to }) => draw(&results, &to),
        None => measure.execute().await,
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn draw(results: &[PathBuf], to: &Path) -> anyhow::Result<()> {
    plot::draw(&results::newest(results)?, to)?;
    eprintln!("drawn to {}", to.display());
    Ok(())
}

impl Measure {
    async fn execute(self) -> anyhow::Result<()> {
        let mut chosen = scenarios::all();
        let known: Vec<_> = chosen.iter().map(|scenario| scenario.name()).collect();
        if let Some(unknown) = self.names.iter().find(|name| !known.contains(&name.as_str())) {
            let said = format!("there is no measure called {unknown}; there are: {}\n", known.join(", "));
            Cli::command().error(ErrorKind::InvalidValue, said).exit();
        }
        chosen.retain(|scenario| self.names.is_empty() || self.names.iter().any(|name| name == scenario.name()));

        // As a process of Waypost has it: what it costs is part of what is measured.
        let env = Env::of([("LOG_FORMAT", "json"), ("RUST_LOG", "warn")]);
        telemetry::start_logging(&TelemetrySettings::from_env(&env)?);
        let _metrics = Metrics::start("bench")?;
        let sizes = if self.quick { Sizes::QUICK } else { Sizes::FULL };
        eprintln!("PostgreSQL and LocalStack are started, for this run alone");
        let measuring = async {
            let ground = Ground::make(self.programs()?, sizes).await?;
            let machine = Machine::describe(now(), ground.postgresql().await?, self.runs as usize).await;
            let lines = measure_all(chosen, &ground, self.runs as usize).await?;
            anyhow::Ok(Results { machine, lines })
        };
        // Dropped when somebody wants an end: processes and servers end with it.
        let results = tokio::select! {
            measured = measuring => measured?,
            () = asked_to_stop() => bail!("interrupted"),
        };
        if self.keep {
            let file = results.write(&Path::new(env!("CARGO_MANIFEST_DIR")).join("results"))?;
            eprintln!("kept in {}", file.display());
        }
        let text = if self.json {
            let lines = results.lines.iter().map(serde_json::to_string).collect::<Result<Vec<_>, _>>()?;
            lines.join("\n")
        } else {
            let Machine { processor, cores, memory_gib, postgresql, .. } = &results.machine;
            format!("\n{}\n\n  {cores} × {processor}, {memory_gib} GiB, PostgreSQL {postgresql}", table(&results.lines))
        };
        writeln!(io::stdout(), "{text}").context("could not write the figures")
    }

    fn programs(&self) -> anyhow::Result<Programs> {
        let bench = std::env::current_exe()?;
        let waypost = self.waypost.clone().unwrap_or_else(|| bench.with_file_name("waypost"));
        if !waypost.exists() {
            bail!("there is no {}: `./dev bench` builds it", waypost.display());
        }
        // Not all need them; who does says so where they are not there.
        let peers = self.peers.clone().unwrap_or_else(|| bench.with_file_name("peers"));
        Ok(Programs { pgbench: find_pgbench()?, waypost, peers, bench })
    }
}

async fn measure_all(scenarios: Vec<Box<dyn Scenario>>, ground: &Ground, runs: usize) -> anyhow::Result<Vec<Line>> {
    let mut lines = Vec::new();
    for mut scenario in scenarios {
        let name = scenario.name();
        let begun = Instant::now();
        tell(&format!("{name}: preparing"));
        scenario.prepare(ground).await.with_context(|| format!("could not prepare {name}"))?;
        let mut measured: Vec<Vec<Run>> = scenario.measures().iter().map(|_| Vec::with_capacity(runs)).collect();
        for round in 0..runs {
            tell(&format!("{name}: run {} of {runs}", round + 1));
            let done = scenario.run(ground, round).await.with_context(|| format!("could not measure {name}"))?;
            for (all, run) in measured.iter_mut().zip(done) {
                all.push(run);
            }
        }
        scenario.clear(ground).await.with_context(|| format!("could not clear up after {name}"))?;
        tell(&format!("{name}: done in {:.0} s\n", begun.elapsed().as_secs_f64()));
        for (measure, runs) in scenario.measures().iter().zip(measured) {
            lines.push(Line::of(measure, runs));
        }
    }
    Ok(lines)
}

/// On one line that changes, where somebody looks on.
fn tell(what: &str) {
    if io::stderr().is_terminal() {
        eprint!("\r\x1b[K{what}");
    } else {
        eprintln!("{}", what.trim_end());
    }
}

fn now() -> String {
    Clock::system().now().format(&Rfc3339).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_well_formed_and_names_every_scenario() {
        Cli::command().debug_assert();
        let help = Cli::command().render_long_help().to_string();
        for scenario in scenarios::all() {
            assert!(help.contains(scenario.name()), "{} is not in the help", scenario.name());
        }
    }
}
