use std::process::ExitCode;

use clap::Args;
use contracts::Sampler;

use super::entry;
use crate::outln;

#[derive(Debug, Args)]
pub struct Sample {
    /// `user.created`, or `user.created@1` for an older version
    #[arg(value_name = "TYPE[@VERSION]")]
    event: String,
    /// How many
    #[arg(long, default_value_t = 1)]
    count: usize,
    /// The same seed makes the same payloads
    #[arg(long, default_value_t = 0)]
    seed: u64,
}

impl Sample {
    pub fn execute(self) -> anyhow::Result<ExitCode> {
        let mut sampler = Sampler::new(entry(&self.event)?, self.seed)?;
        for _ in 0..self.count {
            outln!("{}", sampler.sample()?);
        }
        Ok(ExitCode::SUCCESS)
    }
}
