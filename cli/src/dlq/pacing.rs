//! How fast, as command lines have it.

use std::{num::NonZeroU32, time::Duration};

use anyhow::bail;
use clap::{Args, value_parser};
use redrive::{Pace, Ramp};

use crate::Usage;

#[derive(Debug, Args)]
#[command(next_help_heading = "How fast, with --execute")]
pub struct Pacing {
    /// Letters a second, such as 20 or 20/s
    #[arg(long, value_name = "N", value_parser = rate)]
    rate: Option<NonZeroU32>,
    /// So many first, then so many, and go on with the last number: each step's outcome is waited for
    #[arg(long, value_name = "N,N,…")]
    ramp: Option<Ramp>,
    /// Stop when so many have failed again; 1 where there is a ramp
    #[arg(long, value_name = "N", value_parser = value_parser!(u32).range(1..))]
    stop_on_refail: Option<u32>,
    /// Seconds for which outcomes are waited for
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = value_parser!(u64).range(1..=3_600))]
    verify: u64,
}

impl Pacing {
    pub fn pace(&self) -> Pace {
        let stop_on_refail = self.stop_on_refail.or(self.ramp.as_ref().map(|_| 1));
        Pace {
            rate: self.rate,
            ramp: self.ramp.clone(),
            stop_on_refail: stop_on_refail.map(|most| most as usize),
            verify: Duration::from_secs(self.verify),
        }
    }

    /// Whether anything was said that a move by SQS itself can't do.
    pub fn native_rate(&self) -> anyhow::Result<Option<NonZeroU32>> {
        if self.ramp.is_some() || self.stop_on_refail.is_some() {
            bail!(Usage("--native knows no --ramp and no --stop-on-refail: SQS doesn't look at outcomes".to_owned()));
        }
        match self.rate {
            // https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_StartMessageMoveTask.html
            Some(rate) if rate.get() > 500 => {
                bail!(Usage(format!("--rate is {rate}: with --native it should be at most 500 a second")))
            }
            rate => Ok(rate),
        }
    }
}

pub fn rate(text: &str) -> Result<NonZeroU32, String> {
    let number = text.strip_suffix("/s").unwrap_or(text);
    number.parse().map_err(|_| "it should be a number a second, such as 20 or 20/s".to_owned())
}
