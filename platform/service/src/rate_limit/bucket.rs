//! GCRA, as numbers: what a bucket says of a rule at a moment.
//!
//! Times are microseconds of one clock. `full_at` is when the bucket will have won everything back: the theoretical
//! arrival time of ITU-T I.371.

use std::time::Duration;

use super::Rule;

/// A bucket at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Level {
    /// How many may still come now.
    pub remaining: u32,
    /// After how long there is one more than that.
    pub more_in: Duration,
}

/// What is missing in the bucket, in time. Never more than all of it: a clock that was set back, or a rule that was made
/// smaller, must not shut anybody out for longer than the rule can.
fn used(rule: &Rule, full_at: u64, now: u64) -> u64 {
    full_at.saturating_sub(now).min(rule.window_micros())
}

/// How many of those that are wanted can be taken, and when the bucket is full after that; `None` where not even one can.
/// More than one are taken only as long as half of the bucket is left.
pub fn take(rule: &Rule, full_at: u64, now: u64, wanted: u32) -> Option<(u32, u64)> {
    let (used, interval, window) = (used(rule, full_at, now), rule.interval_micros(), rule.window_micros());
    let least = u64::from(used + interval <= window);
    let most = ((window / 2).saturating_sub(used) / interval).max(least);
    let taken = most.min(wanted.into());
    (taken > 0).then_some((taken as u32, now + used + taken * interval))
}

/// After one request is taken back.
pub fn give_back(rule: &Rule, full_at: u64, now: u64) -> u64 {
    now + used(rule, full_at, now).saturating_sub(rule.interval_micros())
}

pub fn level(rule: &Rule, full_at: u64, now: u64) -> Level {
    let (used, interval) = (used(rule, full_at, now), rule.interval_micros());
    let left = rule.window_micros() - used;
    let remaining = left / interval;
    let more_in = ((remaining + 1) * interval - left).min(used);
    Level { remaining: remaining as u32, more_in: Duration::from_micros(more_in) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000;
    const RULE: Rule = Rule::new("test", 3, 1, Duration::from_secs(10));

    fn take_one(full_at: u64, now: u64) -> Option<u64> {
        take(&RULE, full_at, now, 1).map(|(_, full_at)| full_at)
    }

    fn level_of(full_at: u64, now: u64) -> (u32, u64) {
        let Level { remaining, more_in } = level(&RULE, full_at, now);
        (remaining, more_in.as_micros() as u64)
    }

    #[test]
    fn a_burst_then_one_each_interval_to_the_microsecond() {
        let (mut full_at, now) = (0, 1_000 * SECOND);
        for left in [2, 1, 0] {
            full_at = take_one(full_at, now).unwrap();
            assert_eq!(level_of(full_at, now), (left, 10 * SECOND));
        }
        assert_eq!(take_one(full_at, now), None);
        assert_eq!(take_one(full_at, now + 10 * SECOND - 1), None);
        assert_eq!(level_of(full_at, now + 10 * SECOND - 1), (0, 1));
        assert_eq!(level_of(full_at, now + 10 * SECOND), (1, 10 * SECOND));
        let next = take_one(full_at, now + 10 * SECOND).unwrap();
        assert_eq!(next, full_at + 10 * SECOND);
        assert_eq!(take_one(next, now + 20 * SECOND - 1), None);
    }

    #[test]
    fn a_full_bucket_has_nothing_more_to_win() {
        assert_eq!(level_of(0, 5 * SECOND), (3, 0));
        assert_eq!(level_of(5 * SECOND, 5 * SECOND), (3, 0));
    }

    #[test]
    fn more_than_one_are_taken_while_half_is_left() {
        const RULE: Rule = Rule::new("test", 10, 1, Duration::from_secs(10));
        let now = 1_000 * SECOND;
        for (used, taken) in [(0, 4), (1, 4), (2, 3), (3, 2), (4, 1), (5, 1), (9, 1)] {
            let full_at = now + used * 10 * SECOND;
            assert_eq!(take(&RULE, full_at, now, 4), Some((taken, full_at + u64::from(taken) * 10 * SECOND)), "{used}");
        }
        assert_eq!(take(&RULE, now + 100 * SECOND, now, 4), None);
        assert_eq!(take(&RULE, 0, now, 100), Some((5, now + 50 * SECOND)));
    }

    #[test]
    fn nobody_is_shut_out_for_longer_than_the_rule_can() {
        let now = SECOND;
        assert_eq!(level_of(now + 1_000_000 * SECOND, now), (0, 10 * SECOND));
        assert_eq!(take_one(now + 1_000_000 * SECOND, now + 10 * SECOND - 1), None);
    }

    #[test]
    fn what_is_given_back_can_be_taken_again() {
        let now = 1_000 * SECOND;
        let full_at = (0..3).fold(0, |full_at, _| take_one(full_at, now).unwrap());
        let given = give_back(&RULE, full_at, now);
        assert_eq!(level_of(given, now).0, 1);
        assert_eq!(take_one(given, now), Some(full_at));
        assert_eq!(give_back(&RULE, 0, now), now);
    }
}
