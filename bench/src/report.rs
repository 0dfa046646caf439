//! What was measured, told to people and to programs.
//!
//! Invariant: every figure is a median of runs, and every run is told with it. What is measured against something else is
//! measured beside it, in turn, and judged by the ratio: the machine's mood is in both.

use serde::{Deserialize, Serialize};

/// What a scenario measures.
#[derive(Debug, Clone, Copy)]
pub struct Measure {
    pub name: &'static str,
    pub unit: &'static str,
    /// What it is compared with, in words.
    pub against: Option<&'static str>,
    pub goal: Option<Goal>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Goal {
    RatioAtLeast(f64),
    RatioAtMost(f64),
    ValueAtMost(f64),
}

/// One repetition.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Run {
    pub value: f64,
    pub reference: Option<f64>,
    pub ratio: Option<f64>,
}

/// One measure with its verdict: a line of `--json` and of the results that are kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Line {
    pub measure: String,
    pub value: f64,
    pub unit: String,
    pub against: Option<String>,
    pub reference: Option<f64>,
    pub ratio: Option<f64>,
    pub goal: Option<String>,
    pub met: Option<bool>,
    pub runs: Vec<Run>,
}

impl Run {
    pub fn alone(value: f64) -> Self {
        Self { value: rounded(value), reference: None, ratio: None }
    }

    pub fn beside(value: f64, reference: f64) -> Self {
        let ratio = Some(rounded(value / reference));
        Self { value: rounded(value), reference: Some(rounded(reference)), ratio }
    }
}

impl Line {
    pub fn of(measure: &Measure, runs: Vec<Run>) -> Self {
        let value = median(runs.iter().map(|run| run.value)).unwrap_or(f64::NAN);
        let reference = median(runs.iter().filter_map(|run| run.reference));
        let ratio = median(runs.iter().filter_map(|run| run.ratio));
        Self {
            measure: measure.name.to_owned(),
            value,
            unit: measure.unit.to_owned(),
            against: measure.against.map(str::to_owned),
            reference,
            ratio,
            goal: measure.goal.map(|goal| goal.to_string()),
            met: measure.goal.map(|goal| goal.is_met(value, ratio)),
            runs,
        }
    }

    /// Of what the goal judges: the ratios where there are any, else the values.
    pub fn spread(&self) -> (f64, f64) {
        let judged = self.runs.iter().map(|run| run.ratio.unwrap_or(run.value));
        judged.fold((f64::INFINITY, f64::NEG_INFINITY), |(least, most), one| (least.min(one), most.max(one)))
    }
}

impl Goal {
    fn is_met(self, value: f64, ratio: Option<f64>) -> bool {
        match (self, ratio) {
            (Self::RatioAtLeast(least), Some(ratio)) => ratio >= least,
            (Self::RatioAtMost(most), Some(ratio)) => ratio <= most,
            (Self::ValueAtMost(most), _) => value <= most,
            (Self::RatioAtLeast(_) | Self::RatioAtMost(_), None) => false,
        }
    }
}

impl std::fmt::Display for Goal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::RatioAtLeast(least) => write!(f, "ratio ≥ {least}"),
            Self::RatioAtMost(most) => write!(f, "ratio ≤ {most}"),
            Self::ValueAtMost(most) => write!(f, "≤ {most}"),
        }
    }
}

/// A table for people.
pub fn table(lines: &[Line]) -> String {
    let header = ["measure", "value", "unit", "reference", "ratio", "spread", "goal", "met"].map(str::to_owned);
    let rows: Vec<[String; 8]> = lines.iter().map(row).collect();
    let all = || std::iter::once(&header).chain(&rows);
    let widths: Vec<_> =
        (0..header.len()).map(|column| all().map(|row| row[column].chars().count()).max().unwrap_or(0)).collect();
    let is_number = |column: usize| matches!(column, 1 | 3 | 4);
    let line = |row: &[String; 8]| {
        let cells = row.iter().enumerate().map(|(column, cell)| match is_number(column) {
            true => format!("{cell:>width$}", width = widths[column]),
            false => format!("{cell:<width$}", width = widths[column]),
        });
        format!("  {}", cells.collect::<Vec<_>>().join("  ").trim_end())
    };
    all().map(line).collect::<Vec<_>>().join("\n")
}

fn row(line: &Line) -> [String; 8] {
    let (least, most) = line.spread();
    [
        line.measure.clone(),
        number(line.value),
        line.unit.clone(),
        line.reference.map(number).unwrap_or_default(),
        line.ratio.map(number).unwrap_or_default(),
        format!("{} … {}", number(least), number(most)),
        line.goal.clone().unwrap_or_default(),
        match line.met {
            Some(true) => "yes",
            Some(false) => "NO",
            None => "",
        }
        .to_owned(),
    ]
}

/// With as many digits as say something.
pub fn number(value: f64) -> String {
    let digits = match value.abs() {
        magnitude if magnitude >= 100.0 => 0,
        magnitude if magnitude >= 10.0 => 1,
        magnitude if magnitude >= 1.0 => 2,
        _ => 3,
    };
    format!("{value:.digits$}")
}

pub fn median(values: impl Iterator<Item = f64>) -> Option<f64> {
    percentile(values, 0.5)
}

/// By linear interpolation between the two nearest.
pub fn percentile(values: impl Iterator<Item = f64>, share: f64) -> Option<f64> {
    let mut sorted: Vec<_> = values.collect();
    sorted.sort_by(f64::total_cmp);
    let place = share * sorted.len().checked_sub(1)? as f64;
    let (below, above) = (sorted[place.floor() as usize], sorted[place.ceil() as usize]);
    Some(rounded(below + (above - below) * place.fract()))
}

/// To five significant digits: what comes after them is noise.
fn rounded(value: f64) -> f64 {
    format!("{value:.4e}").parse().unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Measure =
        Measure { name: "rate", unit: "events/s", against: Some("a bare loop"), goal: Some(Goal::RatioAtLeast(0.9)) };

    #[test]
    fn the_verdict_is_the_medians_and_no_single_runs() {
        let runs = vec![Run::beside(95.0, 100.0), Run::beside(10.0, 100.0), Run::beside(400.0, 410.0)];
        let line = Line::of(&RATE, runs);
        assert_eq!((line.value, line.reference, line.ratio, line.met), (95.0, Some(100.0), Some(0.95), Some(true)));
        assert_eq!(line.spread(), (0.1, 0.97561));
    }

    #[test]
    fn a_goal_that_is_missed_by_a_hair_is_missed() {
        assert_eq!(Line::of(&RATE, vec![Run::beside(89.9, 100.0)]).met, Some(false));
        let calls = Measure { name: "calls", unit: "calls", against: None, goal: Some(Goal::ValueAtMost(205.0)) };
        assert_eq!(Line::of(&calls, vec![Run::alone(205.1)]).met, Some(false));
        assert_eq!(Line::of(&calls, vec![Run::alone(205.0)]).met, Some(true));
        let reported = Measure { goal: None, ..calls };
        assert_eq!(Line::of(&reported, vec![Run::alone(1.0)]).met, None);
    }

    #[test]
    fn a_line_has_these_fields_in_this_order() {
        let line = Line::of(&RATE, vec![Run::beside(1.0, 2.0)]);
        assert_eq!(
            serde_json::to_string(&line).unwrap(),
            r#"{"measure":"rate","value":1.0,"unit":"events/s","against":"a bare loop","reference":2.0,"ratio":0.5,"goal":"ratio ≥ 0.9","met":false,"runs":[{"value":1.0,"reference":2.0,"ratio":0.5}]}"#
        );
    }

    #[test]
    fn a_percentile_lies_between_its_neighbours() {
        let values = || [4.0, 1.0, 3.0, 2.0].into_iter();
        assert_eq!(median(values()), Some(2.5));
        assert_eq!(percentile(values(), 1.0), Some(4.0));
        assert_eq!(median(std::iter::empty()), None);
    }
}
