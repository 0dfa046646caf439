//! `waypost completions`: what a shell has to know to complete this command line.

use std::{
    io::{self, Write},
    process::ExitCode,
};

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use crate::Cli;

const EXAMPLES: &str = "\
Examples:
  waypost completions bash > /etc/bash_completion.d/waypost
  waypost completions zsh > ~/.zfunc/_waypost
  waypost completions fish > ~/.config/fish/completions/waypost.fish";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Completions {
    /// The shell that is to read it
    shell: Shell,
}

impl Completions {
    pub fn execute(self) -> anyhow::Result<ExitCode> {
        // Into memory: writing to stdout itself, it panics where the reader has gone.
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "waypost", &mut script);
        io::stdout().write_all(&script)?;
        Ok(ExitCode::SUCCESS)
    }
}
