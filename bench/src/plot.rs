//! Results as a picture: how far each measure is beyond its goal.
//!
//! What should be large is divided by its goal, what should be small divides it: so one is the goal for all of them, and
//! right of it is better. The thin line goes from the worst run to the best.

use std::path::Path;

use anyhow::{Context, ensure};
use plotters::{
    prelude::*,
    style::text_anchor::{HPos, Pos, VPos},
};

use crate::{
    report::{Line, number},
    results::Results,
};

/// A measure, as the picture shows it.
#[derive(Debug, Clone, PartialEq)]
struct Bar {
    name: String,
    told: String,
    beyond: f64,
    worst: f64,
    best: f64,
    met: bool,
}

const WIDTH: u32 = 1_000;
const ROW: u32 = 34;
const TOP: i32 = 56;
const BOTTOM: u32 = 54;
const LEFT: i32 = 170;
const RIGHT: i32 = 640;
/// How far the picture goes; what is further beyond ends there.
const MOST: f64 = 3.0;
const MET: RGBColor = RGBColor(0x2d, 0x7d, 0x5a);
const MISSED: RGBColor = RGBColor(0xc0, 0x4f, 0x2f);
const INK: RGBColor = RGBColor(0x22, 0x27, 0x2e);
const FAINT: RGBColor = RGBColor(0xd5, 0xd9, 0xde);

pub fn draw(results: &Results, to: &Path) -> anyhow::Result<()> {
    let bars: Vec<_> = results.lines.iter().filter_map(bar).collect();
    ensure!(!bars.is_empty(), "no measure of these results has a goal");
    let height = TOP as u32 + ROW * bars.len() as u32 + BOTTOM;
    let mut picture = String::new();
    paint(&bars, results, &mut picture, height).context("could not draw")?;
    std::fs::write(to, picture).with_context(|| format!("could not write {}", to.display()))
}

fn paint(bars: &[Bar], results: &Results, picture: &mut String, height: u32) -> anyhow::Result<()> {
    let area = SVGBackend::with_string(picture, (WIDTH, height)).into_drawing_area();
    area.fill(&WHITE)?;
    let text = |size: i32, at: HPos| ("sans-serif", size, &INK).into_text_style(&area).pos(Pos::new(at, VPos::Center));
    let write = |words: &str, at: (i32, i32), size: i32, anchor: HPos| {
        area.draw(&Text::new(words.to_owned(), at, text(size, anchor)))
    };
    write("How far beyond its goal each measure is", (LEFT, 20), 17, HPos::Left)?;
    let bottom = TOP + (ROW * bars.len() as u32) as i32;
    for step in 0..=6 {
        let beyond = f64::from(step) / 2.0;
        let is_goal = step == 2;
        let style = if is_goal { INK.stroke_width(2) } else { FAINT.stroke_width(1) };
        area.draw(&PathElement::new(vec![(x(beyond), TOP - 4), (x(beyond), bottom)], style))?;
        let label = if is_goal { "goal".to_owned() } else { format!("{beyond}×") };
        write(&label, (x(beyond), TOP - 14), 12, HPos::Center)?;
    }
    for (row, bar) in bars.iter().enumerate() {
        let middle = TOP + (ROW as i32) * row as i32 + ROW as i32 / 2;
        let color = if bar.met { MET } else { MISSED };
        area.draw(&Rectangle::new([(LEFT, middle - 8), (x(bar.beyond), middle + 8)], color.filled()))?;
        area.draw(&PathElement::new(vec![(x(bar.worst), middle), (x(bar.best), middle)], INK.stroke_width(1)))?;
        write(&bar.name, (LEFT - 10, middle), 14, HPos::Right)?;
        write(&bar.told, (RIGHT + 14, middle), 12, HPos::Left)?;
    }
    let machine = &results.machine;
    let on = format!(
        "{} × {}, {} GiB, {}, PostgreSQL {}",
        machine.cores, machine.processor, machine.memory_gib, machine.system, machine.postgresql
    );
    write(&on, (LEFT, bottom + 20), 11, HPos::Left)?;
    let when = format!("medians of {} runs, {}, {}", machine.runs, machine.measured_at, machine.rustc);
    write(&when, (LEFT, bottom + 38), 11, HPos::Left)?;
    Ok(area.present()?)
}

fn x(beyond: f64) -> i32 {
    LEFT + (beyond.clamp(0.0, MOST) / MOST * f64::from(RIGHT - LEFT)) as i32
}

/// `None` for what is reported without a goal.
fn bar(line: &Line) -> Option<Bar> {
    let goal = line.goal.as_deref()?;
    let met = line.met?;
    let (sign, limit) = goal.trim_start_matches("ratio ").split_once(' ')?;
    let limit: f64 = limit.parse().ok()?;
    let beyond = |judged: f64| if sign == "≥" { judged / limit } else { limit / judged };
    let (least, most) = line.spread();
    let (worst, best) = if sign == "≥" { (beyond(least), beyond(most)) } else { (beyond(most), beyond(least)) };
    let beyond = beyond(line.ratio.unwrap_or(line.value));
    let told = match line.ratio {
        Some(ratio) => format!("{} {}, {goal}: {}", number(line.value), line.unit, number(ratio)),
        None => format!("{} {}, {goal}", number(line.value), line.unit),
    };
    Some(Bar { name: line.measure.clone(), told, beyond, worst, best, met })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{Goal, Measure, Run};

    fn of(goal: Option<Goal>, runs: Vec<Run>) -> Option<Bar> {
        bar(&Line::of(&Measure { name: "m", unit: "u", against: None, goal }, runs))
    }

    #[test]
    fn right_of_one_is_better_whatever_the_goal_asks_for() {
        let fast = of(Some(Goal::RatioAtLeast(0.5)), vec![Run::beside(1.0, 1.0), Run::beside(2.0, 1.0)]).unwrap();
        assert_eq!((fast.worst, fast.beyond, fast.best, fast.met), (2.0, 3.0, 4.0, true));
        let cheap = of(Some(Goal::ValueAtMost(40.0)), vec![Run::alone(20.0), Run::alone(80.0)]).unwrap();
        assert_eq!((cheap.worst, cheap.beyond, cheap.best, cheap.met), (0.5, 0.8, 2.0, false));
        assert_eq!(of(None, vec![Run::alone(1.0)]), None);
    }
}
