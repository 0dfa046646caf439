//! PostgreSQL servers of the test's own, which it may kill: `./dev` with another state folder, on other ports.

use std::{
    collections::BTreeSet,
    fs,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use fixtures::unique;
use serde_json::Value;

/// Wiped when dropped, also by a panic.
pub struct Servers {
    state: PathBuf,
    offset: u16,
}

/// Before the id of the test's process.
const STATE: &str = "waypost-losing-everything-";
/// Away from those that people choose, and with all ports below those that the kernel gives away.
const OFFSETS: std::ops::Range<u16> = 11_030..22_000;

impl Servers {
    /// Finds a place for them.
    pub fn make() -> Self {
        wipe_left_overs();
        let state = Path::new("/var/tmp").join(unique(&format!("{STATE}{}-", std::process::id())));
        let first = (std::process::id() % 1_000) as u16 * 10;
        let mut offsets = (OFFSETS.start + first..OFFSETS.end).step_by(10);
        let offset = offsets.find(|offset| ports_are_free(&state, *offset)).expect("ports for servers should be free");
        Self { state, offset }
    }

    /// Starts what does not run.
    pub fn up(&self) {
        succeed(&self.state, self.offset, &["up", "--infra"]);
    }

    /// What `./dev env` tells a shell.
    pub fn environment(&self) -> Vec<(String, String)> {
        let lines = succeed(&self.state, self.offset, &["env"]);
        let variables = lines.lines().filter_map(|line| line.strip_prefix("export ")?.split_once('='));
        variables.map(|(name, value)| (name.to_owned(), value.trim_matches('\'').to_owned())).collect()
    }

    /// The processes that `./dev` has started.
    pub fn ids(&self) -> BTreeSet<u32> {
        status(&self.state, self.offset).iter().filter_map(|server| server["pid"].as_u64()?.try_into().ok()).collect()
    }

    pub fn log(&self, name: &str) -> PathBuf {
        self.state.join(format!("logs/{name}.log"))
    }

    fn tell_ends_of_logs(&self) {
        for log in fs::read_dir(self.state.join("logs")).into_iter().flatten().flatten() {
            let text = fs::read(log.path()).unwrap_or_default();
            let text = String::from_utf8_lossy(&text);
            // Entries begin with their time; a statement takes many lines more.
            let entries = text.lines().filter(|line| line.starts_with("20"));
            let entries: Vec<String> = entries.map(|line| line.chars().take(200).collect()).collect();
            let end = &entries[entries.len().saturating_sub(15)..];
            eprintln!("--- the end of {}\n{}", log.path().display(), end.join("\n"));
        }
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.tell_ends_of_logs();
        }
        let done = dev(&self.state, self.offset, &["down", "--wipe"]);
        if !done.status.success() {
            eprintln!("{} is left: {}", self.state.display(), String::from_utf8_lossy(&done.stderr));
        }
    }
}

/// An interrupted test could not wipe its servers.
fn wipe_left_overs() {
    for entry in fs::read_dir("/var/tmp").into_iter().flatten().flatten() {
        let name = entry.file_name().into_string().unwrap_or_default();
        let Some((id, _)) = name.strip_prefix(STATE).and_then(|rest| rest.split_once('-')) else { continue };
        if !Path::new("/proc").join(id).exists() {
            dev(&entry.path(), 0, &["down", "--wipe"]);
        }
    }
}

fn ports_are_free(state: &Path, offset: u16) -> bool {
    let ports = status(state, offset).into_iter().map(|server| server["port"].as_u64().unwrap() as u16);
    ports.map(|port| TcpListener::bind(("127.0.0.1", port))).all(|bound| bound.is_ok())
}

fn status(state: &Path, offset: u16) -> Vec<Value> {
    serde_json::from_str(&succeed(state, offset, &["status", "--json"])).unwrap()
}

fn succeed(state: &Path, offset: u16, arguments: &[&str]) -> String {
    let Output { status, stdout, stderr } = dev(state, offset, arguments);
    assert!(status.success(), "./dev {arguments:?}: {}", String::from_utf8_lossy(&stderr));
    String::from_utf8(stdout).unwrap()
}

fn dev(state: &Path, offset: u16, arguments: &[&str]) -> Output {
    Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("../dev"))
        .args(arguments)
        .env("WAYPOST_STATE_DIR", state)
        .env("WAYPOST_PORT_OFFSET", offset.to_string())
        .output()
        .unwrap()
}
