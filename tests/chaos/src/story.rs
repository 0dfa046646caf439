//! What a person sees of a run while it goes on: faults as they are done, and how far the events are.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use tokio::time::Instant;

use crate::truth::Progress;

pub struct Story {
    started: Instant,
    bar: ProgressBar,
}

impl Story {
    pub fn new(events: u32) -> Self {
        let bar = ProgressBar::new(u64::from(events));
        let style = ProgressStyle::with_template("  [{elapsed:>5}  ] {bar:30} {pos}/{len} applied, {msg}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        Self { started: Instant::now(), bar }
    }

    pub fn say(&self, line: &str) {
        let line = format!("  [{:5.1} s] {line}", self.started.elapsed().as_secs_f64());
        self.bar.suspend(|| eprintln!("{line}"));
    }

    pub fn show(&self, progress: Progress, faults_left: usize) {
        let Progress { committed, published, applied } = progress;
        self.bar.set_position(u64::from(applied));
        self.bar.set_message(format!("{committed} committed, {published} published, {faults_left} faults to come"));
    }

    pub fn begin(&self) {
        self.bar.enable_steady_tick(Duration::from_millis(200));
    }

    pub fn end(&self) {
        self.bar.finish_and_clear();
    }
}
