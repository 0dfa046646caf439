//! `waypost man`: manual pages, of the same text as `--help`.

use std::{
    fs,
    io::{self, Write},
    path::PathBuf,
    process::ExitCode,
};

use anyhow::Context;
use clap::{Args, CommandFactory};

use crate::Cli;

const EXAMPLES: &str = "\
Examples:
  waypost man | man -l -
  waypost man --to /usr/local/share/man/man1";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Man {
    /// Write waypost.1, waypost-run.1 and so on into this folder, which is made where it is missing
    #[arg(long, value_name = "FOLDER")]
    to: Option<PathBuf>,
}

impl Man {
    pub fn execute(self) -> anyhow::Result<ExitCode> {
        let Some(folder) = self.to else {
            let mut page = Vec::new();
            clap_mangen::Man::new(Cli::command()).render(&mut page)?;
            io::stdout().write_all(&page)?;
            return Ok(ExitCode::SUCCESS);
        };
        let written = fs::create_dir_all(&folder).and_then(|()| clap_mangen::generate_to(Cli::command(), &folder));
        written.with_context(|| format!("could not write manual pages into {}", folder.display()))?;
        eprintln!("manual pages are in {}", folder.display());
        Ok(ExitCode::SUCCESS)
    }
}
