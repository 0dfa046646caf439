//! What the figures were measured on.

use std::{fs, path::Path};

use serde::{Deserialize, Serialize};

use crate::process;

/// The first line of a file of results.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    /// In UTC, as RFC 3339 has it.
    pub measured_at: String,
    pub processor: String,
    pub cores: usize,
    pub memory_gib: u64,
    pub system: String,
    pub postgresql: String,
    pub rustc: String,
    /// Of this repository, with `+` where something was not committed.
    pub commit: String,
    pub runs: usize,
}

impl Machine {
    /// What can't be found out is told as unknown: it is no reason to measure nothing.
    pub async fn describe(measured_at: String, postgresql: String, runs: usize) -> Self {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let entry = |text: &str, name: &str| {
            let found = text.lines().find_map(|line| line.strip_prefix(name)?.split_once(':'));
            found.map(|(_, value)| value.trim().to_owned())
        };
        let memory = entry(&read("/proc/meminfo"), "MemTotal").unwrap_or_default();
        let kib: u64 = memory.split(' ').next().and_then(|kib| kib.parse().ok()).unwrap_or(0);
        let changed = if say("git", &["status", "--porcelain"]).await.is_empty() { "" } else { "+" };
        Self {
            measured_at,
            processor: entry(&read("/proc/cpuinfo"), "model name").unwrap_or_else(unknown),
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            memory_gib: (kib + (1 << 19)) >> 20,
            system: format!("Linux {}", read("/proc/sys/kernel/osrelease").trim()),
            postgresql,
            rustc: say("rustc", &["--version"]).await,
            commit: format!("{}{changed}", say("git", &["rev-parse", "--short", "HEAD"]).await),
            runs,
        }
    }
}

fn unknown() -> String {
    "unknown".to_owned()
}

async fn say(program: &str, arguments: &[&str]) -> String {
    let arguments: Vec<_> = arguments.iter().map(|&argument| argument.to_owned()).collect();
    let environment: Vec<_> = std::env::vars().collect();
    let said = process::output(Path::new(program), &arguments, &environment).await;
    said.map_or_else(|_| unknown(), |said| said.trim().to_owned())
}
