//! How fast an operation goes, and when it stops by itself.

use std::{num::NonZeroU32, str::FromStr, time::Duration};

use tokio::time::Instant;

/// How fast, and how carefully.
#[derive(Debug, Clone)]
pub struct Pace {
    /// Letters a second; as fast as it goes where there is none.
    pub rate: Option<NonZeroU32>,
    /// How many letters first, how many then: the outcome of each step is waited for before the next.
    pub ramp: Option<Ramp>,
    /// Stops when so many have failed again.
    pub stop_on_refail: Option<usize>,
    /// How long a step's outcome is waited for.
    pub verify: Duration,
}

/// Sizes of steps; the last one is repeated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ramp(Vec<usize>);

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` should be numbers of letters with commas between them, such as 1,5,20,100")]
pub struct InvalidRamp(String);

/// Letters that share a write to the journal, and how many such writes are under way at a time. What a kill can make be sent
/// twice is no more than their product.
const TOGETHER: usize = 100;
const AT_A_TIME: usize = 3;

impl Default for Pace {
    fn default() -> Self {
        Self { rate: None, ramp: None, stop_on_refail: None, verify: Duration::from_secs(30) }
    }
}

impl Pace {
    /// Sizes of the steps after which outcomes are looked at.
    pub(crate) fn steps(&self) -> Box<dyn Iterator<Item = usize> + Send + '_> {
        match &self.ramp {
            Some(ramp) => Box::new(ramp.steps()),
            // As often as somebody wants to stop by what is seen.
            None if self.stop_on_refail.is_some() => Box::new(std::iter::repeat(TOGETHER)),
            None => Box::new(std::iter::repeat(10 * TOGETHER)),
        }
    }

    /// How many letters go together: with a slow rate few, so that they spread and an end comes soon.
    pub fn together(&self) -> usize {
        match self.rate {
            Some(rate) => (rate.get() as usize / 10).clamp(1, TOGETHER),
            None => TOGETHER,
        }
    }

    /// How many of those are under way at a time: while one is written down, the queues have others to answer for.
    pub(crate) fn at_a_time(&self) -> usize {
        if self.rate.is_some() { 1 } else { AT_A_TIME }
    }

    pub fn metronome(&self) -> Metronome {
        let each = self.rate.map_or(Duration::ZERO, |rate| Duration::from_secs(1) / rate.get());
        Metronome { each, next: Instant::now() }
    }
}

/// Says when the next letters may go.
#[derive(Debug)]
pub struct Metronome {
    each: Duration,
    next: Instant,
}

impl Metronome {
    /// When `letters` may go; those after them wait for as long as these take at the rate.
    pub fn admit(&mut self, letters: usize) -> Instant {
        let now = self.next.max(Instant::now());
        self.next = now + self.each * letters as u32;
        now
    }
}

impl Ramp {
    fn steps(&self) -> impl Iterator<Item = usize> + '_ {
        let last = self.0.last().copied().unwrap_or(TOGETHER);
        self.0.iter().copied().chain(std::iter::repeat(last))
    }
}

impl FromStr for Ramp {
    type Err = InvalidRamp;

    fn from_str(text: &str) -> Result<Self, InvalidRamp> {
        let invalid = || InvalidRamp(text.to_owned());
        let sizes = text.split(',').map(|size| size.trim().parse::<usize>().map_err(|_| invalid()));
        let sizes = sizes.collect::<Result<Vec<_>, _>>()?;
        if sizes.is_empty() || sizes.contains(&0) { Err(invalid()) } else { Ok(Self(sizes)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ramp_goes_on_with_its_last_step() {
        let ramp: Ramp = "1, 5,20".parse().unwrap();
        assert_eq!(ramp.steps().take(5).collect::<Vec<_>>(), [1, 5, 20, 20, 20]);
        for text in ["", "0", "1,,2", "a", "1,0"] {
            assert!(text.parse::<Ramp>().is_err(), "{text}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn letters_go_no_faster_than_the_rate() {
        let pace = Pace { rate: NonZeroU32::new(20), ..Pace::default() };
        let mut metronome = pace.metronome();
        let begun = Instant::now();
        let admitted: Vec<_> = (0..4).map(|_| metronome.admit(pace.together()) - begun).collect();
        assert_eq!(pace.together(), 2);
        assert_eq!(admitted, [0, 100, 200, 300].map(Duration::from_millis));
    }
}
