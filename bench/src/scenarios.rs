//! What is measured, a file each.
//!
//! A scenario measures both sides in one run and in turn, the first side alternating, so that a machine that slows down
//! slows down both.

mod api;
mod claims;
mod crowd;
mod delayed;
mod dlq;
mod embedded;
mod fleet;
mod hashing;
mod held;
mod importing;
mod kept;
mod latency;
mod login_time;
mod producer;
mod profiles;
mod ready;
mod relay;
mod sqs;
mod working;

use async_trait::async_trait;

pub use self::fleet::{SLOW_WORKER, work_slowly};
use crate::{
    ground::Ground,
    report::{Measure, Run},
};

#[async_trait(?Send)]
pub trait Scenario {
    /// By which it is chosen on the command line.
    fn name(&self) -> &'static str;

    fn measures(&self) -> &'static [Measure];

    /// What takes long and has to be done once.
    async fn prepare(&mut self, _ground: &Ground) -> anyhow::Result<()> {
        Ok(())
    }

    /// One run of each measure, in their order.
    async fn run(&mut self, ground: &Ground, round: usize) -> anyhow::Result<Vec<Run>>;

    /// Undoes [`Self::prepare`].
    async fn clear(&mut self, _ground: &Ground) -> anyhow::Result<()> {
        Ok(())
    }
}

/// In the order in which they run.
pub fn all() -> Vec<Box<dyn Scenario>> {
    vec![
        Box::new(ready::Ready::default()),
        Box::new(embedded::Embedded),
        Box::new(sqs::Sqs),
        Box::new(delayed::Delayed),
        Box::new(latency::Latency),
        Box::new(relay::Relaying),
        Box::new(producer::Producer),
        Box::new(held::HeldInMemory),
        Box::new(claims::Claims::default()),
        Box::new(fleet::Fleet),
        Box::new(dlq::DeadLetters),
        Box::new(importing::Importing::default()),
        Box::new(api::Api),
        Box::new(profiles::Profiles),
        Box::new(kept::Kept),
        Box::new(hashing::Hashing),
        Box::new(crowd::Crowd),
        Box::new(login_time::LoginTime),
    ]
}

/// Whether the reference goes first this time.
fn reference_first(round: usize) -> bool {
    round % 2 == 1
}

/// Measures both sides, in this round's order: ours, and the reference.
async fn in_turn<A, B>(
    round: usize,
    ours: impl Future<Output = anyhow::Result<A>>,
    reference: impl Future<Output = anyhow::Result<B>>,
) -> anyhow::Result<(A, B)> {
    if reference_first(round) {
        let reference = reference.await?;
        Ok((ours.await?, reference))
    } else {
        Ok((ours.await?, reference.await?))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_are_unique_and_say_what_they_measure() {
        let scenarios = all();
        let names: BTreeSet<_> = scenarios.iter().map(|scenario| scenario.name()).collect();
        assert_eq!(names.len(), scenarios.len());
        let measures: Vec<_> = scenarios.iter().flat_map(|scenario| scenario.measures()).collect();
        let unique: BTreeSet<_> = measures.iter().map(|measure| measure.name).collect();
        assert_eq!(unique.len(), measures.len());
    }
}
