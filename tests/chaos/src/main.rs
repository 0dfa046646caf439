//! `chaos`: the proof under faults. The verdict goes to stdout, everything for people to stderr. Exit codes: 0 every
//! promise was kept, 1 one was not or the run failed, 2 the command line is at fault.

use std::{
    io::{self, Write},
    path::PathBuf,
    process::ExitCode,
};

use anyhow::{Context, bail};
use chaos::{
    Plan,
    producer::Produce,
    run::{Report, Settings, run},
    stopping::asked_to_stop,
};
use clap::{Args, Parser, Subcommand, value_parser};
use serde::Serialize;
use uuid::Uuid;

/// Run the platform under faults, and prove that nothing was lost and nothing applied twice.
#[derive(Debug, Parser)]
#[command(name = "./dev chaos", disable_help_subcommand = true, args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    run: Run,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make events, as one process of a run
    #[command(hide = true)]
    Produce(Produce),
}

#[derive(Debug, Args)]
struct Run {
    /// Events to make
    #[arg(long, default_value_t = 2_000, value_parser = value_parser!(u32).range(Plan::EVENTS))]
    events: u32,
    /// Processes to kill with kill -9; every five of them bring one more kill, of a server of PostgreSQL
    #[arg(long, default_value_t = 5, value_parser = value_parser!(u32).range(..=1_000))]
    kills: u32,
    /// What the faults follow from; the same seed, the same faults. At random where it isn't given
    #[arg(long)]
    seed: Option<u64>,
    /// End with the verdict as one line of JSON on stdout
    #[arg(long)]
    json: bool,
    /// The binary to run, if it isn't beside this one
    #[arg(long)]
    waypost: Option<PathBuf>,
}

/// The last line.
#[derive(Debug, Serialize)]
struct Line {
    events: usize,
    kills: u32,
    lost: usize,
    applied_twice: usize,
    dead_lettered: usize,
    poisoned: usize,
    seconds: f64,
}

const RANDOM_SEEDS: u64 = 1_000_000;

#[tokio::main]
async fn main() -> ExitCode {
    let Cli { command, run } = Cli::parse();
    let done = match command {
        Some(Command::Produce(produce)) => produce.execute().await.map(|()| ExitCode::SUCCESS),
        None => run.execute().await,
    };
    done.unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::FAILURE
    })
}

impl Run {
    async fn execute(self) -> anyhow::Result<ExitCode> {
        let seed = self.seed.unwrap_or_else(|| Uuid::new_v4().as_u64_pair().0 % RANDOM_SEEDS);
        let waypost = match self.waypost {
            Some(given) => given,
            None => std::env::current_exe()?.with_file_name("waypost"),
        };
        if !waypost.exists() {
            bail!("there is no {}: build it, or say where it is with --waypost", waypost.display());
        }
        let settings = Settings { events: self.events, kills: self.kills, seed, waypost };
        // Dropped when somebody wants an end: processes and servers end with it.
        let report = tokio::select! {
            report = run(&settings) => report?,
            () = asked_to_stop() => bail!("interrupted"),
        };
        for wrong in &report.verdict.wrong {
            eprintln!("wrong: {wrong}");
        }
        let text = if self.json { serde_json::to_string(&Line::of(&report))? } else { summary(&report) };
        writeln!(io::stdout(), "{text}").context("could not write the verdict")?;
        Ok(if report.verdict.is_kept() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

impl Line {
    fn of(report: &Report) -> Self {
        let Report { verdict, kills, seconds } = report;
        Self {
            events: verdict.events,
            kills: *kills,
            lost: verdict.lost,
            applied_twice: verdict.applied_twice,
            dead_lettered: verdict.dead_lettered,
            poisoned: verdict.poisoned,
            seconds: *seconds,
        }
    }
}

fn summary(report: &Report) -> String {
    let Line { events, kills, lost, applied_twice, dead_lettered, poisoned, seconds } = Line::of(report);
    let told = match report.verdict.is_kept() {
        true => "At least once on the wire, exactly once in effect.",
        false => "THE PROMISE WAS BROKEN.",
    };
    format!(
        "
  events            {events:>8}
  kills             {kills:>8}
  lost              {lost:>8}
  applied twice     {applied_twice:>8}
  dead-lettered     {dead_lettered:>8}
  poisoned          {poisoned:>8}
  seconds           {seconds:>8.1}

  {told}"
    )
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
    fn the_last_line_has_these_fields_in_this_order() {
        let line = Line { events: 2, kills: 1, lost: 0, applied_twice: 0, dead_lettered: 3, poisoned: 3, seconds: 1.5 };
        let expected =
            r#"{"events":2,"kills":1,"lost":0,"applied_twice":0,"dead_lettered":3,"poisoned":3,"seconds":1.5}"#;
        assert_eq!(serde_json::to_string(&line).unwrap(), expected);
    }
}
