use indicatif::{ProgressBar, ProgressStyle};

/// A bar on stderr where that is a terminal, and nothing where it isn't.
pub fn bar(what: &'static str, of: usize) -> ProgressBar {
    let style = ProgressStyle::with_template("{msg} {wide_bar} {pos}/{len} {per_sec} {eta} left");
    ProgressBar::new(of as u64).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar())).with_message(what)
}
