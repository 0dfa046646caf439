//! How far two samples are apart: the two-sample statistic of Kolmogorov and Smirnov.

/// The greatest distance between the two empirical distributions: 0 where they are alike, 1 where they do not overlap.
pub fn greatest(one: &[f64], other: &[f64]) -> f64 {
    let sorted = |values: &[f64]| {
        let mut values = values.to_vec();
        values.sort_by(f64::total_cmp);
        values
    };
    let (one, other) = (sorted(one), sorted(other));
    // Each steps at its own values only, so the greatest distance is at one of them.
    let share = |of: &[f64], at: f64| of.partition_point(|value| *value <= at) as f64 / of.len() as f64;
    let distances = one.iter().chain(&other).map(|at| (share(&one, *at) - share(&other, *at)).abs());
    distances.fold(0.0, f64::max)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_nothing_for_what_is_alike_and_one_for_what_does_not_overlap() {
        let values = [3.0, 1.0, 2.0];
        assert!(greatest(&values, &[1.0, 2.0, 3.0]).abs() < 1e-12);
        assert!((greatest(&values, &[4.0, 5.0]) - 1.0).abs() < 1e-12);
    }

    #[test]
    fn it_is_the_greatest_and_not_the_last_distance() {
        // At 2: three quarters and one quarter.
        assert!((greatest(&[1.0, 2.0, 2.0, 9.0], &[2.0, 3.0, 4.0, 5.0]) - 0.5).abs() < 1e-12);
        // Both ways round.
        assert!((greatest(&[2.0, 3.0, 4.0, 5.0], &[1.0, 2.0, 2.0, 9.0]) - 0.5).abs() < 1e-12);
    }
}
