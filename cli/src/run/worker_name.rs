//! The workers as subcommands of `waypost run`: those of the table of consumers.

use clap::{ArgMatches, Command, FromArgMatches, Subcommand, error::ErrorKind};

use crate::consumers::{CONSUMERS, ConsumerProcess};

#[derive(Debug, Clone, Copy)]
pub struct WorkerName(pub &'static ConsumerProcess);

impl FromArgMatches for WorkerName {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let row = matches.subcommand_name().and_then(ConsumerProcess::of_process);
        row.map(Self).ok_or_else(|| clap::Error::new(ErrorKind::InvalidSubcommand))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl Subcommand for WorkerName {
    fn augment_subcommands(command: Command) -> Command {
        let workers = CONSUMERS.iter().map(|row| Command::new(row.process).about(row.help));
        command.subcommands(workers)
    }

    fn augment_subcommands_for_update(command: Command) -> Command {
        Self::augment_subcommands(command)
    }

    fn has_subcommand(name: &str) -> bool {
        ConsumerProcess::of_process(name).is_some()
    }
}
