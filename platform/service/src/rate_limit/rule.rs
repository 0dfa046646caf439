use std::time::Duration;

/// How often. A constant, so that what is enforced and what the API's description says are one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    pub name: &'static str,
    /// How many at once.
    pub burst: u32,
    /// After how long there is one more.
    pub interval: Duration,
    /// Whether an answer tells how much is left.
    pub is_told: bool,
    /// Whether what was counted can be taken back.
    pub is_refundable: bool,
    /// Whether some are taken ahead for whoever asks often.
    pub is_taken_ahead: bool,
}

impl Rule {
    /// `burst` at once, and `count` in each `per`.
    pub const fn new(name: &'static str, burst: u32, count: u32, per: Duration) -> Self {
        assert!(burst > 0 && count > 0 && !per.is_zero(), "a rule that lets nobody in");
        let micros = per.as_micros() as u64 / count as u64;
        Self {
            name,
            burst,
            interval: Duration::from_micros(micros),
            is_told: true,
            is_refundable: false,
            is_taken_ahead: false,
        }
    }

    /// Counts by whom a request is about, of which whoever asks is to learn nothing.
    #[must_use]
    pub const fn untold(self) -> Self {
        Self { is_told: false, ..self }
    }

    /// Counts failures: each request is counted before it is known to be one, and taken back where it was none.
    #[must_use]
    pub const fn of_failures(self) -> Self {
        assert!(!self.is_taken_ahead, "what was counted ahead is not taken back");
        Self { is_refundable: true, ..self }
    }

    /// Counts what one asks again and again, where counting costs much beside the rest. At one moment somewhat more may be let in
    /// than `burst`, over time never: what comes within a second may be counted before it comes.
    #[must_use]
    pub const fn taken_ahead(self) -> Self {
        assert!(!self.is_refundable, "what was counted ahead is not taken back");
        Self { is_taken_ahead: true, ..self }
    }

    /// How long it takes to win back all of it.
    pub fn window(&self) -> Duration {
        self.interval * self.burst
    }

    /// Lets so many times as many in.
    pub(super) fn times(self, factor: u32) -> Self {
        Self { burst: self.burst.saturating_mul(factor), interval: self.interval / factor, ..self }
    }

    /// The part of one process among so many. Each has at least one.
    pub(super) fn divided_by(self, replicas: u32) -> Self {
        Self { burst: (self.burst / replicas).max(1), interval: self.interval * replicas, ..self }
    }

    pub(super) fn interval_micros(&self) -> u64 {
        (self.interval.as_micros() as u64).max(1)
    }

    pub(super) fn window_micros(&self) -> u64 {
        self.interval_micros() * u64::from(self.burst)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULE: Rule = Rule::new("test", 5, 10, Duration::from_hours(1));

    #[test]
    fn a_rule_is_a_burst_and_an_interval() {
        assert_eq!((RULE.burst, RULE.interval, RULE.window()), (5, Duration::from_mins(6), Duration::from_mins(30)));
    }

    #[test]
    fn a_part_is_never_nothing_and_wins_back_no_more_than_its_share() {
        for (replicas, burst) in [(1, 5), (2, 2), (3, 1), (5, 1), (6, 1), (100, 1)] {
            let part = RULE.divided_by(replicas);
            assert_eq!((part.burst, part.interval), (burst, Duration::from_mins(6) * replicas), "{replicas}");
        }
    }

    #[test]
    fn a_factor_multiplies_both() {
        let more = RULE.times(10);
        assert_eq!((more.burst, more.interval), (50, Duration::from_secs(36)));
    }
}
