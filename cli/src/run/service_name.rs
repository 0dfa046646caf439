//! Services as subcommands of `waypost run`: those of the tables of APIs and of consumers.

use clap::{ArgMatches, Command, FromArgMatches, Subcommand, error::ErrorKind};

use crate::{
    apis::{APIS, Api},
    consumers::{CONSUMERS, ConsumerProcess},
};

#[derive(Debug, Clone, Copy)]
pub enum ServiceName {
    Api(&'static Api),
    Worker(&'static ConsumerProcess),
}

impl ServiceName {
    fn called(name: &str) -> Option<Self> {
        let worker = || ConsumerProcess::of_process(name).map(Self::Worker);
        Api::named(name).map(Self::Api).or_else(worker)
    }
}

impl FromArgMatches for ServiceName {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let called = matches.subcommand_name().and_then(Self::called);
        called.ok_or_else(|| clap::Error::new(ErrorKind::InvalidSubcommand))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl Subcommand for ServiceName {
    fn augment_subcommands(command: Command) -> Command {
        let apis = APIS.into_iter().map(|row| Command::new(row.name).about(row.help));
        let workers = CONSUMERS.iter().map(|row| Command::new(row.process).about(row.help));
        command.subcommands(apis.chain(workers))
    }

    fn augment_subcommands_for_update(command: Command) -> Command {
        Self::augment_subcommands(command)
    }

    fn has_subcommand(name: &str) -> bool {
        Self::called(name).is_some()
    }
}
