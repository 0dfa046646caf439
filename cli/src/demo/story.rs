//! What a person sees: chapters and progress on stderr, the summary on stdout.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use tokio::time::Instant;

use super::counts::Counts;

pub struct Story {
    started: Instant,
    chapters: u32,
}

impl Story {
    pub fn new() -> Self {
        Self { started: Instant::now(), chapters: 0 }
    }

    pub fn chapter(&mut self, title: &str) {
        self.chapters += 1;
        eprintln!("\n{}. {title}", self.chapters);
    }

    pub fn say(&self, line: &str) {
        eprintln!("   [{:5.1} s] {line}", self.started.elapsed().as_secs_f64());
    }

    /// The very commands, for where the demo was started.
    pub fn try_next(localstack: bool) {
        let other = if localstack {
            "./dev demo               the same on PostgreSQL alone"
        } else {
            "./dev demo --localstack  the same on SNS and SQS"
        };
        eprintln!(
            "
  What to try next:
    ./dev demo --users 2000  more people; --keep leaves everything behind for a look
    {other}
    ./dev up                 everything stays up to play with, and tells how"
        );
    }

    pub fn progress(length: u64, what: &str) -> ProgressBar {
        let bar = ProgressBar::new(length).with_message(what.to_owned());
        let style = ProgressStyle::with_template("   [{elapsed:>5}  ] {bar:30} {pos}/{len} {msg}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        bar.enable_steady_tick(Duration::from_millis(200));
        bar
    }
}

pub fn summary(counts: &Counts) -> String {
    let Counts { registered, published, applied, duplicates_ignored, dead_lettered, replayed, .. } = counts;
    let Counts { lost, applied_twice, mails_asked_for, mailed, events_per_second, end_to_end_ms, .. } = counts;
    let verdict = match counts.promise_kept() {
        true => "At least once on the wire, exactly once in effect.",
        false => "THE PROMISE WAS BROKEN.",
    };
    format!(
        "
  registered accounts            {registered:>8}
  events published               {published:>8}
  events applied                 {applied:>8}
  duplicate deliveries ignored   {duplicates_ignored:>8}
  dead-lettered                  {dead_lettered:>8}
  replayed and then applied      {replayed:>8}
  lost                           {lost:>8}
  applied twice                  {applied_twice:>8}
  mails asked for                {mails_asked_for:>8}
  mailed                         {mailed:>8}
  events per second, end to end  {events_per_second:>8.1}
  registration to profile, p50   {:>8.0} ms
  registration to profile, p99   {:>8.0} ms

  {verdict}",
        end_to_end_ms.p50, end_to_end_ms.p99
    )
}
